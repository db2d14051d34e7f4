"""The one place that reads the clock and makes ids, so that decisions never do."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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


class SteadyClock(SystemClock):
    """The machine's clock without its jumps: for a process that alone says what time it is.

    It runs with the monotonic seconds and drifts towards the machine's clock by at most a tenth of them, so it never
    goes back, and no span that it measures is off by more than a tenth, whatever is done to the machine's clock.
    """

    DRIFT = 0.1

    def __init__(
        self,
        machine: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machine = machine
        self._monotonic = monotonic
        self._at = machine()
        self._looked = monotonic()

    def now(self) -> datetime:
        """The time in UTC, later than or the same as ever before."""
        looked = self._monotonic()
        passed = timedelta(seconds=looked - self._looked)
        self._looked = looked
        self._at += passed
        most = passed * self.DRIFT
        self._at += max(-most, min(most, self._machine() - self._at))
        return self._at

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._monotonic()

    def settle(self) -> None:
        """Take the machine's time as it is: for when nothing is under way whose span a jump could change."""
        self._looked = self._monotonic()
        self._at = self._machine()
