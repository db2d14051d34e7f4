"""Our connection to SQLite behaves as aiosqlite's does, with a message for each statement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from buildyard.clock import SystemClock
from buildyard.errors import InvalidRequest, StoreUnavailable
from orchestrator.store import Store, open_store
from orchestrator.store.sqlite import QuickConnection


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = open_store(f"sqlite+aiosqlite:///{tmp_path}/store.sqlite", SystemClock())
    async with store.begin() as tx:
        await tx._db.execute(text("CREATE TABLE pairs (name TEXT PRIMARY KEY, number INTEGER)"))
    yield store
    await store.close()


async def test_a_statement_costs_one_message_to_the_thread(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[str] = []
    execute = QuickConnection._execute

    async def counted(self: QuickConnection, work: Callable[..., Any], *args: Any, **more: Any) -> Any:
        messages.append(getattr(work, "__name__", ""))
        return await execute(self, work, *args, **more)  # type: ignore[no-untyped-call] # aiosqlite's own

    async with store.begin() as tx:
        monkeypatch.setattr(QuickConnection, "_execute", counted)
        await tx._db.execute(text("INSERT INTO pairs VALUES ('a', 1)"))
        assert (await tx._db.execute(text("SELECT name, number FROM pairs"))).all() == [("a", 1)]
        assert len(messages) == 2


async def test_rows_written_in_bulk_and_told_back_are_counted(store: Store) -> None:
    async with store.begin() as tx:
        many = [{"name": str(number), "number": number} for number in range(5)]
        written = await tx._db.execute(text("INSERT INTO pairs VALUES (:name, :number)"), many)
        assert written.rowcount == 5
        changed = await tx._db.execute(text("UPDATE pairs SET number = 9 WHERE number > 2 RETURNING name"))
        assert sorted(changed.scalars()) == ["3", "4"]


async def test_what_a_statement_breaks_is_said_and_leaves_no_trace(store: Store) -> None:
    async def do(*statements: str) -> None:
        async with store.begin() as tx:
            for statement in statements:
                await tx._db.execute(text(statement))

    with pytest.raises(InvalidRequest):
        await do("INSERT INTO pairs VALUES ('a', 1)", "INSERT INTO pairs VALUES ('a', 2)")
    with pytest.raises(StoreUnavailable):
        await do("INSERT INTO pairs VALUES ('a', 1)", "no statement")

    async with store.begin() as tx:
        assert (await tx._db.execute(text("SELECT count(*) FROM pairs"))).scalar_one() == 0
