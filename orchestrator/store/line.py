"""The one line of all builds' events: where an event stands in it, and how far a reader may read.

`position` orders the events of all builds, so that a reader resumes with one number. A reader must never be overtaken:
once it has read up to a position, no event may appear below it.

- SQLite has one writer, so counted positions become visible in their order.
- On PostgreSQL a number from a sequence may become visible after a higher one. There a position is the id of its
  transaction, then a place within that transaction; and a reader reads only what was written by transactions older
  than every one that is still under way (`pg_snapshot_xmin`). New transactions get higher ids, so below that horizon
  nothing is ever added. Nobody who writes waits for anybody, and nothing is written twice.
"""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

from sqlalchemy import BigInteger, Connection, Insert, bindparam, func, insert, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from buildyard.contracts.events import FarmEvent
from orchestrator.store import codec
from orchestrator.store import schema as t

_PLACES = 20
"""Bits of a position that count within one transaction: a million events, and transaction ids up to 2**43."""
_POSTGRESQL = "postgresql"
_OWN = literal_column(f"(pg_current_xact_id()::text::bigint << {_PLACES})", BigInteger)
_HORIZON = literal_column(f"(pg_snapshot_xmin(pg_current_snapshot())::text::bigint << {_PLACES})", BigInteger)
_UNUSED = literal_column(f"(pg_snapshot_xmax(pg_current_snapshot())::text::bigint << {_PLACES})", BigInteger)
"""No event that can be seen stands here or later, unless it was written on a server that is older than this one."""
_COUNTED_ANEW = """
    UPDATE events SET position = -place
    FROM (SELECT position AS old, row_number() OVER (ORDER BY position) AS place FROM events) AS anew
    WHERE position = old
"""
"""Below zero, so that no number is one that another event still has."""
_PLACED = insert(t.events).values(position=_OWN + bindparam("place", type_=BigInteger))


class Line:
    """Gives the events of one transaction their positions."""

    def __init__(self, dialect: str) -> None:
        self._places = count() if dialect == _POSTGRESQL else None

    def placed(self, values: list[dict[str, Any]]) -> tuple[Insert, list[dict[str, Any]]]:
        """The statement that writes these events in their order, and its values."""
        if self._places is None:
            return insert(t.events), values
        return _PLACED, [{**one, "place": next(self._places)} for one in values]


class LineReader:
    """What may be read of the line by now."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._db = connection
        self._bounded = connection.dialect.name == _POSTGRESQL

    async def after(self, position: int, limit: int) -> tuple[FarmEvent, ...]:
        """The next events after a position, in order."""
        query = select(t.events, t.builds.c.project, t.builds.c.pool).join(
            t.builds, t.builds.c.id == t.events.c.build_id
        )
        query = query.where(t.events.c.position > position)
        if self._bounded:
            query = query.where(t.events.c.position < _HORIZON)
        rows = (await self._db.execute(query.order_by(t.events.c.position).limit(limit))).mappings()
        return tuple(codec.farm_event_from(row) for row in rows)

    async def newest(self) -> int:
        """The position of the newest event that may be read; 0 when there is none."""
        query = select(func.max(t.events.c.position))
        if self._bounded:
            query = query.where(t.events.c.position < _HORIZON)
        return (await self._db.execute(query)).scalar() or 0

    async def before(self, moment: datetime) -> int:
        """The position below the first event at or after a moment, found by halving: times grow with positions."""
        low, high = 0, await self.newest()
        while low < high:
            middle = (low + high + 1) // 2
            found = await self._first_from(middle)
            if found is None or found[1] >= moment:
                high = middle - 1
            else:
                low = found[0]
        return low

    async def _first_from(self, position: int) -> tuple[int, datetime] | None:
        query = select(t.events.c.position, t.events.c.at).where(t.events.c.position >= position)
        row = (await self._db.execute(query.order_by(t.events.c.position).limit(1))).first()
        return (row[0], row[1]) if row else None


def settle_positions(connection: Connection) -> None:
    """Number the events anew when the database was restored into a server whose transaction ids are lower.

    Else what happens from now on would stand before what is there, and no reader would be told of it.
    """
    if connection.dialect.name != _POSTGRESQL:
        return
    ahead = select(t.events.c.position).where(t.events.c.position >= _UNUSED).limit(1)
    if connection.execute(ahead).first() is None:
        return
    connection.execute(text("LOCK TABLE events IN EXCLUSIVE MODE"))
    connection.execute(text(_COUNTED_ANEW))
    connection.execute(text("UPDATE events SET position = -position WHERE position < 0"))
