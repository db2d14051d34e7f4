"""The embedded broker: several processes on one SQLite file, for laptops and tests.

It keeps the promises of RabbitMQ's adapter: a published message survives a crash of the machine, each is in one
pair of hands at a time, and what a dead process held goes to another. A publish wakes consumers by a datagram, so
that work starts within milliseconds and idle processes sleep; a look every few seconds is only a safety net.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from buildyard.broker import sqlite_statements as statements
from buildyard.broker.copies import BROADCAST_BOUND
from buildyard.broker.sqlite_consume import Broadcasts, Consumption, Place, Rings, Work
from buildyard.broker.sqlite_file import BrokerFile, Connections
from buildyard.broker.sqlite_members import Grave, Member, wake
from buildyard.errors import BrokerUnavailable, UnknownCount
from buildyard.ports import DEAD, Channel, ChannelKind, Depth, Subscription, Uncounted
from buildyard.telemetry import logger

LOOK_SECONDS = 5.0
"""How often a consuming process looks for messages and dead members without being woken."""
_BUSY_SECONDS = 3.0
_BURIALS_APART_SECONDS = 1.0
_Result = TypeVar("_Result")
_log = logger("broker")


class SqliteBroker:
    """A broker on a file; see `buildyard.ports.Broker`.

    Args:
        file: the SQLite file.
        prefix: keeps the channels of several farms on one file apart.
        busy_seconds: how long a call waits for a locked file.
        look_seconds: how often a consuming process looks without being woken.
    """

    def __init__(
        self, file: str, prefix: str = "", busy_seconds: float = _BUSY_SECONDS, look_seconds: float = LOOK_SECONDS
    ) -> None:
        path = Path(file).absolute()
        self._file = BrokerFile(path, busy_seconds)
        self._locks = path.with_name(path.name + "-members")
        self._prefix = f"{prefix}." if prefix else ""
        self._look_seconds = look_seconds
        self._member: Member | None = None
        self._joining = asyncio.Lock()
        self._consumptions: list[Consumption] = []
        self._looks: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._buried_at = float("-inf")

    async def open(self) -> None:
        """Open or create the file. Raises BrokerUnavailable."""
        await self._file.open()

    async def close(self) -> None:
        """Let go: messages in hand go back to their channels."""
        self._closing.set()
        if self._looks is not None:
            await self._looks
            self._looks = None
        for consumption in self._consumptions:
            await consumption.end()
        member, self._member = self._member, None
        if member is not None:
            asyncio.get_running_loop().remove_reader(member.socket)
            with contextlib.suppress(BrokerUnavailable):  # then the others find the lock free
                await self.run(lambda connections: _withdraw(connections, member))
            member.leave()
        await self._file.close()

    async def declare(self, channel: Channel) -> None:
        """Make sure that the channel exists."""
        if channel.kind is ChannelKind.WORK:
            await self.run(lambda connections: statements.declare(connections.durable, self._name(channel)))

    async def publish(
        self, channel: Channel, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish in order; WORK messages are on the disk, all or none, when it returns."""
        if not bodies:
            return
        name = self._name(channel)
        fields = dict(headers or {})

        def work(connections: Connections) -> None:
            if channel.kind is ChannelKind.WORK:
                statements.publish(connections.durable, name, bodies, fields, channel.most)
            elif channel.kind is ChannelKind.DOORBELL:
                statements.ring(connections.quick, name, bodies[-1], fields)
            else:
                statements.spread(connections.quick, name, bodies, fields, at=time.time(), bound=BROADCAST_BOUND)
            _wake_all(connections, name)

        await self.run(work)

    async def subscribe(self, channel: Channel, prefetch: int = 1) -> Subscription:
        """Begin to consume; the channel is declared if need be."""
        await self.declare(channel)
        member = await self._joined()
        name = self._name(channel)

        def enter(connections: Connections) -> tuple[int, int]:
            number = statements.subscribe(connections.quick, member.id, name)
            return number, statements.newest_copy(connections.quick)

        number, newest = await self.run(enter)
        place = Place(channel, name, number)
        consumption: Consumption
        if channel.kind is ChannelKind.WORK:
            consumption = Work(self, place, prefetch)
        elif channel.kind is ChannelKind.DOORBELL:
            consumption = Rings(self, place)
        else:
            consumption = Broadcasts(self, place, newest)
        self._consumptions = [*(other for other in self._consumptions if not other.ended), consumption]
        return consumption

    async def depth(self, channel: Channel) -> Depth:
        """Count a WORK channel exactly: messages of dead processes are counted as ready."""
        name = self._name(channel)

        def work(connections: Connections) -> tuple[int, int, int]:
            self._bury_dead(connections)
            return statements.count(connections.quick, name)

        try:
            ready, held, consumers = await self.run(work)
        except BrokerUnavailable as error:
            raise UnknownCount(f"{channel.name} cannot be counted: {error}") from error
        return Depth(
            ready=ready, unacked=held, consumers=consumers, source="sqlite", age_seconds=0.0, total=ready + held
        )

    async def witnesses(self, channel: Channel) -> tuple[Depth | Uncounted, ...]:
        """The one count there is: it is exact."""
        return (await self.depth(channel),)

    # ---------------------------------------------------------------- what consumptions use
    @property
    def holder(self) -> str:
        """Under which name this process holds messages; a new one after it was taken for dead."""
        if self._member is None:
            raise BrokerUnavailable("The embedded broker is closed.")
        return self._member.id

    @property
    def dead_channel(self) -> str:
        """The full name of the channel for unreadable messages."""
        return self._name(DEAD)

    async def run(self, work: Callable[[Connections], _Result]) -> _Result:
        """Run `work` in the file's thread. Raises BrokerUnavailable."""
        return await self._file.run(work)

    async def settle(self, wakes: str | None, work: Callable[[Connections], None]) -> None:
        """Run `work`; where it makes something ready in the channel `wakes`, wake its consumers."""

        def settled(connections: Connections) -> None:
            work(connections)
            if wakes is not None:
                _wake_all(connections, wakes)

        await self.run(settled)

    def bury_now_and_then(self, connections: Connections) -> None:
        """Look for dead members, at most once a second: called when there was nothing to take."""
        if time.monotonic() - self._buried_at >= _BURIALS_APART_SECONDS:
            self._bury_dead(connections)

    # ---------------------------------------------------------------- membership
    def _name(self, channel: Channel) -> str:
        return self._prefix + channel.name

    async def _joined(self) -> Member:
        async with self._joining:
            if self._member is None:
                self._member = await self._join()
                self._looks = asyncio.create_task(self._look_for_ever(), name="broker looks")
            return self._member

    async def _join(self) -> Member:
        def enter(connections: Connections) -> Member:
            member = Member(self._locks)
            try:
                statements.join(connections.quick, member.id, member.address)
            except BaseException:
                member.leave()
                raise
            return member

        member = await self.run(enter)
        self._hear(member)
        return member

    def _hear(self, member: Member) -> None:
        asyncio.get_running_loop().add_reader(member.socket, self._woken, member)

    def _woken(self, member: Member) -> None:
        channels = member.heard()
        for consumption in self._consumptions:
            if channels is None or consumption.place.name in channels:
                consumption.wake()

    async def _look_for_ever(self) -> None:
        """The safety net behind the datagrams: look for dead members, for our own membership, for messages."""
        while not await self._closed_within(self._look_seconds):
            try:
                await self._look()
            except BrokerUnavailable as error:
                _log.warning("the embedded broker cannot be looked at", error=str(error))
            for consumption in self._consumptions:
                consumption.wake()

    async def _closed_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return self._closing.is_set()

    async def _look(self) -> None:
        def work(connections: Connections) -> bool:
            self._bury_dead(connections)
            return self.holder in statements.members(connections.quick)

        if not await self.run(work):
            await self._rejoin()
        elif self._member is not None and not self._member.reachable:
            await self._move(self._member)

    async def _rejoin(self) -> None:
        """Others took this process for dead (its lock file was removed): begin again under a new name."""
        _log.warning("this process was taken for dead by others; its messages in hand went back")
        old, self._member = self._member, await self._join()
        if old is not None:
            asyncio.get_running_loop().remove_reader(old.socket)
            old.leave()
        for consumption in self._consumptions:
            await consumption.enter_again()

    async def _move(self, member: Member) -> None:
        asyncio.get_running_loop().remove_reader(member.socket)
        member.listen_anew()
        self._hear(member)
        await self.run(lambda connections: statements.join(connections.quick, member.id, member.address))

    def _bury_dead(self, connections: Connections) -> None:
        """Give back what dead members held. Runs in the file's thread."""
        self._buried_at = time.monotonic()
        for member, address in statements.members(connections.quick).items():
            if self._member is not None and member == self._member.id:
                continue
            with Grave(self._locks, member, address) as grave:
                if grave.dead:
                    channels = statements.remove_member(connections.quick, member)
                    grave.remove_traces()
                    for channel in channels:
                        _wake_all(connections, channel)


def _wake_all(connections: Connections, channel: str) -> None:
    for address in statements.addresses(connections.quick, channel):
        wake(address, channel)


def _withdraw(connections: Connections, member: Member) -> None:
    for channel in statements.remove_member(connections.quick, member.id):
        _wake_all(connections, channel)
