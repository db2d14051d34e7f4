"""Annotations in the store."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from buildyard.contracts.annotations import Annotation
from orchestrator.store import schema as t


class Annotated:
    """Reads the annotations of a build: for questions, and for transactions that hold it."""

    _db: AsyncConnection

    async def annotations(self, build_id: str) -> tuple[Annotation, ...]:
        """All annotations of a build, by context."""
        query = (
            select(t.build_annotations)
            .where(t.build_annotations.c.build_id == build_id)
            .order_by(t.build_annotations.c.context)
        )
        return tuple(Annotation.model_validate(dict(row)) for row in (await self._db.execute(query)).mappings())
