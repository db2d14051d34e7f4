"""Ready jobs by what they need of an agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from buildyard.contracts.builds import JobState
from orchestrator.domain.records import Agent, Job
from orchestrator.domain.suiting import NeedsOfPool, ReadyJobs, Unserved, unserved, why_unsuited
from orchestrator.domain.trials import TRIAL_AGAIN
from orchestrator.store import codec, standing
from orchestrator.store import schema as t

_ANY_NEEDS = select(t.jobs.c.needs).where(t.READY, t.jobs.c.needs > "").limit(1)
_READY_NEEDS = (
    select(t.jobs.c.pool, t.jobs.c.needs, func.count(), func.min(t.jobs.c.ready_at))
    .where(t.READY)
    .group_by(t.jobs.c.needs, t.jobs.c.pool)
)
_LONG_READY = (
    select(t.jobs.c.build_id)
    .distinct()
    .where(
        t.READY,
        t.jobs.c.needs == bindparam("needs"),
        t.jobs.c.pool == bindparam("pool"),
        t.jobs.c.ready_at <= bindparam("since", type_=t.jobs.c.ready_at.type),
    )
    .limit(bindparam("at_most"))
)
_PAGE = 500
_BEST_NEEDS = (
    select(t.jobs.c.needs)
    .where(t.jobs.c.state == JobState.READY.value, t.jobs.c.pool == bindparam("pool"))
    .order_by(t.jobs.c.priority.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Unsuited:
    """A build with a job that no agent suits, and why, in a sentence."""

    build_id: str
    pool: str
    why: str


def unserved_by_pool(pools: Mapping[str, NeedsOfPool]) -> dict[str, Unserved]:
    """The ready jobs that none of a pool's agents suits, of those pools that have any."""
    found = {name: unserved(name, pool.ready, pool.takers) for name, pool in pools.items()}
    return {name: jobs for name, jobs in found.items() if jobs.count}


class ByNeeds:
    """Reads what ready jobs need; hardly anything is read while none needs anything."""

    _db: AsyncConnection

    async def now(self) -> datetime:
        """The store's clock."""
        raise NotImplementedError

    async def ready_needs(self) -> dict[str, dict[str, ReadyJobs]]:
        """Ready jobs by pool and needs, of those pools in which any job needs something."""
        if (await self._db.execute(_ANY_NEEDS)).first() is None:
            return {}
        found: dict[str, dict[str, ReadyJobs]] = {}
        for row in await self._db.execute(_READY_NEEDS):
            found.setdefault(row[0], {})[row[1]] = ReadyJobs(row[2], row[3])
        return {pool: needs for pool, needs in found.items() if any(needs)}

    async def unserved(self, silence: timedelta) -> dict[str, Unserved]:
        """By pool, the ready jobs that none of its agents suits; `silence` is how long an agent may be silent."""
        return unserved_by_pool(await self.needs_of_pools(silence))

    async def needs_of_pools(self, silence: timedelta) -> dict[str, NeedsOfPool]:
        """What ready jobs need and who may have it, of those pools in which any job needs something."""
        ready = await self.ready_needs()
        if not ready:
            return {}
        now = await self.now()
        agents = await self._agents(now - max(silence, TRIAL_AGAIN))
        found = {}
        for pool, needs in ready.items():
            known = tuple(agent for agent in agents if agent.pool == pool)
            here = tuple(one for one in known if not (one.left or one.draining) and one.seen_at >= now - silence)
            found[pool] = NeedsOfPool(needs, here, known)
        return found

    async def why_unsuited(self, job: Job, silence: timedelta) -> str:
        """Why none of a pool's agents takes a ready job; empty when one may, or nobody knows."""
        if job.state is not JobState.READY or not job.needs:
            return ""
        now = await self.now()
        agents = [agent for agent in await self._agents(now - silence) if agent.pool == job.pool and not agent.left]
        return why_unsuited(job.pool, job.needs, agents)

    async def long_unsuited(self, since: datetime) -> list[Unsuited]:
        """Builds with a job that is ready since before then, and no agent seen from then on suits it.

        Where no agent was seen at all nobody knows what the next one has: that pool's builds are not told.
        """
        ready = await self.ready_needs()
        agents = await self._agents(since) if ready else []
        found: list[Unsuited] = []
        for pool, kinds in ready.items():
            here = [agent for agent in agents if agent.pool == pool]
            for needs, jobs in kinds.items():
                if not here or jobs.oldest_ready_at > since or not (why := why_unsuited(pool, needs, here)):
                    continue
                asked = {"pool": pool, "needs": needs, "since": since, "at_most": _PAGE}
                found += [Unsuited(row[0], pool, why) for row in await self._db.execute(_LONG_READY, asked)]
        return found

    async def _agents(self, since: datetime) -> list[Agent]:
        rows = (await self._db.execute(standing.AGENTS, {"seen_since": since})).mappings()
        return [codec.agent_from(row) for row in rows]

    async def any_ready(self, pool: str) -> str | None:
        """What a ready job of the pool's highest priority needs, whoever may take it; None where no job is ready."""
        return (await self._db.execute(_BEST_NEEDS, {"pool": pool})).scalar_one_or_none()
