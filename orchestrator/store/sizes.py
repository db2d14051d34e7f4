"""How much the database holds: estimates that cost nothing, since they are asked for again and again."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.store.schema import metadata


@dataclass(frozen=True)
class Sizes:
    """Rows by table, about, and bytes of all of them with their indexes."""

    rows: dict[str, int]
    total_bytes: int


async def sizes_of(connection: AsyncConnection) -> Sizes:
    """PostgreSQL's own estimates, as of the last autovacuum; SQLite's span of row ids, which holes make too large.

    A table that PostgreSQL never looked at is left out: its size is not known.
    """
    names = sorted(metadata.tables)
    if connection.dialect.name == "postgresql":
        return await _of_postgresql(connection, names)
    rows = {row[0]: int(row[1]) for row in await connection.execute(text(" UNION ALL ".join(map(_span_of, names))))}
    pages = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    return Sizes(rows, int((await connection.execute(text(pages))).scalar_one()))


def _span_of(table: str) -> str:
    """Two looks at the ends of a table; asked for together, SQLite would read all that lies between."""
    first, last = (f'(SELECT {end}(rowid) FROM "{table}")' for end in ("min", "max"))  # noqa: S608 - a name of ours
    return f"SELECT '{table}', coalesce({last} - {first} + 1, 0)"


async def _of_postgresql(connection: AsyncConnection, names: list[str]) -> Sizes:
    query = text(
        "SELECT c.relname, c.reltuples, pg_total_relation_size(c.oid) FROM pg_class c"
        " WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(:names)"
    )
    found = list(await connection.execute(query, {"names": names}))
    return Sizes({row[0]: int(row[1]) for row in found if row[1] >= 0}, sum(int(row[2]) for row in found))
