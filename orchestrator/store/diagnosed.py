"""What compilers said, in the store: beside the stages, as JSON, and read only when asked for."""

from __future__ import annotations

from pydantic import TypeAdapter
from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from buildyard.contracts.builds import StageName
from buildyard.contracts.diagnostics import Diagnostic, StageDiagnostic
from orchestrator.store import schema as t

_MANY = TypeAdapter(tuple[Diagnostic, ...])
_MOST_STAGES = 500
STAGE_COLUMNS = tuple(column for column in t.stages.c if column.name != "diagnostics")
"""What a stage's record is made of."""


class Diagnosed:
    """Reads the diagnostics of a build."""

    _db: AsyncConnection

    async def diagnostics(self, build_id: str) -> tuple[StageDiagnostic, ...]:
        """What the newest attempt of each job found, errors first, then by stage."""
        newest = and_(t.jobs.c.id == t.stages.c.job_id, t.jobs.c.attempt == t.stages.c.attempt)
        query = (
            select(t.stages.c.job_id, t.stages.c.name, t.stages.c.diagnostics)
            .join(t.jobs, newest)
            .where(t.stages.c.build_id == build_id, t.stages.c.diagnostics.is_not(None))
            .limit(_MOST_STAGES)
        )
        order = list(StageName)
        rows = sorted(await self._db.execute(query), key=lambda row: (order.index(StageName(row.name)), row.job_id))
        found = [
            StageDiagnostic(stage=StageName(row.name).wire, job_id=row.job_id, **one.model_dump())
            for row in rows
            for one in _MANY.validate_json(row.diagnostics)
        ]
        return tuple(sorted(found, key=lambda one: one.severity != "error"))


def written(diagnostics: tuple[Diagnostic, ...]) -> str:
    """Diagnostics as the store keeps them."""
    return _MANY.dump_json(diagnostics, exclude_defaults=True).decode()
