"""What was removed is known for a while, so that whoever asks for it learns that it was there."""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from buildyard.contracts.wire import rfc3339
from buildyard.errors import Gone, NotFound
from orchestrator.domain.retention import Kept
from orchestrator.store import schema as t

SHOWN = t.builds.c.kept != Kept.NOTHING.value
"""Builds but those that wait for their removal."""


def not_removed(thing_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a row is not only waiting for its removal."""
    return ~exists().where(t.tombstones.c.id == thing_id)


async def why_not_there(connection: AsyncConnection, what: str, thing_id: str, remedy: str) -> NotFound:
    """The error for a thing that was asked for and is not there: Gone when it was once."""
    query = select(t.tombstones.c.at).where(t.tombstones.c.id == thing_id)
    at = (await connection.execute(query)).scalar()
    if at is None:
        return NotFound(f"There is no {what} {thing_id}.", remedy=remedy)
    return Gone(
        f"The {what} {thing_id} was removed at {rfc3339(at)}: it was kept as long as this farm keeps such.",
        remedy="Build it again from its sources; docs/retention.md tells how long things are kept.",
    )
