"""The newest events of all builds, read once for all who follow them.

One task reads the line of events (`orchestrator/store/line.py`) while anybody follows, and keeps the newest of them,
written out already; a reader has nothing but its place in them. So a thousand readers cost one query and one copy of
each event, and none of them can make the others wait or fill the memory: one that falls behind what is kept reads on
from the store, where only so many read at a time.

Most readers stand at the end of the line. The task writes to them itself, one after the other; only one that cannot be
written to now is woken, and goes on by its own.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from buildyard.contracts.events import FarmEvent
from buildyard.errors import TemporaryError
from buildyard.telemetry import logger
from orchestrator.store import Store

KEPT = 4096
"""Newest events that are kept for all readers."""
PAGE = 500
_CATCHING_UP = 4
"""Readers that have fallen behind and read the store at the same time."""
_GATHER_SECONDS = 0.02
"""What happens within this time is read together."""
_GATHER_SECONDS_PER_READER = 0.00005
"""A crowd of readers is told less often: telling one takes about half of this, so the rest is left for other work."""
_SLICE = 100
"""Readers that are written to before others get their turn."""
_AT_ONCE_BYTES = 64 * 1024
"""More than this is not written to a reader at once: it reads it by itself, as fast as its client takes it."""
_AWAY_SECONDS = 1.0
_LONGEST_TRANSACTION = timedelta(minutes=1)
"""A position is given when its transaction begins to write: by so much its time may be later than its successor's."""
_log = logger("tail")


@dataclass(frozen=True)
class Told:
    """An event as it is sent: `text` is its server-sent event."""

    position: int
    event: FarmEvent
    text: bytes


class Wish(Protocol):
    """Which events a reader wants; equal wishes have equal hashes."""

    def takes(self, event: FarmEvent) -> bool:
        """Whether this is one of them."""

    def __hash__(self) -> int:
        """What it is found by."""


@dataclass(eq=False)
class Standing:
    """A reader at the end of the line. `write` says whether it could; `seen` moves on with what is written."""

    seen: int
    wish: Wish
    write: Callable[[bytes], bool]
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class EventLine(Protocol):
    """Where the events of all builds are read from. Every method raises StoreUnavailable."""

    async def after(self, position: int, limit: int) -> tuple[FarmEvent, ...]:
        """The next events after a position."""

    async def newest(self) -> int:
        """The position of the newest event."""

    async def before(self, moment: datetime) -> int:
        """A position after which every event of that moment and later stands."""


