"""The outlook of builds that are just accepted: their place in the queue and when they may start.

The answers are guesses, so what they rest on may be a little old, but never costs more than a small share of the time:
counting ten thousand ready jobs anew for every submission would.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from buildyard.clock import Clock
from orchestrator.domain.records import Build
from orchestrator.domain.schedule import Estimate, estimate
from orchestrator.store.queries import Queries

_CHEAP_SECONDS = 0.005
"""What is counted faster than this is counted every time, so a small farm's positions are exact."""
_SHARE = 20
"""A slower count is used for so many times as long as it took: counting takes a twentieth of the time at most."""
_PAST_SECONDS = 5.0
"""How long a project's past is taken as known, once it has one."""
_PROJECTS_KEPT = 1000


@dataclass(frozen=True)
class Queue:
    """The farm as a group of submissions finds it."""

    ready: Mapping[tuple[str, int], int]
    """Jobs by pool and rank of priority."""
    agents: Mapping[str, int]
    past: Mapping[str, tuple[float, ...]]
    """Seconds of past builds, by project."""


class Outlook:
    """Looks at the queue for groups of submissions."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: Counter[tuple[str, int]] = Counter()
        self._ready_until = 0.0
        self._past: OrderedDict[str, tuple[float, tuple[float, ...]]] = OrderedDict()

    async def look(self, queries: Queries, builds: Sequence[Build], agents_since: datetime) -> Queue:
        """The queue as it is before these builds are in it."""
        begun = self._clock.monotonic()
        if begun >= self._ready_until:
            self._ready = Counter(await queries.ready_by_rank())
            now = self._clock.monotonic()
            took = now - begun
            self._ready_until = now + took * _SHARE if took > _CHEAP_SECONDS else 0.0
        seen = dict(self._ready)
        self._ready.update((build.pool, build.priority.rank) for build in builds)
        projects = {build.project for build in builds}
        past = {project: await self._past_of(queries, project) for project in projects}
        return Queue(seen, await queries.agents_by_pool(agents_since), past)

    def of(self, build: Build, queue: Queue, beside: Sequence[Build], now: datetime) -> tuple[int, Estimate]:
        """How many ready jobs go before a build's, and when it may start. `beside` are the builds of its group."""
        rank = build.priority.rank
        waiting = sum(count for (pool, one), count in queue.ready.items() if pool == build.pool and one >= rank)
        first = sum(1 for one in beside if one.pool == build.pool and (-one.priority.rank, one.id) < (-rank, build.id))
        position = waiting + first
        return position, estimate(position, queue.agents.get(build.pool, 0), queue.past[build.project], now)

    async def _past_of(self, queries: Queries, project: str) -> tuple[float, ...]:
        now = self._clock.monotonic()
        until, past = self._past.get(project, (0.0, ()))
        if now >= until:
            past = await queries.past_seconds(project)
            self._past[project] = (now + (_PAST_SECONDS if past else 0.0), past)
            self._past.move_to_end(project)
            if len(self._past) > _PROJECTS_KEPT:
                self._past.popitem(last=False)
        return past
