"""Removing what is kept no longer: which builds that concerns, and their rows in bounded portions.

A removal is marked first (`mark`): from that commit on nobody is shown what is to go, and any producer carries it on.
Its objects go then, and its rows last, so that no row that is shown leads to nothing and no object is left without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    RowMapping,
    Select,
    and_,
    delete,
    exists,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from buildyard.contracts.builds import BuildState, Outcome
from orchestrator.domain.records import Build
from orchestrator.domain.retention import Kept, Past
from orchestrator.store import codec
from orchestrator.store import schema as t
from orchestrator.store.changes import Changes
from orchestrator.store.tombstones import not_removed

PORTION = 2000
"""Rows that one transaction deletes at most, or about so: nobody waits for long behind it."""
_OPEN = [state.value for state in BuildState if not state.terminal]
_OUTPUTS = (t.log_segments, t.artifacts)
_PARTS = (
    (t.log_segments, t.log_segments.c.build_id, t.log_segments.c.build_first),
    (t.artifacts, t.artifacts.c.id),
    (t.rows, t.rows.c.build_id, t.rows.c.row),
    (t.events, t.events.c.build_id, t.events.c.seq),
    (t.jobs, t.jobs.c.id),
)
"""Tables that may hold many rows of one build, and what tells rows apart; the others go with the jobs or the builds."""


@dataclass(frozen=True)
class Removal:
    """A build of which something is being removed; `kept` is what will be left."""

    build_id: str
    kept: Kept


class Removing(Changes):
    """The part of a transaction that removes."""

    async def past(
        self, kept: Kept, before: datetime, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[Past, ...]:
        """Builds of which so much is kept and that ended before a moment, the first to end first.

        `after` is the end and the id of the last one of the page before.
        """
        b = t.builds.c
        where = [b.kept == kept.value, b.ended_at < before]
        if after is not None:
            at, last = after
            where.append(or_(b.ended_at > at, and_(b.ended_at == at, b.id > last)))
        return await self._past(and_(*where), limit)

    async def past_held(self, build_ids: Sequence[str]) -> tuple[Past, ...]:
        """These builds as they stand, held until the transaction ends; those that another one holds are left out."""
        query = select(t.builds.c.id).where(t.builds.c.id.in_(build_ids)).order_by(t.builds.c.id)
        held = list((await self._db.execute(query.with_for_update(skip_locked=True))).scalars())
        # Asked anew: one of them may have been built again before it was held.
        return await self._past(t.builds.c.id.in_(held), len(held)) if held else ()

    async def builds_by_id(self, build_ids: Sequence[str]) -> tuple[Build, ...]:
        """Builds, not held."""
        rows = await self._db.execute(select(t.builds).where(t.builds.c.id.in_(build_ids)).order_by(t.builds.c.id))
        return tuple(codec.build_from(row) for row in rows.mappings())

    async def mark(self, build_ids: Sequence[str], kept: Kept) -> None:
        """From now on no more than this is kept of builds: who asks for the rest is told that it is gone."""
        now = await self.now()
        await self._db.execute(
            update(t.builds).where(t.builds.c.id.in_(build_ids)).values(kept=kept.value, removing_since=now)
        )
        if kept in Kept.TIDY.less:
            await self._bury(t.artifacts.c.id, t.artifacts.c.build_id.in_(build_ids))
        if kept is Kept.NOTHING:
            await self._bury(t.builds.c.id, t.builds.c.id.in_(build_ids))

    async def note_tidy(self, build_ids: Sequence[str]) -> None:
        """These builds hold nothing that nothing refers to."""
        await self._db.execute(update(t.builds).where(t.builds.c.id.in_(build_ids)).values(kept=Kept.TIDY.value))

    async def removals(self, limit: int) -> tuple[Removal, ...]:
        """What is marked and not yet done, the first marked first."""
        b = t.builds.c
        query = select(b.id, b.kept).where(b.removing_since.is_not(None)).order_by(b.removing_since, b.id)
        return tuple(Removal(row[0], Kept(row[1])) for row in await self._db.execute(query.limit(limit)))

    async def referenced_keys(self, build_id: str) -> set[str]:
        """The objects that a build's log, its list of tests and its artifacts lie in."""
        tests = select(t.builds.c.tests_key).where(t.builds.c.id == build_id, t.builds.c.tests_key.is_not(None))
        segments = select(t.log_segments.c.key).where(t.log_segments.c.build_id == build_id)
        artifacts = select(t.artifacts).where(t.artifacts.c.build_id == build_id)
        found = [codec.artifact_from(row) for row in (await self._db.execute(artifacts)).mappings()]
        keys = {*(await self._db.execute(segments)).scalars(), *(await self._db.execute(tests)).scalars()}
        return keys | {one.record.key for one in found}

    async def finish_removals(self, removals: Sequence[Removal]) -> tuple[Removal, ...] | None:
        """Delete rows of builds whose objects are gone, about `PORTION` of them; None when there are more.

        What another transaction is at is left to it; returns the others.
        """
        whose = t.builds.c.id.in_([one.build_id for one in removals])
        query = select(t.builds.c.id).where(whose).order_by(t.builds.c.id).with_for_update(skip_locked=True)
        held = set((await self._db.execute(query)).scalars())
        removals = tuple(one for one in removals if one.build_id in held)
        nothing = [one.build_id for one in removals if one.kept is Kept.NOTHING]
        no_outputs = [one.build_id for one in removals if one.kept in Kept.TIDY.less]
        room = PORTION
        for table, *key in _PARTS:
            of_builds = table.c.build_id.in_(no_outputs if table in _OUTPUTS else nothing)
            some = select(*key).where(of_builds).limit(room)
            room -= (await self._db.execute(delete(table).where(tuple_(*key).in_(some)))).rowcount
            if room <= 0:
                return None
        await self._db.execute(delete(t.builds).where(t.builds.c.id.in_(nothing)))
        for kept in (Kept.TIDY, Kept.RECORD):  # what is to go further meanwhile stays marked
            ids = [one.build_id for one in removals if one.kept is kept]
            done = and_(t.builds.c.id.in_(ids), t.builds.c.kept == kept.value)
            await self._db.execute(update(t.builds).where(done).values(removing_since=None))
        return removals

    async def builds_there(self, build_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are builds."""
        return set((await self._db.execute(select(t.builds.c.id).where(t.builds.c.id.in_(build_ids)))).scalars())

    async def builds_removed(self, build_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are known to have been removed."""
        query = select(t.tombstones.c.id).where(t.tombstones.c.id.in_(build_ids))
        return set((await self._db.execute(query)).scalars())

    async def drop_tombstones_before(self, moment: datetime) -> None:
        """Forget what was removed before a moment."""
        await self._db.execute(delete(t.tombstones).where(t.tombstones.c.at < moment))

    # ------------------------------------------------------------------ inside

    async def _past(self, where: ColumnElement[bool], limit: int) -> tuple[Past, ...]:
        b = t.builds.c
        query = _past_query().where(where).order_by(b.kept, b.ended_at, b.id).limit(limit)
        return tuple(_past_from(row) for row in (await self._db.execute(query)).mappings())

    async def _bury(self, things: ColumnElement[str], which: ColumnElement[bool]) -> None:
        """Note ids as removed, which the caller holds against others."""
        new = select(things, literal(await self.now(), t.Micros())).where(which, not_removed(things))
        await self._db.execute(insert(t.tombstones).from_select(["id", "at"], new))


@cache
def _past_query() -> Select[Any]:
    """What is asked of builds to judge them; put together once, since that costs more than to ask it."""
    b = t.builds.c
    letters, attempts = t.dead_letters.c, t.attempts.c
    newer = t.builds.alias("newer")
    overtaken = exists().where(
        newer.c.project == b.project, newer.c.state == BuildState.SUCCEEDED.value, newer.c.id > b.id
    )
    tried_again = exists().where(
        attempts.build_id == b.id,
        or_(attempts.outcome.is_(None), attempts.outcome != Outcome.SUCCEEDED.value),
    )
    return select(
        b.id,
        b.ended_at,
        b.kept,
        exists().where(letters.build_id == b.id, letters.resolution.is_(None)).label("waits"),
        b.id.in_(select(_needed().c.id)).label("needed"),
        and_(b.state == BuildState.SUCCEEDED.value, ~overtaken).label("newest"),
        or_(b.rows_total.is_not(None), tried_again).label("messy"),
    )


def _needed() -> CTE:
    """The builds that open builds are retries of, and those that these are retries of."""
    b = t.builds.c
    found = select(b.retry_of.label("id")).where(b.state.in_(_OPEN), b.retry_of.is_not(None)).cte(recursive=True)
    before = t.builds.alias("before")
    return found.union(select(before.c.retry_of).where(before.c.id == found.c.id, before.c.retry_of.is_not(None)))


def _past_from(row: RowMapping) -> Past:
    return Past(
        build_id=row["id"],
        ended_at=row["ended_at"],
        kept=Kept(row["kept"]),
        waits=bool(row["waits"]),
        needed=bool(row["needed"]),
        newest=bool(row["newest"]),
        messy=bool(row["messy"]),
    )
