"""What every verb needs: the settings with the command line's own on top, the clients, and where to write."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from buildyard.cli.output import Output
from buildyard.client import ProducerClient, ScalerClient
from buildyard.settings import Settings, load_settings


@dataclass
class Session:
    """One run of one verb."""

    api_url: str | None = None
    scaler_url: str | None = None
    token: str | None = None
    output: Output = field(default_factory=Output)

    @cached_property
    def settings(self) -> Settings:
        """The settings. Raises InvalidSettings."""
        given = {"api_url": self.api_url, "scaler_url": self.scaler_url, "token": self.token}
        return load_settings(**{name: value for name, value in given.items() if value})

    def producer(self) -> ProducerClient:
        """A client of the producer, to be used as an async context manager."""
        return ProducerClient(self.settings.api, self.settings.token)

    def scaler(self) -> ScalerClient:
        """A client of the scaler, to be used as an async context manager."""
        return ScalerClient(self.settings.scaler, self.settings.token)
