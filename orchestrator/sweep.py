"""The sweeper: whatever nobody moves any more is ended or handed on, by the store's clock.

Safe in several producers at once: each action is decided again under the build's lock.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from buildyard.clock import Clock
from buildyard.contracts.builds import BuildState
from buildyard.contracts.messages import CancelJob, DrainAgent, Ring
from buildyard.errors import BuildyardError, TemporaryError, UnknownCount
from buildyard.ports import REPORTS, Broker, ObjectStore, doorbell, jobs
from buildyard.telemetry import logger
from orchestrator.domain.access import why_nobody
from orchestrator.domain.records import Attempt, Limits
from orchestrator.domain.sweeping import overdue, tickets_to_reissue
from orchestrator.relay import Relay
from orchestrator.service import Service
from orchestrator.store import Store
from orchestrator.views import AGENTS_KEPT

_log = logger("sweep")
_SLOW_SECONDS = 5.0
"""How often the checks run that need not be quick."""
_REISSUE_SECONDS = 30.0
_OLD_SECONDS = 60.0


@dataclass(frozen=True)
class SweepParts:
    """What the sweeper works with."""

    store: Store
    service: Service
    broker: Broker
    objects: ObjectStore
    relay: Relay
    clock: Clock
    limits: Limits
    pools: tuple[str, ...]
    sweep_seconds: float
    upload_keep: timedelta
    silence: timedelta


class Sweeper:
    """Runs the checks in the background."""

    def __init__(self, parts: SweepParts) -> None:
        self._parts = parts
        self._heard_since = parts.clock.monotonic()
        self._next: dict[str, float] = {}
        self._missing: dict[str, int] = {}

    async def run(self) -> None:
        """Sweep until cancelled; a failed pass is logged and the next one begins afresh."""
        still = self._parts.sweep_seconds + self._parts.limits.lease_seconds / 2
        looked = self._parts.clock.monotonic()
        while True:
            if self._parts.clock.monotonic() - looked > still:
                self._hear_anew("this process stood still")
            looked = self._parts.clock.monotonic()
            try:
                await self._pass()
            except TemporaryError as error:
                _log.warning("pass failed", reason=str(error))
                self._hear_anew(str(error))
            except BuildyardError:
                _log.exception("pass failed")
            await asyncio.sleep(self._parts.sweep_seconds)

    async def _pass(self) -> None:
        await self._expire_leases()
        await self._parts.service.end_waits()
        if self._due("bounds", min(_SLOW_SECONDS, self._parts.sweep_seconds * 5)):
            await self._end_overdue()
            await self._repeat_hints()
        if self._due("tickets", _SLOW_SECONDS):
            for pool in self._parts.pools:
                await self._reissue(pool)
        if self._due("old things", _OLD_SECONDS):
            await self._drop_old()

    def _due(self, what: str, seconds: float) -> bool:
        now = self._parts.clock.monotonic()
        if now < self._next.get(what, 0):
            return False
        self._next[what] = now + seconds
        return True

    async def _expire_leases(self) -> None:
        """End attempts whose lease ran out, but only once all that workers said by now is recorded.

        After a start, and after anything that kept reports from being heard, the workers get one lease's time anew:
        they may have spoken to nobody meanwhile. So broker and database are asked as soon as a lease is half over.
        """
        lease = timedelta(seconds=self._parts.limits.lease_seconds)
        async with self._parts.store.read() as queries:
            now = await queries.now()
            quiet = [attempt for attempt in await queries.live_attempts() if attempt.lease_until <= now + lease / 2]
        if not quiet or not await self._all_reports_read() or not await self._takes_writes(now + lease / 4):
            return
        if self._parts.clock.monotonic() - self._heard_since < self._parts.limits.lease_seconds:
            return
        for attempt in quiet:
            if attempt.lease_until <= now and await self._parts.service.expire(attempt):
                _log.warning("lease expired", job=attempt.job_id, attempt=attempt.number, agent=attempt.agent)

    async def _all_reports_read(self) -> bool:
        """Whether nothing waits that a worker said, and workers can say something now.

        To count is only to read: a broker that takes nothing may still be counted, so it is written to as well.
        """
        pool = self._parts.pools[0]
        try:
            async with asyncio.timeout(self._parts.limits.lease_seconds / 4):
                await self._parts.broker.publish(doorbell(pool), [Ring(pool=pool).encode()])
            return (await self._parts.broker.depth(REPORTS)).ready == 0
        except (TemporaryError, TimeoutError) as error:
            self._hear_anew(str(error) or "the broker takes nothing in time")
            return False

    async def _takes_writes(self, until: datetime) -> bool:
        """Whether reports can be recorded now: a lock or a stall may have kept back those that are read already."""
        async with self._parts.store.begin() as tx:
            answered = await tx.now()
        if answered > until:
            self._hear_anew("the database took no writes")
        return answered <= until

    def _hear_anew(self, why: str) -> None:
        """Whoever is silent may only have been unheard: every lease is left alone for the length of one."""
        now = self._parts.clock.monotonic()
        if now - self._heard_since >= self._parts.limits.lease_seconds:
            _log.warning("leases are left alone until all workers had time to be heard", reason=why)
        self._heard_since = now

    async def _end_overdue(self) -> None:
        limits = self._parts.limits
        async with self._parts.store.read() as queries:
            now = await queries.now()
            waiting_since = now - timedelta(seconds=min(limits.no_agent_seconds, limits.queue_seconds))
            builds = await queries.open_builds([BuildState.RUNNING, BuildState.CANCELLING])
            builds += await queries.open_builds([BuildState.QUEUED, BuildState.RECEIVED], created_before=waiting_since)
            seen = await queries.pools_seen_at()
            refused = await queries.refusals()
        for build in builds:
            at = seen.get(build.pool)
            why = why_nobody(refused.get(build.pool), at)
            if overdue(build, at, limits, now) is None:
                continue
            decide = partial(overdue, agents_seen_at=at, limits=limits, now=now, why_nobody=why)
            if await self._parts.service.apply(build.id, decide):
                _log.warning("build ended by its bounds", build=build.id)

    async def _repeat_hints(self) -> None:
        """Tell again who should stop or drain: the first hint may not have been heard."""
        async with self._parts.store.read() as queries:
            now = await queries.now()
            cancelling = {build.id for build in await queries.open_builds([BuildState.CANCELLING])}
            live = await queries.live_attempts()
            present = await queries.agents(now - self._parts.silence)
        self._parts.relay.hint(_stops(live, cancelling))
        self._parts.relay.hint(
            DrainAgent(agent=agent.name, reason=agent.reason) for agent in present if agent.draining and not agent.left
        )

    async def _reissue(self, pool: str) -> None:
        """Give ready jobs their missing tickets, when they were missing at two looks in a row."""
        async with self._parts.store.read() as queries:
            ready = (await queries.pool_counts()).get(pool)
            pending = (await queries.pending_tickets()).get(pool, 0)
        if ready is None or ready.ready == 0:
            self._missing[pool] = 0
            return
        try:
            depth = await self._parts.broker.depth(jobs(pool))
        except UnknownCount:
            return
        missing = tickets_to_reissue(ready.ready, depth.ready, pending)
        before, self._missing[pool] = self._missing.get(pool, 0), missing
        count = min(before, missing)
        if count and self._due(f"reissue {pool}", _REISSUE_SECONDS):
            _log.info("tickets reissued", pool=pool, count=count)
            self._missing[pool] = 0
            await self._parts.service.reissue(pool, count)

    async def _drop_old(self) -> None:
        """Forget uploads that nobody built, and agents that went long ago."""
        async with self._parts.store.begin() as tx:
            now = await tx.now()
            keys = await tx.drop_uploads_before(now - self._parts.upload_keep)
            await tx.drop_agents_before(now - AGENTS_KEPT)
        if keys:
            await self._parts.objects.delete(keys)


def _stops(live: tuple[Attempt, ...], cancelling: set[str]) -> list[CancelJob]:
    return [
        CancelJob(job_id=attempt.job_id, attempt=attempt.number) for attempt in live if attempt.build_id in cancelling
    ]
