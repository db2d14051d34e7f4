"""Questions about decisions, answered from the record: pages of it, `/why` and `/whatif`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import islice
from typing import Protocol

from buildyard.clock import Clock
from buildyard.contracts.api import BuildStatus, PoolView
from buildyard.contracts.scaling import Decision, WhatIf, WhatIfAnswer, WhyList
from buildyard.errors import Conflict, NotFound
from scaler.history import number_of
from scaler.loop import PoolLoop
from scaler.record import DecisionRecord, Wanted
from scaler.whatif import what_if
from scaler.why import why_build, why_workers

LOOKED_THROUGH = 100
"""So many of a pool's last changes are read to say how its workers came ..."""
_LINES_LOOKED_THROUGH = 2_000
"""... out of so many lines on disk at most: the answer is to come at once."""


class Builds(Protocol):
    """What is asked of the producer; `buildyard.client.ProducerClient` is one."""

    async def build(self, build_id: str) -> BuildStatus:
        """One build. Raises NotFound and ProducerUnavailable."""


class Explainer:
    """Answers from the record of decisions. Files are read in a thread, so no loop waits for a disk.

    Args:
        record: the record of this scaler.
        loops: by the name of their pool.
        builds: where builds are looked up.
        clock: what "ago" counts from.
    """

    def __init__(self, record: DecisionRecord, loops: Mapping[str, PoolLoop], builds: Builds, clock: Clock) -> None:
        self._record = record
        self._loops = dict(loops)
        self._builds = builds
        self._clock = clock

    async def page(self, limit: int, wanted: Wanted) -> tuple[list[bytes], str | None]:
        """Encoded decisions, newest first, and the cursor of older ones."""
        found = self._record.newest(limit, wanted)
        oldest = self._record.oldest_in_memory
        if len(found) < limit and oldest > wanted.since + 1:
            below = oldest if wanted.below is None else min(oldest, wanted.below)
            told = self._record.in_memory_of_older_runs()
            older = wanted._replace(below=below)
            found += await asyncio.to_thread(self._read, older, limit - len(found), told)
        return found, str(number_of(found[-1])) if len(found) == limit else None

    async def why_pools(self, pool: str | None) -> WhyList:
        """Why pools have the workers they have. Raises NotFound."""
        if pool is not None:
            self._loop(pool)
        names = [pool] if pool else list(self._loops)
        now = self._clock.now()
        return WhyList(
            answers=tuple([why_workers(name, await self._changes(name), self._view(name), now) for name in names])
        )

    async def why_build(self, build_id: str) -> WhyList:
        """Why a build waits. Raises NotFound and ProducerUnavailable."""
        build = await self._builds.build(build_id)
        known = build.target_pool in self._loops
        decisions = await self._changes(build.target_pool) if known else []
        view = self._view(build.target_pool) if known else None
        return WhyList(answers=(why_build(build, decisions, view, self._clock.now()),))

    async def what_if(self, question: WhatIf) -> WhatIfAnswer:
        """What would be decided with other values. Raises NotFound, and Conflict before the first decision."""
        sight = self._loop(question.pool).latest
        if sight is None:
            raise Conflict(f"Nothing was decided about the pool {question.pool} yet.", remedy="Ask again in a second.")
        lines, _ = await self.page(question.ticks, Wanted(pool=question.pool)) if question.ticks else ([], None)
        return await asyncio.to_thread(_answered, question, sight.decision, lines)

    async def _changes(self, pool: str) -> list[Decision]:
        """The pool's newest decision, and before it those that were news."""
        wanted = Wanted(pool=pool, most_lines=_LINES_LOOKED_THROUGH)
        newest, _ = await self.page(1, wanted)
        changes, _ = await self.page(LOOKED_THROUGH, wanted._replace(only_news=True))
        lines = newest + [line for line in changes if line not in newest]
        return [Decision.model_validate_json(line) for line in lines]

    def _read(self, wanted: Wanted, number: int, told: Mapping[str, int]) -> list[bytes]:
        return [decision.encode() for decision in islice(self._record.on_disk(wanted, told), number)]

    def _view(self, pool: str) -> PoolView | None:
        sight = self._loop(pool).latest
        pools = sight.seen.pools.value.pools if sight and sight.seen.pools.value else ()
        return next((view for view in pools if view.name == pool), None)

    def _loop(self, pool: str) -> PoolLoop:
        if pool not in self._loops:
            known = ", ".join(self._loops)
            raise NotFound(f"This scaler has no pool {pool}.", remedy=f"It has: {known}.")
        return self._loops[pool]


def _answered(question: WhatIf, newest: Decision, lines: list[bytes]) -> WhatIfAnswer:
    return what_if(question, newest, [Decision.model_validate_json(line) for line in lines])
