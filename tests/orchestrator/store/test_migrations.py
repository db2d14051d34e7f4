"""The migrations make the tables that the schema names."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from buildyard.clock import SystemClock
from orchestrator.store import open_store
from orchestrator.store.schema import metadata


async def test_the_migrated_tables_are_those_of_the_schema(store_url: str) -> None:
    store = open_store(store_url, SystemClock())
    await store.migrate()
    await store.migrate()
    await store.close()

    engine = create_async_engine(store_url)
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await engine.dispose()

    assert differences == []


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))
