"""Retiring: uploads, ended builds and what they stored go when their time is over; unreadable messages are kept few.

A loop of its own beside the sweeper's: an object store that is slow or away holds up no lease.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from buildyard.clock import Clock
from buildyard.errors import BrokerUnavailable, BuildyardError, TemporaryError
from buildyard.ports import DEAD, Broker, Channel, Delivery, jobs
from buildyard.telemetry import logger
from orchestrator.domain.retention import Keep, outlived
from orchestrator.domain.sweeping import tickets_to_drop
from orchestrator.service import Service
from orchestrator.store import Store
from orchestrator.upkeep import Upkeep

_log = logger("retiring")
_ORPHAN_LOOKS = 4
"""How often orphans are looked for while one comes of age: all objects of builds are listed for it."""
_UPLOADS_SECONDS = 600.0
_TRIM_SECONDS = 60.0
_BATCH = 200
_BATCHES = 100
"""What one round drops at most of the dead messages: more wait for the next."""
_COMING_SECONDS = 5.0
"""How long a message that was counted may take to come."""


@dataclass(frozen=True)
class DeadKeep:
    """How many messages that nobody could read are kept, and how long."""

    most: int
    days: float


@dataclass(frozen=True)
class RetiringParts:
    """What retiring works with; `told` hears how many of which things went."""

    store: Store
    pools: tuple[str, ...]
    service: Service
    upkeep: Upkeep
    broker: Broker
    clock: Clock
    keep: Keep
    dead: DeadKeep
    round_seconds: float
    told: Callable[[str, int], None]
    silence: timedelta = timedelta(seconds=30)
    """How long an agent may be silent before it counts as lost."""


class Retiring:
    """Removes what is old; safe in several producers at once."""

    def __init__(self, parts: RetiringParts) -> None:
        self._parts = parts
        now = parts.clock.monotonic()
        self._orphans_apart = parts.keep.orphans.total_seconds() / _ORPHAN_LOOKS
        self._next_orphans = now + self._orphans_apart  # a producer that starts again and again must not list always
        self._next_trim = self._next_uploads = now
        self._surplus: dict[str, int] = {}

    async def run(self) -> None:
        """Remove until cancelled; a failed round is logged and the next one begins afresh."""
        while True:
            await self.round()
            await asyncio.sleep(self._parts.round_seconds)

    async def round(self) -> None:
        """Remove what is old by now. What fails stays for the next round, and holds up nothing else."""
        await self._try("builds", self._retire)
        now = self._parts.clock.monotonic()
        if now >= self._next_orphans:
            self._next_orphans = now + self._orphans_apart
            await self._try("orphans", self._delete_orphans)
        if now >= self._next_uploads:
            self._next_uploads = now + min(_UPLOADS_SECONDS, self._parts.keep.unbuilt.total_seconds() / 4)
            await self._try("uploads", self._parts.upkeep.drop_old_objects)
        if now >= self._next_trim:
            self._next_trim = now + min(_TRIM_SECONDS, self._parts.round_seconds * 6)
            await self._try("dead messages", self._trim)
            await self._try("tickets", self._drop_surplus)

    async def _retire(self) -> None:
        await self._parts.service.mark_old(self._parts.keep)
        self._tell(await self._parts.service.finish_removals())

    async def _delete_orphans(self) -> None:
        self._tell(Counter(orphans=await self._parts.service.delete_orphans(self._parts.keep)))

    async def _trim(self) -> None:
        before = self._parts.clock.now() - timedelta(days=self._parts.dead.days)
        self._tell(Counter(dead_messages=await trim(self._parts.broker, self._parts.dead.most, before)))

    async def _drop_surplus(self) -> None:
        """Drop tickets of builds that ended while they waited: where no agent takes them, nobody else does.

        Only what was too many at two looks in a row; a ready job that lacks its ticket then gets one.
        """
        for pool in self._parts.pools:
            async with self._parts.store.read() as queries:
                counts = (await queries.pool_counts()).get(pool)
                unserved = (await queries.unserved(self._parts.silence)).get(pool)
            tickets = (await self._parts.broker.depth(jobs(pool))).ready
            ready = counts.ready - (unserved.count if unserved else 0) if counts else 0
            surplus = tickets_to_drop(max(0, ready), tickets)
            before, self._surplus[pool] = self._surplus.get(pool, 0), surplus
            if count := min(before, surplus):
                self._surplus[pool] = 0
                self._tell(Counter(tickets=await drop_tickets(self._parts.broker, pool, count)))

    def _tell(self, gone: Counter[str]) -> None:
        for what, count in sorted((+gone).items()):
            _log.info("removed", what=what, count=count)
            self._parts.told(what, count)

    async def _try(self, what: str, action: Callable[[], Awaitable[None]]) -> None:
        try:
            await action()
        except TemporaryError as error:
            _log.warning("stays for now", what=what, reason=str(error))
        except BuildyardError:
            _log.exception("stays for now", what=what)


async def trim(broker: Broker, most: int, before: datetime) -> int:
    """Drop dead messages beyond `most`, the oldest first, and those laid there before a moment; how many.

    Two that do this at once may drop a batch more than there are too many. RabbitMQ puts what is looked at and stays
    behind the others, so that with each call the next batch is looked at; the embedded broker's oldest come first.

    Raises:
        UnknownCount, BrokerUnavailable: the rest stays for now.
    """
    gone = 0
    for _ in range(_BATCHES):
        ready = (await broker.depth(DEAD)).ready
        excess = min(_BATCH, max(0, ready - most))
        gone += await _take_out(broker, DEAD, min(_BATCH, ready), excess, before)
        if ready - most <= _BATCH:
            break
    return gone


async def drop_tickets(broker: Broker, pool: str, count: int) -> int:
    """Drop so many tickets of a pool; how many there were. Tickets are all alike: whichever come first go.

    Raises:
        BrokerUnavailable: the rest stays for now.
    """
    gone = 0
    while gone < count:
        some = min(_BATCH, count - gone)
        dropped = await _take_out(broker, jobs(pool), some, some, None)
        gone += dropped
        if dropped < some:  # agents took them
            break
    return gone


async def _take_out(broker: Broker, channel: Channel, count: int, excess: int, before: datetime | None) -> int:
    """Look at `count` messages and drop the first `excess`, and those laid there before a moment; how many went."""
    if not count:
        return 0
    subscription = await broker.subscribe(channel, count)
    found: list[Delivery] = []
    try:
        async with asyncio.timeout(_COMING_SECONDS):
            while len(found) < count:
                found.append(await anext(aiter(subscription)))
    except TimeoutError:
        pass  # somebody else took the others
    finally:
        await subscription.stop()  # first: what is settled would else make room for more to come
        try:
            gone = await _settle(found, excess, before)
        finally:
            await subscription.close()
    return gone


async def _settle(found: Sequence[Delivery], excess: int, before: datetime | None) -> int:
    """Drop some and give the others back; when one cannot be settled now, the others are all the same."""
    gone, failure = 0, None
    for delivery in found:
        goes = gone < excess or (before is not None and outlived(delivery.headers.get("at"), before))
        try:
            await (delivery.ack() if goes else delivery.release())
        except BrokerUnavailable as error:
            failure = error
        else:
            gone += goes
    if failure is not None:
        raise failure
    return gone
