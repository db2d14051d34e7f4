"""How a connection is, from answers and failures: a small state machine that takes the time as an argument.

connecting --answer--> connected --failure, or silence of STALE_SECONDS--> stale --DOWN_SECONDS--> down
connecting --failure--> down        any --answer--> connected        any --refused token--> down
"""

from __future__ import annotations

from datetime import datetime, timedelta

from buildyard.errors import BuildyardError, PermanentError
from tui.state.events import Connection, SourceName, SourceSeen

STALE_SECONDS = 3.0
"""Without an answer for so long, data count as stale; a failure makes them so at once."""
DOWN_SECONDS = 15.0
RETRY_SECONDS = 1.0
"""The pause before the next try: a server that is back is seen within it and one answer."""


class Link:
    """The connection to one source."""

    def __init__(self, source: SourceName, address: str) -> None:
        self.source = source
        self._address = address
        self._last_ok: datetime | None = None
        self._error: BuildyardError | None = None
        self._retry_at: datetime | None = None
        self.answers = 0
        self.recoveries = 0
        """How often it came back after it had been stale or down."""

    def succeeded(self, now: datetime) -> None:
        """It answered."""
        if self.answers and self.connection(now) != "connected":
            self.recoveries += 1
        self.answers += 1
        self._last_ok = now
        self._error = self._retry_at = None

    @property
    def never_answered(self) -> bool:
        """Whether it is not known that anybody is there at all."""
        return self._last_ok is None

    def failed(self, now: datetime, error: BuildyardError, pause: float) -> None:
        """It did not answer, or not as it should; the next try is after `pause` seconds."""
        self._error = error
        self._retry_at = now + timedelta(seconds=pause)

    def connection(self, now: datetime) -> Connection:
        """How it is."""
        if self._last_ok is None:
            return "down" if self._error else "connecting"
        silent = (now - self._last_ok).total_seconds()
        if silent >= DOWN_SECONDS or isinstance(self._error, PermanentError):
            return "down"
        return "stale" if self._error or silent >= STALE_SECONDS else "connected"

    def seen(self, now: datetime) -> SourceSeen:
        """The same as an event."""
        connection = self.connection(now)
        cause = str(self._error) if self._error else ""
        if connection in {"stale", "down"} and not cause:
            cause = f"The {self.source} at {self._address} does not answer."
        return SourceSeen(
            source=self.source,
            at=now,
            connection=connection,
            address=self._address,
            last_ok=self._last_ok,
            cause=cause,
            remedy=self._error.remedy if self._error else "",
            retry_at=self._retry_at,
        )
