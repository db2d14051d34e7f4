"""Whether workers could be heard: nobody is taken for silent while what they said may wait somewhere unread.

A report waits in the broker, in the hands of this producer, or in those of another one. The broker's count tells of
the first, `Reports.recorded` of the second. For the third each producer on a shared database notes until when it has
recorded all that it took: a report that was nowhere to be seen in the broker at some moment is recorded once every
producer is past that moment.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from buildyard.clock import Clock
from buildyard.contracts.messages import Ring
from buildyard.errors import TemporaryError
from buildyard.ports import REPORTS, Broker, Channel, doorbell
from buildyard.telemetry import logger
from orchestrator.domain.counting import believed
from orchestrator.domain.sweeping import Stretch, had_its_time, proved
from orchestrator.store import Store

READER_GONE_SECONDS = 45.0
"""A producer that noted nothing for so long holds no report: RabbitMQ takes back what a silent connection holds."""
_TRAVEL_SECONDS = 0.02
"""What the broker had handed out when it was counted is in our hands by then."""
_LEAST_PATIENCE = 300.0
_PATIENT_LEASES = 10
_EMPTY_KEPT = 500
_STRETCHES_KEPT = 500

_log = logger("hearing")


@dataclass(frozen=True)
class HearingParts:
    """What hearing works with. `name` tells this producer from others on the same database."""

    store: Store
    broker: Broker
    clock: Clock
    lease_seconds: float
    pool: str
    recorded: Callable[[], Awaitable[bool]]
    name: str


class Hearing:
    """Knows since when workers could be heard without a break."""

    def __init__(self, parts: HearingParts) -> None:
        self._parts = parts
        self._since = parts.clock.monotonic()
        self._seen: tuple[float, datetime] | None = None
        self._empty: deque[datetime] = deque(maxlen=_EMPTY_KEPT)
        self._silent_since: dict[str, float] = {}
        self._now_hears = False
        self._stretches: deque[Stretch] = deque(maxlen=_STRETCHES_KEPT)

    @property
    def long_enough(self) -> bool:
        """Whether whoever lives had one lease's time to be heard."""
        return self._parts.clock.monotonic() - self._since >= self._parts.lease_seconds

    def enough_for(self, lease_until: datetime) -> bool:
        """Whether an attempt that lives had time to be heard: without a break, or in sum since its lease was over."""
        return self.long_enough or had_its_time(lease_until, self._stretches, self._parts.lease_seconds)

    def since(self, now: datetime) -> datetime:
        """Since when, by the store's clock, which says `now`."""
        return now - timedelta(seconds=self._parts.clock.monotonic() - self._since)

    def anew(self, why: str) -> None:
        """Whoever is silent may only have been unheard: every lease is left alone for the length of one."""
        if self.long_enough:
            _log.warning("leases are left alone until all workers had time to be heard", reason=why)
        self._since = self._parts.clock.monotonic()
        self._empty.clear()
        self._now_hears = False

    def look(self, now: datetime) -> None:
        """Notice a jump of the store's clock: leases that it ended or made too long are renewed by who lives."""
        seconds = self._parts.clock.monotonic()
        if self._seen is not None:
            passed = timedelta(seconds=seconds - self._seen[0])
            if abs(now - self._seen[1] - passed) > timedelta(seconds=self._parts.lease_seconds / 4):
                self.anew("the store's clock jumped")
                self._stretches.clear()  # its times are not those of the leases any more
        self._seen = (seconds, now)

    async def count(self, channel: Channel) -> int | None:
        """How many messages wait in a channel; None while there is doubt about a 0.

        A second source that says nothing is waited for, but not for ever: then the broker's own count stands alone.

        Raises:
            UnknownCount: the broker gives no count.
        """
        witnesses = await self._parts.broker.witnesses(channel)
        found = believed(witnesses)
        if not found.silent:
            self._silent_since.pop(channel.name, None)
            if found.value is None:
                _log.info("a count is not believed", channel=channel.name, reason=found.why)
            return found.value
        now = self._parts.clock.monotonic()
        silent_for = now - self._silent_since.setdefault(channel.name, now)
        if silent_for < max(_LEAST_PATIENCE, self._parts.lease_seconds * _PATIENT_LEASES):
            _log.info("a count is not believed", channel=channel.name, reason=found.why)
            return None
        return 0

    async def all_read(self, now: datetime) -> bool:
        """Whether nothing waits here that a worker said by `now`, and workers can say something now.

        To count is only to read: a broker that takes nothing may still be counted, so it is written to as well.
        """
        ring = Ring(pool=self._parts.pool).encode()
        try:
            async with asyncio.timeout(self._parts.lease_seconds / 4):
                await self._parts.broker.publish(doorbell(self._parts.pool), [ring])
            if await self.count(REPORTS) != 0:
                return False
            read = await self._recorded_in_time()
        except (TemporaryError, TimeoutError) as error:
            self.anew(str(error) or "the broker takes nothing in time, or reports are not recorded in time")
            return False
        if read:
            self._empty.append(now)
            newest = self._stretches.pop() if self._now_hears and self._stretches else None
            longer = proved(newest, self._parts.lease_seconds, now)
            if newest is not None and longer.began != newest.began:
                self._stretches.append(newest)
            self._stretches.append(longer)
            self._now_hears = True
        return read

    async def heard_until(self) -> datetime | None:
        """Until when, by the store's clock, everything that workers said is recorded; None for not known."""
        if not self._empty:
            return None
        if not self._parts.store.shared:
            return self._empty[-1]
        async with self._parts.store.read() as queries:
            now, readers = await queries.now(), await queries.readers()
        gone = now - timedelta(seconds=READER_GONE_SECONDS)
        others = [until for name, until in readers.items() if name != self._parts.name and until > gone]
        past = min(others, default=now)
        return max((moment for moment in self._empty if moment <= past), default=None)

    async def tell(self) -> None:
        """Note for other producers until when this one has recorded all that it took."""
        if not self._parts.store.shared:
            return
        async with self._parts.store.read() as queries:
            now = await queries.now()
        await self._parts.broker.depth(REPORTS)  # one that does not answer may hold for ours what never came
        try:
            if not await self._recorded_in_time():
                return
        except TimeoutError:
            return
        async with self._parts.store.begin() as tx:
            await tx.note_reader(self._parts.name, now)

    async def leave(self) -> None:
        """This producer takes no more: the others need not wait for it."""
        if self._parts.store.shared:
            async with self._parts.store.begin() as tx:
                await tx.drop_readers(self._parts.name, await tx.now() - timedelta(hours=1))

    async def _recorded_in_time(self) -> bool:
        await asyncio.sleep(_TRAVEL_SECONDS)
        async with asyncio.timeout(self._parts.lease_seconds / 4):
            return await self._parts.recorded()
