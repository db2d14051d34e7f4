"""Calls: rows of a CSV sent to an HTTP service. Only the recognising is here; `worker.calls` does the calling."""

from __future__ import annotations

from buildyard.project.configuration import FILE_NAME
from worker.toolchains.contract import Detection
from worker.toolchains.without_tools import WithoutTools

_SCORE = 100_000


class CallToolchain(WithoutTools):
    """A source whose `buildyard.toml` has a [call] section.

    A CSV alone is found to be calls by its columns, which the job that reads its rows sees (`worker.batch.prepare`).
    """

    name = "call"
    skip_reason = "Calls run as jobs of their own."

    def declared(self) -> Detection:
        """The detection of a source that declares its calls."""
        return Detection(self.name, _SCORE, f"{FILE_NAME} has a [call] section")
