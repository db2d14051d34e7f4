"""Consuming from the embedded broker: a message is taken when somebody waits for it, not before.

So an agent that pauses between two messages keeps none from others, and messages in hand are exactly those that
somebody works on.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from buildyard.broker import sqlite_statements as statements
from buildyard.broker.burying import epitaph
from buildyard.broker.copies import Copy
from buildyard.broker.sqlite_file import Connections
from buildyard.errors import BrokerUnavailable, DeliveryLost
from buildyard.ports import Channel, Delivery
from buildyard.telemetry import logger

_COPIES_AT_ONCE = 500
_Result = TypeVar("_Result")
_log = logger("broker")


class Host(Protocol):
    """What a consumption needs of its broker."""

    @property
    def holder(self) -> str:
        """Under which name this process holds messages."""

    @property
    def dead_channel(self) -> str:
        """The full name of the channel for unreadable messages."""

    async def run(self, work: Callable[[Connections], _Result]) -> _Result:
        """Run `work` in the file's thread. Raises BrokerUnavailable."""

    async def settle(self, wakes: str | None, work: Callable[[Connections], None]) -> None:
        """Run `work`, then wake the consumers of the channel `wakes`. Raises BrokerUnavailable."""

    def bury_now_and_then(self, connections: Connections) -> None:
        """Look for dead members, not too often."""


@dataclass
class Place:
    """Which channel a consumption reads: itself, its name in the file, and the consumption's number there."""

    channel: Channel
    name: str
    number: int


class Consumption(ABC):
    """One consumer of one channel; see `buildyard.ports.Subscription`."""

    def __init__(self, host: Host, place: Place) -> None:
        self.place = place
        self.ended = False
        self._host = host
        self._found: deque[Delivery] = deque()
        self._woken = asyncio.Event()
        self._look: asyncio.Task[None] | None = None

    def __aiter__(self) -> AsyncIterator[Delivery]:
        """Deliveries, in order of arrival."""
        return self

    async def __anext__(self) -> Delivery:
        """The next delivery; waits for it.

        A look that has begun is finished even if the one who waits is cancelled: what it found is kept for the next.
        """
        while not self.ended:
            if self._found:
                return self._found.popleft()
            if self._look is None or self._look.done():
                self._woken.clear()
                self._look = asyncio.create_task(self._look_once(), name=f"look at {self.place.name}")
            await asyncio.shield(self._look)
            if not self._found and not self.ended:
                await self._woken.wait()
        raise StopAsyncIteration

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    async def end(self) -> None:
        """End the iteration, and the look that is under way."""
        self.ended = True
        self._woken.set()
        if self._look is not None:
            await self._look

    async def stop(self) -> None:
        """Take no further message; what was taken but not yet handed out goes back."""
        if self.ended:
            return
        await self.end()
        while self._found:
            await self._found.popleft().release()
        await self._host.run(lambda connections: statements.unsubscribe(connections.quick, self.place.number))

    async def close(self) -> None:
        """Stop: nothing else is open."""
        await self.stop()

    async def enter_again(self) -> None:
        """Register under the process's new name."""
        if not self.ended:
            holder = self._host.holder
            self.place.number = await self._host.run(
                lambda connections: statements.subscribe(connections.quick, holder, self.place.name)
            )

    async def _look_once(self) -> None:
        try:
            self._found.extend(await self._fetch())
        except BrokerUnavailable as error:
            if not self.ended:
                _log.warning("cannot take messages now", channel=self.place.name, error=str(error))

    @abstractmethod
    async def _fetch(self) -> list[Delivery]:
        """Take what is there."""


class Work(Consumption):
    """A consumer of a WORK channel with at most `prefetch` messages in hand."""

    def __init__(self, host: Host, place: Place, prefetch: int) -> None:
        super().__init__(host, place)
        self._prefetch = prefetch
        self._in_hand = 0

    async def _fetch(self) -> list[Delivery]:
        room = self._prefetch - self._in_hand
        if room <= 0:
            return []
        holder = self._host.holder

        def work(connections: Connections) -> list[statements.Row]:
            found = statements.claim(connections.quick, self.place.name, holder, room)
            if not found:
                self._host.bury_now_and_then(connections)
            return found

        rows = await self._host.run(work)
        self._in_hand += len(rows)
        return [WorkDelivery(self, row, holder) for row in rows]

    async def settle(self, wakes: str | None, work: Callable[[Connections], None]) -> None:
        """End one message in hand by `work`; then there is room for another.

        Raises:
            BrokerUnavailable: the file cannot be used now; the message is still in hand.
        """
        await self._host.settle(wakes, work)
        self._in_hand -= 1
        self._woken.set()

    @property
    def dead_channel(self) -> str:
        """The full name of the channel for unreadable messages."""
        return self._host.dead_channel


class WorkDelivery:
    """A message of a WORK channel in hand; see `buildyard.ports.Delivery`.

    When the file was only locked, ack can be tried again. When the message went back meanwhile (this process was
    taken for dead), it stays so.
    """

    def __init__(self, consumption: Work, row: statements.Row, holder: str) -> None:
        self.body = row.body
        self.headers: Mapping[str, str] = row.headers
        self.redelivered = row.redelivered
        self._consumption = consumption
        self._row = row
        self._holder = holder
        self._ended = False
        self._lost = False
        self._settling: asyncio.Task[None] | None = None

    async def ack(self) -> None:
        """Done with it."""
        await self._end(None, self._drop)
        self._raise_if_lost()

    async def release(self) -> None:
        """Give it back."""
        await self._end(self._consumption.place.name, self._give_back)

    async def reject(self, reason: str) -> None:
        """Move it to DEAD with its reason."""
        dead = self._consumption.dead_channel
        headers = epitaph(self.headers, reason, self._consumption.place.channel)

        def bury(connections: Connections) -> None:
            self._lost = not statements.bury(connections.durable, self._row.id, self._holder, dead, headers)

        await self._end(dead, bury)
        self._raise_if_lost()

    def _drop(self, connections: Connections) -> None:
        self._lost = not statements.drop(connections.quick, self._row.id, self._holder)

    def _give_back(self, connections: Connections) -> None:
        statements.give_back(connections.quick, self._row.id, self._holder)

    async def _end(self, wakes: str | None, work: Callable[[Connections], None]) -> None:
        """Settle once. The work goes on even if the one who waits is cancelled: the thread cannot be stopped."""
        if not self._ended:
            self._ended = True
            self._settling = asyncio.create_task(self._settle(wakes, work))
            await asyncio.shield(self._settling)

    async def _settle(self, wakes: str | None, work: Callable[[Connections], None]) -> None:
        try:
            await self._consumption.settle(wakes, work)
        except BrokerUnavailable:
            self._ended = False
            raise

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise DeliveryLost("The message went back to its channel before it was settled.")


class Rings(Consumption):
    """A consumer of a doorbell."""

    async def _fetch(self) -> list[Delivery]:
        rows = await self._host.run(lambda connections: statements.take_ring(connections.quick, self.place.name))
        return [Copy(row.body, row.headers) for row in rows]


class Broadcasts(Consumption):
    """A consumer of a broadcast channel, which reads on from where it stands."""

    def __init__(self, host: Host, place: Place, last: int) -> None:
        super().__init__(host, place)
        self._last = last

    async def _fetch(self) -> list[Delivery]:
        rows = await self._host.run(
            lambda connections: statements.copies_after(connections.quick, self.place.name, self._last, _COPIES_AT_ONCE)
        )
        if rows:
            self._last = rows[-1].id
        return [Copy(row.body, row.headers) for row in rows]