class StoredLine:
    """The line in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def after(self, position: int, limit: int) -> tuple[FarmEvent, ...]:
        """The next events after a position."""
        async with self._store.read() as queries:
            return await queries.line.after(position, limit)

    async def newest(self) -> int:
        """The position of the newest event."""
        async with self._store.read() as queries:
            return await queries.line.newest()

    async def before(self, moment: datetime) -> int:
        """A position after which every event of that moment and later stands, and perhaps some earlier ones."""
        async with self._store.read() as queries:
            return await queries.line.before(moment - _LONGEST_TRANSACTION)


class Tail:
    """What is kept, and the task that reads.

    `stirred` is set when this process has written an event; others' events are found by looking every `look_seconds`.
    """

    def __init__(
        self,
        line: EventLine,
        stirred: asyncio.Event,
        *,
        look_seconds: float,
        write_out: Callable[[FarmEvent], bytes],
        stopping: Callable[[], bool],
    ) -> None:
        self._line = line
        self._stirred = stirred
        self._look_seconds = look_seconds
        self._write_out = write_out
        self.stopping = stopping
        """Whether the process stops: then readers are woken, and leave."""
        self._kept: list[Told] = []
        self._positions: list[int] = []
        self._from = self._head = 0
        self._readers = 0
        self._standing: dict[Standing, None] = {}
        self._news: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._store_readers = asyncio.Semaphore(_CATCHING_UP)

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Keep the newest events for the length of the block.

        Raises:
            StoreUnavailable: nobody follows yet, and where the line ends could not be read.
        """
        if self._task is None:
            head = await self._line.newest()
            if self._task is None:  # nobody else began meanwhile
                self._from = self._head = head
                self._kept, self._positions = [], []
                self._task = asyncio.create_task(self._read_on())
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            if self._readers == 0 and self._task is not None:
                self._task.cancel()
                self._task = None

    async def place_since(self, moment: datetime) -> int:
        """Where to begin for events of a moment and later; some before it may come too. Raises StoreUnavailable."""
        async with self._store_readers:
            return await self._line.before(moment)

    async def newest(self) -> int:
        """Where the line ends in the store by now. Raises StoreUnavailable."""
        async with self._store_readers:
            return await self._line.newest()

    async def after(self, position: int) -> tuple[list[Told], asyncio.Future[None]]:
        """Up to PAGE events after a position, and what ends when there is more than was there at this moment.

        Raises:
            StoreUnavailable: they are no longer kept here, and the store cannot be read.
        """
        if self._task is not None and self._task.done():
            self._task.result()  # a fault of ours: it is told rather than waited for
        while position < self._from:
            async with self._store_readers:
                found = await self._line.after(position, PAGE)
            if found:
                return [self._told(event) for event in found], self._waiter()
            position = self._from  # what lay between is gone with its builds
        start = bisect_right(self._positions, position)
        return self._kept[start : start + PAGE], self._waiter()

    async def stand(self, one: Standing, seconds: float) -> None:
        """Have it written to as events come, for so long, or until it must read by itself again.

        To be called when `after` has just found nothing: what this reader has not seen comes later.
        """
        one.seen = max(one.seen, self._head)
        one.woken.clear()
        self._standing[one] = None
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(one.woken.wait(), seconds)
        finally:
            self._standing.pop(one, None)

    # ------------------------------------------------------------------ inside

    def _waiter(self) -> asyncio.Future[None]:
        if self._news is None or self._news.done():
            self._news = asyncio.get_running_loop().create_future()
        return self._news

    def _told(self, event: FarmEvent) -> Told:
        return Told(int(event.id), event, self._write_out(event))

    async def _read_on(self) -> None:
        now = asyncio.get_running_loop().time
        told = now()
        while True:
            try:
                self._stirred.clear()  # before the store is read: what is written meanwhile sets it again
                found = await self._line.after(self._head, PAGE)
            except TemporaryError as error:
                _log.warning("the store is away", reason=str(error))
                await asyncio.sleep(_AWAY_SECONDS)
                continue
            looked = now()
            if found or self.stopping():
                await self._tell(self._keep(found))
                told = now()
            if len(found) < PAGE:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stirred.wait(), self._look_seconds)
            again = max(looked + _GATHER_SECONDS, told + self._readers * _GATHER_SECONDS_PER_READER)
            await asyncio.sleep(max(0.0, again - now()))

    def _keep(self, found: tuple[FarmEvent, ...]) -> list[Told]:
        told = [self._told(event) for event in found]
        if not told:
            return told
        self._kept += told
        self._positions += [one.position for one in told]
        self._head = told[-1].position
        if len(self._kept) > 2 * KEPT:  # seldom, since it copies
            self._from = self._positions[-KEPT - 1]
            del self._kept[:-KEPT], self._positions[:-KEPT]
        return told

    async def _tell(self, told: list[Told]) -> None:
        """Write what is new to those who stand, and wake all others."""
        texts: dict[tuple[Wish, int], bytes] = {}
        first, last = (told[0].position, told[-1].position) if told else (0, 0)
        for number, one in enumerate(tuple(self._standing), start=1):
            if one in self._standing and one.seen < last:
                key = one.wish, max(one.seen, first - 1)
                text = texts.get(key)
                if text is None:
                    text = texts[key] = told_to(told, *key)
                if not text or (len(text) <= _AT_ONCE_BYTES and one.write(text)):
                    one.seen = last
            if one.seen < last or self.stopping():
                one.woken.set()
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


def told_to(told: Sequence[Told], wish: Wish, seen: int) -> bytes:
    """What of these a reader gets that wants such and has seen all up to a position, as it is sent."""
    return b"".join(one.text for one in told if one.position > seen and wish.takes(one.event))
