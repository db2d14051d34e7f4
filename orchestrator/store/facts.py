"""Facts that workers report, and what is kept of agents and uploads: plain records without decisions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, and_, delete, insert, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement

from buildyard.clock import Clock
from buildyard.contracts.agents import AgentHealth
from buildyard.contracts.builds import ArtifactRecord, RowResult, UploadSource
from buildyard.contracts.messages import LogStored, StageFinished, StageStarted
from orchestrator.domain.records import Agent, Attempt, Build, Refusal
from orchestrator.store import codec
from orchestrator.store import schema as t
from orchestrator.store.diagnosed import written

_CLOCK = text("SELECT clock_timestamp()")
_ADD_ROWS = {
    dialect: make(t.rows).on_conflict_do_nothing(index_elements=["build_id", "row"]).returning(t.rows.c.ok)
    for dialect, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


async def store_time(connection: AsyncConnection, clock: Clock) -> datetime:
    """The store's clock: PostgreSQL's own, so that all producers agree; this machine's for SQLite."""
    if connection.dialect.name != "postgresql":
        return clock.now()
    moment: datetime = (await connection.execute(_CLOCK)).scalar_one()
    return moment.astimezone(UTC)


class Facts:
    """The part of a transaction that records facts."""

    def __init__(self, connection: AsyncConnection, clock: Clock) -> None:
        self._db = connection
        self._clock = clock
        self._now: datetime | None = None

    async def now(self) -> datetime:
        """The store's time, the same within the transaction."""
        if self._now is None:
            self._now = await store_time(self._db, self._clock)
        return self._now

    @property
    def _own_clock(self) -> bool:
        """Whether the store has a clock of its own."""
        return self._db.dialect.name == "postgresql"

    def _note_time(self, moment: datetime) -> None:
        """The store told its time with something else that was asked."""
        if self._now is None:
            self._now = moment.astimezone(UTC)

    async def renew(self, attempt: Attempt, until: datetime) -> None:
        """Move a live attempt's lease."""
        where = and_(t.attempts.c.job_id == attempt.job_id, t.attempts.c.number == attempt.number)
        await self._db.execute(update(t.attempts).where(where).values(lease_until=until))

    async def note_stage(self, report: StageStarted | StageFinished, ended_at: datetime | None) -> bool:
        """A stage of an attempt began or ended; False when it is known already, and then nothing changes.

        `ended_at` is when the attempt ended, None while it is live: no stage of it began or ended later.
        """
        now = ended_at or await self.now()
        key = {"job_id": report.job_id, "attempt": report.attempt, "name": report.stage.value}
        if isinstance(report, StageStarted):
            change = {
                "status": "running",
                "started_at": now,
                "finished_at": None,
                "warnings": 0,
                "errors": 0,
                "reason": "",
            }
            return await self._upsert(t.stages, {**key, "build_id": report.build_id, **change}, tuple(key), {})
        change = {
            "status": report.status.value,
            "finished_at": now,
            "warnings": report.warnings,
            "errors": report.errors,
            "reason": report.reason,
            **({"diagnostics": written(report.diagnostics)} if report.diagnostics else {}),
        }
        values = {**key, "build_id": report.build_id, "started_at": None, **change}
        return await self._upsert(t.stages, values, tuple(key), change, only=t.stages.c.status == "running")

    async def add_segment(self, build: Build, report: LogStored) -> Build | None:
        """A log segment; None when it is recorded already. Its lines are numbered on from the build's last.

        Returns the build that counts them, which is yet to be saved.
        """
        count = report.last - report.first + 1
        values = {
            "build_id": build.id,
            "build_first": build.log_lines + 1,
            "build_last": build.log_lines + count,
            "job_id": report.job_id,
            "attempt": report.attempt,
            "first": report.first,
            "key": report.key,
            "size_bytes": report.size_bytes,
            "stages": ",".join(stage.value for stage in report.stages),
        }
        if not await self._upsert(t.log_segments, values, ("job_id", "attempt", "first"), {}):
            return None
        return replace(build, log_lines=build.log_lines + count)

    async def add_rows(self, build: Build, results: Sequence[RowResult]) -> Build:
        """Row results; one that is recorded already stays as it is. Returns the build with its counts."""
        if not results:
            return build
        first = {result.row: result for result in reversed(results)}
        values = [
            {
                "build_id": build.id,
                "row": result.row,
                "ok": result.ok,
                "result": json.dumps(result.result, ensure_ascii=False),
                "error": result.error,
            }
            for result in first.values()
        ]
        added = await self._db.execute(_ADD_ROWS[self._db.dialect.name], values[0] if len(values) == 1 else values)
        fresh = list(added.scalars())
        ok = sum(fresh)
        return replace(build, rows_ok=build.rows_ok + ok, rows_failed=build.rows_failed + len(fresh) - ok)

    async def carry_rows(self, old: Build, new: Build) -> Build:
        """Take over rows that succeeded in an earlier build of the same batch. Returns the build with its counts."""
        columns = ("row", "ok", "result", "error")
        theirs = and_(t.rows.c.build_id == old.id, t.rows.c.ok.is_(True))
        copies = select(literal(new.id), *(t.rows.c[name] for name in columns)).where(theirs)
        result = await self._db.execute(insert(t.rows).from_select(["build_id", *columns], copies))
        return replace(new, rows_ok=new.rows_ok + result.rowcount)

    async def add_artifacts(self, build_id: str, records: Sequence[ArtifactRecord]) -> None:
        """Files a build hands back."""
        now = await self.now()
        values = [
            {"id": self._clock.new_id(), "build_id": build_id, "created_at": now, "record": record.model_dump_json()}
            for record in records
        ]
        if values:
            await self._db.execute(insert(t.artifacts), values)

    async def add_upload(self, upload: UploadSource, requester: str) -> None:
        """An upload that waits for its build."""
        values = {
            "id": upload.upload_id,
            "source": codec.source_to_text(upload),
            "requester": requester,
            "created_at": await self.now(),
            "used": False,
            "size_bytes": upload.size_bytes,
        }
        await self._db.execute(insert(t.uploads).values(values))

    async def use_upload(self, upload_id: str) -> UploadSource | None:
        """Take an upload for a build: None when there is none, or it is used."""
        unused = and_(t.uploads.c.id == upload_id, t.uploads.c.used.is_(False))
        taking = update(t.uploads).where(unused).values(used=True).returning(t.uploads.c.source)
        row = (await self._db.execute(taking)).first()
        source = codec.source_from_text(row[0]) if row else None
        return source if isinstance(source, UploadSource) else None

    async def drop_uploads_before(self, moment: datetime) -> tuple[str, ...]:
        """Forget uploads that came before a moment; returns the object keys of those that nobody used."""
        old = t.uploads.c.created_at < moment
        gone = await self._db.execute(delete(t.uploads).where(old).returning(t.uploads.c.source, t.uploads.c.used))
        sources = [codec.source_from_text(row[0]) for row in gone if not row[1]]
        return tuple(source.key for source in sources if isinstance(source, UploadSource))

    async def put_agent(self, agent: Agent) -> None:
        """An agent that joins, or joins again."""
        values = codec.agent_values(agent)
        await self._upsert(t.agents, values, ("name",), {k: v for k, v in values.items() if k != "name"})

    async def note_slot(self, pool: str, slot: int, generation: int) -> None:
        """An agent of this generation joined in a slot; slot 0 is none."""
        if not slot:
            return
        where = and_(t.slots.c.pool == pool, t.slots.c.slot == slot)
        known = (await self._db.execute(select(t.slots.c.generation).where(where))).scalar()
        if known is None or known < generation:
            values = {"pool": pool, "slot": slot, "generation": generation}
            await self._upsert(t.slots, values, ("pool", "slot"), {"generation": generation})

    async def note_refusal(self, refusal: Refusal) -> None:
        """An agent may not join a pool; only the newest of each pool is kept."""
        change = {"agent": refusal.agent, "lacks": refusal.lacks, "at": refusal.at}
        await self._upsert(t.refusals, {"pool": refusal.pool, **change}, ("pool",), change)

    async def drop_agents_before(self, moment: datetime) -> None:
        """Forget agents that were last heard of before a moment."""
        await self._db.execute(delete(t.agents).where(t.agents.c.seen_at < moment))

    async def see_agent(self, name: str, health: AgentHealth) -> None:
        """An agent reported that it lives."""
        change = {"seen_at": await self.now(), "health": health.model_dump_json()}
        await self._db.execute(update(t.agents).where(t.agents.c.name == name).values(change))

    async def mark_agent(self, name: str, *, draining: bool, left: bool, reason: str) -> None:
        """An agent is asked to drain, or left."""
        change = {"draining": draining, "left": left, "reason": reason}
        await self._db.execute(update(t.agents).where(t.agents.c.name == name).values(change))

    async def set_draining(self, name: str, *, draining: bool, reason: str) -> bool:
        """An agent is asked to drain, or to stay; False when it has left, which may be this very moment."""
        here = and_(t.agents.c.name == name, t.agents.c.left.is_(False))
        changed = await self._db.execute(update(t.agents).where(here).values(draining=draining, reason=reason))
        return changed.rowcount > 0

    async def _upsert(
        self,
        table: Table,
        values: Mapping[str, Any],
        key: tuple[str, ...],
        change: Mapping[str, Any],
        *,
        only: ColumnElement[bool] | None = None,
    ) -> bool:
        """Insert, or change what stands under the key, `only` where this holds; whether anything was written."""
        make = postgresql.insert if self._db.dialect.name == "postgresql" else sqlite.insert
        statement = make(table).values(**values)
        statement = (
            statement.on_conflict_do_update(index_elements=list(key), set_=dict(change), where=only)
            if change
            else statement.on_conflict_do_nothing(index_elements=list(key))
        )
        return (await self._db.execute(statement)).rowcount > 0
