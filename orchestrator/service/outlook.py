"""The outlook of builds: their place in the queue, when they may start and how long they may take.

The answers are guesses, so what they rest on may be a little old where many ask at once, but never costs more than a
small share of the time: counting ten thousand ready jobs anew for every submission would.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from buildyard.clock import Clock
from buildyard.contracts.builds import BuildState
from orchestrator.domain.changing import PoolChange, why_paused
from orchestrator.domain.estimating import (
    NEWEST,
    Estimate,
    Kind,
    Success,
    estimate,
    expected_seconds,
    remaining_seconds,
)
from orchestrator.domain.records import Build
from orchestrator.store.past import Running
from orchestrator.store.queries import Queries

_CHEAP_SECONDS = 0.005
"""What is counted faster than this is counted every time, so a small farm's positions are exact."""
_SHARE = 20
"""A slower count is used for so many times as long as it took: counting takes a twentieth of the time at most."""
_PAST_SECONDS = 5.0
"""How long a past is taken as known, once it is as long as it needs to be."""
_PRESENT_SECONDS = 0.5
"""How long what runs now is taken as known."""
_PROJECTS_KEPT = 1000


@dataclass(frozen=True)
class Queue:
    """The farm as a group of submissions finds it."""

    ready: Mapping[tuple[str, int], int]
    """Jobs by pool and rank of priority."""
    free_in: Mapping[str, Sequence[float] | None]
    """By pool, in how many seconds each of its agents is free; None for a pool that hands out nothing."""
    job_seconds: Mapping[str, float]
    """What a job takes, by pool."""
    past: Mapping[str, Sequence[Success]]
    """Builds that succeeded, by project."""
    farm_past: Sequence[Success]


@dataclass(frozen=True)
class _Present:
    """What is read of the farm now and again."""

    running: Sequence[Running] = ()
    paused: frozenset[str] = frozenset()
    job_seconds: Mapping[str, float] = field(default_factory=dict)
    farm_past: Sequence[Success] = ()


class Outlook:
    """Looks at the queue for groups of submissions."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: Counter[tuple[str, int]] = Counter()
        self._ready_until = 0.0
        self._present = _Present()
        self._present_until = self._learned_until = 0.0
        self._past: OrderedDict[str, tuple[float, Sequence[Success]]] = OrderedDict()

    async def look(self, queries: Queries, builds: Sequence[Build], agents_since: datetime, now: datetime) -> Queue:
        """The queue as it is before these builds are in it."""
        begun = self._clock.monotonic()
        if begun >= self._ready_until:
            self._ready = Counter(await queries.ready_by_rank())
            after = self._clock.monotonic()
            took = after - begun
            self._ready_until = after + took * _SHARE if took > _CHEAP_SECONDS else 0.0
        seen = dict(self._ready)
        self._ready.update((build.pool, build.priority.rank) for build in builds)
        past = {project: await self._past_of(queries, project) for project in {build.project for build in builds}}
        present = await self._seen_now(queries)
        agents = await queries.agents_by_pool(agents_since)
        free = {
            pool: None if pool in present.paused else self._free_in(pool, agents.get(pool, 0), present, now)
            for pool in {build.pool for build in builds}
        }
        return Queue(seen, free, present.job_seconds, past, present.farm_past)

    def of(self, build: Build, queue: Queue, beside: Sequence[Build], now: datetime) -> tuple[int, Estimate]:
        """How many ready jobs go before a build's, and when it may start. `beside` are the builds of its group."""
        rank = build.priority.rank
        waiting = sum(count for (pool, one), count in queue.ready.items() if pool == build.pool and one >= rank)
        first = sum(1 for one in beside if one.pool == build.pool and (-one.priority.rank, one.id) < (-rank, build.id))
        position = waiting + first
        expected = expected_seconds(_kind(build), queue.past[build.project], queue.farm_past)
        free = queue.free_in.get(build.pool, ())
        if free is None:
            return position, Estimate(None, expected)
        return position, estimate(position, free, queue.job_seconds.get(build.pool), expected, now)

    # ------------------------------------------------------------------ inside

    def _free_in(self, pool: str, agents: int, present: _Present, now: datetime) -> Sequence[float]:
        known = {project: past for project, (_, past) in self._past.items()}
        return _free_in(pool, agents, present.running, known, present.job_seconds.get(pool), now)

    async def _seen_now(self, queries: Queries) -> _Present:
        """What runs, and what jobs take: read again when it is too old."""
        now = self._clock.monotonic()
        if now < self._present_until:
            return self._present
        job_seconds, farm_past = self._present.job_seconds, self._present.farm_past
        if now >= self._learned_until:
            job_seconds, farm_past = await queries.past.job_seconds(), await queries.past.successes(None)
            self._learned_until = now + (_PAST_SECONDS if len(farm_past) >= NEWEST else 0.0)
        paused = _paused(await queries.pool_changes())
        self._present = _Present(await queries.past.running(), paused, job_seconds, farm_past)
        self._present_until = now + _PRESENT_SECONDS
        return self._present

    async def _past_of(self, queries: Queries, project: str) -> Sequence[Success]:
        now = self._clock.monotonic()
        until, past = self._past.get(project, (0.0, ()))
        if now >= until:
            past = await queries.past.successes(project)
            self._past[project] = (now + (_PAST_SECONDS if len(past) >= NEWEST else 0.0), past)
            self._past.move_to_end(project)
            if len(self._past) > _PROJECTS_KEPT:
                self._past.popitem(last=False)
        return past


