"""Reading one API again and again: one read at a time, so that polls never overlap, however slow the server is."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from buildyard.clock import Clock
from buildyard.errors import BuildyardError, Forbidden, PermanentError, TemporaryError, Unauthorized
from tui.source.link import RETRY_SECONDS, Link
from tui.source.outbox import Outbox
from tui.source.withheld import Withheld
from tui.state.events import AgentsSeen, DeadSeen, Event, HealthSeen, PoolsSeen, WorkersSeen

READ_SECONDS = 3.0
"""A read that takes longer is given up: a connection that hangs must not hide that the server is back."""
_LONGEST_READ_SECONDS = 6.0
"""For a read that alone is slow, while others are answered."""
_WHOLE = PoolsSeen | AgentsSeen | WorkersSeen | DeadSeen | HealthSeen
"""Answers that say all there is: of two only the later one counts."""
_REFUSED_SECONDS = 30.0
"""After so long a read that was refused is tried again."""
_ALWAYS_TOLD, _ALIVE_SECONDS = "health", 2.0
"""What a server tells everybody, and how often it is asked for that where it refuses other things."""


@dataclass
class Read:
    """Something to read every `every` seconds."""

    name: str
    every: float
    call: Callable[[], Awaitable[Sequence[Event]]]
    due: float = 0.0
    """Monotonic."""
    started: float = -math.inf
    """When it was read last; monotonic."""
    patience: float = READ_SECONDS
    done: bool = False
    """Not to be read any more."""


class Poller:
    """The reads of one API, in turn.

    Args:
        unreachable: the error that stands for silence.
    """

    def __init__(
        self, link: Link, outbox: Outbox, clock: Clock, reads: Sequence[Read], unreachable: type[TemporaryError]
    ) -> None:
        self._link = link
        self._outbox = outbox
        self._clock = clock
        self._reads = list(reads)
        self._unreachable = unreachable
        self._withheld = Withheld(link.source, outbox, clock)
        self._hurry = asyncio.Event()

    def retry_now(self) -> None:
        """Do not wait for the end of a pause."""
        self._hurry.set()

    async def run(self) -> None:
        """Read for ever."""
        while True:
            read = min((one for one in self._reads if not one.done), key=lambda one: one.due)
            await self._pause(read.due - self._clock.monotonic())
            if not await self._try(read):
                await self._pause(RETRY_SECONDS)

    async def _try(self, read: Read) -> bool:
        """One read; whether the server answered."""
        read.started = self._clock.monotonic()
        read.due = read.started + read.every
        try:
            async with asyncio.timeout(read.patience):
                events = await read.call()
        except TimeoutError:
            self._timed_out(read)
            return False
        except (TemporaryError, Unauthorized) as error:
            if self._alone_is_not_understood(error):
                self._refused(read, error)
                return True
            self._link.failed(self._clock.now(), error, RETRY_SECONDS)
            return False
        except PermanentError as error:
            if self._link.never_answered and not isinstance(error, Forbidden):
                self._link.failed(self._clock.now(), error, RETRY_SECONDS)  # it may be no farm at all
                return False
            # An older server, or a right that is missing: this read alone is refused, the others go on.
            self._refused(read, error)
            events = ()
        else:
            self._withheld.note(self._part(read), None)
        self._link.succeeded(self._clock.now())
        for event in events:
            if isinstance(event, _WHOLE):
                self._outbox.put_latest(f"{self._link.source}/{read.name}", event)
            else:
                await self._outbox.put(event)
        return True

    def _part(self, read: Read) -> str:
        return f"{self._link.source}/{read.name}"

    def _refused(self, read: Read, error: BuildyardError) -> None:
        read.due = self._clock.monotonic() + max(read.every, _REFUSED_SECONDS)
        self._withheld.refused(self._part(read), error)
        for other in self._reads:  # what is still told must come often enough: silence would count as an outage
            other.every = min(other.every, _ALIVE_SECONDS) if other.name == _ALWAYS_TOLD else other.every

    def _alone_is_not_understood(self, error: BuildyardError) -> bool:
        """Whether a server of another version answered this in a shape of its own, and the rest as we know it."""
        misread = isinstance(error.__cause__, ValueError)
        return misread and self._link.connection(self._clock.now()) == "connected"

    def _timed_out(self, read: Read) -> None:
        """Silence makes a connection stale by itself; a read that alone is slow gets more time."""
        now = self._clock.now()
        if self._link.never_answered:
            silence = self._unreachable(f"No answer within {read.patience:g} s.")
            self._link.failed(now, silence, RETRY_SECONDS)
        if self._link.connection(now) == "connected":
            read.patience = min(2 * read.patience, _LONGEST_READ_SECONDS)
        else:
            read.patience = READ_SECONDS

    async def _pause(self, seconds: float) -> None:
        """Wait, unless somebody is in a hurry."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._hurry.wait()
        self._hurry.clear()
