"""The sweeper: whatever nobody moves any more is ended or handed on, by the store's clock.

Safe in several producers at once: each action is decided again under the build's lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from buildyard.clock import Clock
from buildyard.contracts.builds import BuildState
from buildyard.contracts.messages import CancelJob, DrainAgent
from buildyard.errors import BuildyardError, TemporaryError, UnknownCount
from buildyard.ports import jobs
from buildyard.telemetry import logger
from orchestrator.domain.access import why_nobody
from orchestrator.domain.changing import alone_since
from orchestrator.domain.records import Attempt, Build, Limits
from orchestrator.domain.sweeping import lapsed, overdue, suits_nobody, tickets_to_reissue
from orchestrator.hearing import Hearing
from orchestrator.relay import Relay
from orchestrator.service import Service
from orchestrator.store import Store
from orchestrator.upkeep import Upkeep

_log = logger("sweep")
_SLOW_SECONDS = 5.0
"""How often the checks run that need not be quick."""
_REISSUE_SECONDS = 30.0
_OLD_SECONDS = 60.0
_TELL_SECONDS = 1.0
_TELL_IDLE_SECONDS = 5.0
"""While no attempt lives nobody waits for the word, and the next lease ends at most so much later for it."""
_PAGE = 500


@dataclass(frozen=True)
class SweepParts:
    """What the sweeper works with; `settle` is called while no build is open."""

    store: Store
    service: Service
    hearing: Hearing
    upkeep: Upkeep
    relay: Relay
    clock: Clock
    limits: Limits
    pools: tuple[str, ...]
    sweep_seconds: float
    silence: timedelta
    settle: Callable[[], None]


class Sweeper:
    """Runs the checks in the background."""

    def __init__(self, parts: SweepParts) -> None:
        self._parts = parts
        self._hearing = parts.hearing
        self._next: dict[str, float] = {}
        self._missing: dict[str, int] = {}
        self._live = True

    async def run(self) -> None:
        """Sweep until cancelled; a failed pass is logged and the next one begins afresh."""
        still = self._parts.sweep_seconds + self._parts.limits.lease_seconds / 2
        looked = self._parts.clock.monotonic()
        while True:
            if self._parts.clock.monotonic() - looked > still:
                self._hearing.anew("this process stood still")
            looked = self._parts.clock.monotonic()
            try:
                await self._pass()
            except TemporaryError as error:
                _log.warning("pass failed", reason=str(error))
                self._hearing.anew(str(error))
            except BuildyardError:
                _log.exception("pass failed")
            await asyncio.sleep(self._parts.sweep_seconds)

    async def leave(self) -> None:
        """This producer stops."""
        await self._hearing.leave()

    async def _pass(self) -> None:
        tell_seconds = _TELL_SECONDS if self._live else _TELL_IDLE_SECONDS
        if self._due("tell", min(tell_seconds, self._parts.limits.lease_seconds / 8)):
            await self._hearing.tell()
        await self._expire_leases()
        await self._parts.service.end_waits()
        if self._due("bounds", min(_SLOW_SECONDS, self._parts.sweep_seconds * 5)):
            await self._end_overdue()
            await self._end_unsuited()
            await self._repeat_hints()
        if self._due("tickets", _SLOW_SECONDS):
            for pool in self._parts.pools:
                await self._reissue(pool)
        if self._due("old rows", _OLD_SECONDS):
            await self._parts.upkeep.drop_old_rows()

    def _due(self, what: str, seconds: float) -> bool:
        now = self._parts.clock.monotonic()
        if now < self._next.get(what, 0):
            return False
        self._next[what] = now + seconds
        return True

    async def _expire_leases(self) -> None:
        """End attempts whose lease ran out, but only once all that workers said by then is recorded.

        After a start, and after anything that kept reports from being heard, the workers get one lease's time anew:
        they may have spoken to nobody meanwhile. Outages that never cease do not renew it for ever: what could be heard
        between them counts in sum. So broker and database are asked as soon as a lease is half over.
        """
        seconds = self._parts.limits.lease_seconds
        lease = timedelta(seconds=seconds)
        async with self._parts.store.read() as queries:
            now = await queries.now()
            live = await queries.live_attempts()
        self._live = bool(live)
        self._hearing.look(now)
        quiet = [one for one in live if one.lease_until <= now + lease / 2 or lapsed(one.lease_until, seconds, now)]
        if not quiet or not await self._hearing.all_read(now) or not await self._takes_writes(now + lease / 4):
            return
        heard_until = await self._hearing.heard_until()
        if heard_until is None:
            return
        for attempt in quiet:
            over = lapsed(attempt.lease_until, seconds, heard_until)
            if (
                over
                and self._hearing.enough_for(attempt.lease_until)
                and await self._parts.service.expire(attempt, heard_until)
            ):
                _log.warning("lease expired", job=attempt.job_id, attempt=attempt.number, agent=attempt.agent)

    async def _takes_writes(self, until: datetime) -> bool:
        """Whether reports can be recorded now: a lock or a stall may have kept back those that are read already."""
        async with self._parts.store.begin() as tx:
            answered = await tx.now()
        if answered > until:
            self._hearing.anew("the database took no writes")
        return answered <= until

    async def _end_overdue(self) -> None:
        limits = self._parts.limits
        async with self._parts.store.read() as queries:
            now = await queries.now()
            seen = await queries.pools_seen_at()
            refused = await queries.refusals()
            changed = await queries.pool_changes()
        listening = self._hearing.since(now)
        any_open = False
        async for build in self._open_builds(now):
            any_open = True
            at = max(listening, alone_since(seen.get(build.pool), changed.get(build.pool), now) or listening)
            if overdue(build, at, limits, now) is None:
                continue
            why = why_nobody(refused.get(build.pool), seen.get(build.pool))
            decide = partial(overdue, agents_seen_at=at, limits=limits, now=now, why_nobody=why)
            if await self._parts.service.apply(build.id, decide):
                _log.warning("build ended by its bounds", build=build.id)
        if not any_open:
            async with self._parts.store.read() as queries:
                any_open = await queries.open_build_count() > 0
        if not any_open:
            self._parts.settle()

    async def _end_unsuited(self) -> None:
        """End builds whose jobs need what no agent has had for too long; not while their pool is paused."""
        limits = self._parts.limits
        bound = timedelta(seconds=limits.no_agent_seconds)
        async with self._parts.store.read() as queries:
            now = await queries.now()
            if self._hearing.since(now) > now - bound:
                return
            found = await queries.long_unsuited(now - bound)
            changed = await queries.pool_changes() if found else {}
        for job in found:
            again = alone_since(None, changed.get(job.pool), now)
            if again is not None and again > now - bound:
                continue
            decide = partial(suits_nobody, why=job.why, limits=limits, now=now)
            if await self._parts.service.apply(job.build_id, decide):
                _log.warning("build ended, no agent suits it", build=job.build_id)

    async def _open_builds(self, now: datetime) -> AsyncIterator[Build]:
        """All open builds but those that came just now, page by page: the first ones must not hide the others."""
        limits = self._parts.limits
        waiting_since = now - timedelta(seconds=min(limits.no_agent_seconds, limits.queue_seconds))
        waiting = [BuildState.QUEUED, BuildState.RECEIVED]
        for states, before in (([BuildState.RUNNING, BuildState.CANCELLING], None), (waiting, waiting_since)):
            after, page = "", _PAGE
            while page == _PAGE:
                async with self._parts.store.read() as queries:
                    builds = await queries.open_builds(states, before, _PAGE, after)
                for build in builds:
                    yield build
                page = len(builds)
                after = builds[-1].id if builds else ""

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
            counts = (await queries.pool_counts()).get(pool)
            pending = (await queries.pending_tickets()).get(pool, 0)
            unserved = (await queries.unserved(self._parts.silence)).get(pool)
        ready = max(0, counts.ready - (unserved.count if unserved else 0)) if counts else 0
        if ready == 0:
            self._missing[pool] = 0
            return
        try:
            tickets = await self._hearing.count(jobs(pool))
        except UnknownCount:
            return
        if tickets is None:
            return
        missing = tickets_to_reissue(ready, tickets, pending)
        before, self._missing[pool] = self._missing.get(pool, 0), missing
        count = min(before, missing)
        if count and self._due(f"reissue {pool}", _REISSUE_SECONDS):
            _log.info("tickets reissued", pool=pool, count=count)
            self._missing[pool] = 0
            await self._parts.service.reissue(pool, count)


def _stops(live: tuple[Attempt, ...], cancelling: set[str]) -> list[CancelJob]:
    return [
        CancelJob(job_id=attempt.job_id, attempt=attempt.number) for attempt in live if attempt.build_id in cancelling
    ]
