"""What people change while builds wait: the intake of pools, the priority of builds."""

from __future__ import annotations

from sqlalchemy import and_, delete, insert, select, update

from buildyard.contracts.annotations import Annotation
from buildyard.contracts.builds import JobState, Priority
from orchestrator.domain.changing import PoolChange
from orchestrator.store import schema as t
from orchestrator.store.keys import Keys

CHANGES_KEPT = 200
"""How many of its newest changes a pool keeps."""


class Changes(Keys):
    """The part of a transaction that changes what waits."""

    async def pool_change(self, pool: str) -> PoolChange | None:
        """The newest change of a pool's intake."""
        columns = t.pool_changes.c
        query = select(t.pool_changes).where(columns.pool == pool).order_by(columns.seq.desc()).limit(1)
        row = (await self._db.execute(query)).mappings().first()
        return PoolChange(**row) if row else None

    async def add_pool_change(self, pool: str, *, paused: bool, reason: str, requester: str) -> None:
        """A pool's intake is paused or resumed; the oldest of many changes go."""
        values = {"pool": pool, "paused": paused, "reason": reason, "requester": requester, "at": await self.now()}
        await self._db.execute(insert(t.pool_changes).values(values))
        columns = t.pool_changes.c
        newest = select(columns.seq).where(columns.pool == pool).order_by(columns.seq.desc()).limit(CHANGES_KEPT)
        old = and_(columns.pool == pool, columns.seq.not_in(newest.scalar_subquery()))
        await self._db.execute(delete(t.pool_changes).where(old))

    async def put_annotation(self, build_id: str, pinned: Annotation) -> None:
        """Pin words to a build, in place of those of the same context."""
        change = pinned.model_dump(exclude={"context"})
        values = {"build_id": build_id, "context": pinned.context, **change}
        await self._upsert(t.build_annotations, values, ("build_id", "context"), change)

    async def set_priority(self, build_id: str, priority: Priority) -> None:
        """A build and those of its jobs that no agent has yet are as urgent as this."""
        await self._db.execute(update(t.builds).where(t.builds.c.id == build_id).values(priority=priority.rank))
        idle = t.jobs.c.state.in_([JobState.WAITING.value, JobState.READY.value])
        await self._db.execute(
            update(t.jobs).where(and_(t.jobs.c.build_id == build_id, idle)).values(priority=priority.rank)
        )
