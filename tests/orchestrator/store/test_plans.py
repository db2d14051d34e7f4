"""What is asked of the store again and again reads by an index, so that a long past slows nothing down."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from buildyard.clock import SystemClock
from buildyard.contracts.builds import BuildState
from orchestrator.domain.planning import first_job
from orchestrator.store import open_store
from orchestrator.store.queries import BuildFilter, Queries
from orchestrator.views import Views
from tests.orchestrator.world import a_build

_GROWING = ("builds", "jobs", "attempts", "stages", "events", "log_segments", "artifacts", "rows", "dead_letters")
CLOCK = SystemClock()
LONG_AGO = CLOCK.now() - timedelta(days=1)

FILTERS = [
    BuildFilter(),
    BuildFilter(before="0"),
    BuildFilter(BuildState.FAILED),
    BuildFilter(project="demo"),
    BuildFilter(pool="linux"),
    BuildFilter(BuildState.QUEUED, pool="linux", before="0"),
    BuildFilter(BuildState.FAILED, "demo", "linux", "0"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@contextmanager
def plans(engine: AsyncEngine, file: Path) -> Iterator[list[str]]:
    """How SQLite goes about every question asked meanwhile."""
    found: list[str] = []
    beside = sqlite3.connect(file)

    def explain(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE")) and "FROM" in statement:
            found.extend(row[3] for row in beside.execute(f"EXPLAIN QUERY PLAN {statement}", values))

    event.listen(engine.sync_engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", explain)
        beside.close()


def scans(found: list[str]) -> list[str]:
    """Steps that go through a whole growing table; the first page of all builds goes by their ids until it is full."""
    whole = [step for step in found if step.startswith("SCAN ") and step.split()[1] in _GROWING]
    return [step for step in whole if not step.startswith("SCAN builds USING INDEX sqlite_autoindex_builds_1")]


async def test_lists_counts_positions_and_claims_read_no_table_from_end_to_end(file: Path) -> None:
    store = open_store(f"sqlite+aiosqlite:///{file}", CLOCK)
    await store.migrate()
    views = Views(store, (), timedelta(seconds=30))

    with plans(store.reader, file) as read, plans(store.writer, file) as written:
        async with store.read() as queries:
            await _ask_all(queries)
        await views.metrics()
        await views.load()
        async with store.begin() as tx:
            await tx.best_ready("linux")
            await tx.best_ready("linux", of_build="0")
            await tx.best_ready("linux", ("", '{"os":"linux"}'))
            await tx.queries.any_ready("linux")
            await tx.live_attempts("0")
            await tx.claimant("linux-1-1", "linux", "0")
            await tx.lock_builds(["0", "1"])
            await tx.attempt_and_job("0", 1)
            await tx.counts_beside(first_job(a_build(), "0"), 3)
        await store.close()

    assert len(read) > 40
    assert written
    assert scans(read + written) == []


async def _ask_all(queries: Queries) -> None:
    for which in FILTERS:
        await queries.builds(which)
    await queries.open_builds([BuildState.RUNNING, BuildState.CANCELLING])
    await queries.open_builds([BuildState.QUEUED, BuildState.RECEIVED], LONG_AGO, 500, "0")
    await queries.jobs_ahead(a_build())
    await queries.ready_by_rank()
    for project in ("demo", None):
        await queries.past.successes(project)
    await queries.past.job_seconds()
    await queries.past.usual_job_seconds()
    await queries.past.running()
    await queries.newest_seconds()
    await queries.events("0", 0, 10)
    await queries.line.after(0, 10)
    await queries.line.newest()
    await queries.attempts("0")
    await queries.stages("0")
    await queries.live_attempts()
    await queries.pool_counts()
    await queries.ready_needs()
    await queries.diagnostics("0")
    await queries.backing_off()
    await queries.open_by_state()
    await queries.ended_by_state(LONG_AGO, None)
    await queries.open_build_count()