async def outlook_of(queries: Queries, build: Build, silence: timedelta) -> tuple[int | None, Estimate]:
    """What is shown of a build, read anew: its place while it is queued, a guess until it has ended."""
    if build.state is BuildState.QUEUED:
        return await forecast(queries, build, silence)
    if build.state.terminal:
        return None, Estimate(None, None)
    return None, Estimate(None, await _expected(queries, build))


async def forecast(queries: Queries, build: Build, silence: timedelta) -> tuple[int, Estimate]:
    """How many ready jobs go before a build that waits, when it may start and how long it may take, read anew.

    `silence` is how long an agent may be silent before it counts as lost.
    """
    now = await queries.now()
    position = await queries.jobs_ahead(build)
    expected = await _expected(queries, build)
    if build.pool in _paused(await queries.pool_changes()):
        return position, Estimate(None, expected)
    job_seconds = (await queries.past.job_seconds()).get(build.pool)
    agents = await queries.agents_present(build.pool, now - silence)
    free = _free_in(build.pool, agents, await queries.past.running(), {}, job_seconds, now)
    return position, estimate(position, free, job_seconds, expected, now)


async def _expected(queries: Queries, build: Build) -> float | None:
    of_project = await queries.past.successes(build.project)
    of_farm = () if of_project else await queries.past.successes(None)
    return expected_seconds(_kind(build), of_project, of_farm)


def _kind(build: Build) -> Kind:
    return Kind(build.toolchain, build.properties.configuration, build.rows_total)


def _paused(changes: Mapping[str, PoolChange]) -> frozenset[str]:
    return frozenset(pool for pool, change in changes.items() if why_paused(change))


def _free_in(
    pool: str,
    agents: int,
    running: Sequence[Running],
    pasts: Mapping[str, Sequence[Success]],
    job_seconds: float | None,
    now: datetime,
) -> list[float]:
    """In how many seconds each agent of a pool is free. `pasts` are those of projects, as far as they are at hand."""
    here = [one for one in running if one.pool == pool]
    busy: list[float] = []
    for one in here:
        past = pasts.get(one.project, ()) if one.whole_build else ()
        expected = expected_seconds(Kind(), past, ()) or job_seconds
        if expected is not None:
            busy.append(remaining_seconds(expected, (now - one.started_at).total_seconds()))
    return [0.0] * max(0, agents - len(here)) + busy
