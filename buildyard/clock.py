"""The one place that reads the clock and makes ids, so that decisions never do."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

import uuid_utils


class Clock(Protocol):
    """Now, and new ids."""

    def now(self) -> datetime:
        """The time in UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def new_id(self) -> str:
        """A new UUIDv7, as text: later ids sort after earlier ones."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def new_id(self) -> str:
        """A new UUIDv7, as text."""
        return str(uuid_utils.uuid7())
