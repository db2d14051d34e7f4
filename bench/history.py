"""A store with a past: builds that ended long ago and builds that wait, written straight into the tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from sqlalchemy import Table
from sqlalchemy.engine import make_url

from buildyard.clock import SystemClock
from buildyard.contracts.builds import (
    BuildProperties,
    BuildState,
    GitSource,
    JobKind,
    JobState,
    Outcome,
    Priority,
    ReasonCode,
    Strategy,
)
from orchestrator.domain.records import Attempt, Build, Job
from orchestrator.store import codec, open_store
from orchestrator.store import schema as t

PROJECTS = 200
SPREAD_SECONDS = 28 * 86_400  # younger than what a farm removes
_ENDS = ("succeeded",) * 90 + ("failed",) * 8 + ("cancelled", "timed_out")
_AT_ONCE = 20_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class History:
    """Ids to ask for."""

    ended: tuple[str, ...]
    queued: tuple[str, ...]


async def write_history(url: str, ended: int, queued: int) -> History:
    """Make the tables at a store's URL and fill them: every build with its job, every ended one with its attempt."""
    store = open_store(url, SystemClock())
    await store.migrate()
    await store.close()
    now = SystemClock().now()
    ids: dict[bool, list[str]] = {True: [], False: []}
    sink = _Sqlite(url) if url.startswith("sqlite") else await _Postgres.open(url)
    for numbers in _chunks(range(ended + queued), _AT_ONCE):
        rows = _Rows(now, ended, ended + queued)
        for number in numbers:
            ids[number < ended].append(rows.add(number))
        for table, values in ((t.builds, rows.builds), (t.jobs, rows.jobs), (t.attempts, rows.attempts)):
            await sink.write(table, values)
    await sink.close()
    step = max(1, ended // 1000)
    return History(tuple(ids[True][::step]), tuple(ids[False][:: max(1, queued // 1000)]))


class _Rows:
    """Rows of builds by number, the oldest first; ids are UUIDv7 of the time they stand for."""

    def __init__(self, now: datetime, ended: int, total: int) -> None:
        self._now, self._ended, self._total = now, ended, total
        self.builds: list[tuple[Any, ...]] = []
        self.jobs: list[tuple[Any, ...]] = []
        self.attempts: list[tuple[Any, ...]] = []
        self._build = codec.build_values(_BUILD)
        self._job = codec.job_values(_JOB)
        self._attempt = codec.attempt_values(_ATTEMPT)

    def add(self, number: int) -> str:
        at = self._now - timedelta(seconds=SPREAD_SECONDS * (1 - number / self._total))
        if number >= self._ended:
            at = self._now - timedelta(seconds=600 * (1 - (number - self._ended) / (self._total - self._ended)))
        build_id, job_id = _id(at, number * 2), _id(at, number * 2 + 1)
        over = number < self._ended
        state = _ENDS[number * 37 % len(_ENDS)] if over else "queued"
        done = at + timedelta(seconds=60 + number % 300)
        build = {
            **self._build,
            "id": build_id,
            "project": f"project-{number * 7919 % PROJECTS}",
            "created_at": at,
            "queued_at": at,
            "state": state,
            "started_at": at + timedelta(seconds=5) if over else None,
            "ended_at": done if over else None,
            "reason": "All stages succeeded." if over else "",
            "event_seq": 12 if over else 2,
            "kept": "tidy" if over else "all",
            "removing_since": None,
        }
        job = {
            **self._job,
            "id": job_id,
            "build_id": build_id,
            "priority": number % 4,
            "state": "succeeded" if over else "ready",
            "attempt": int(over),
            "ready_at": at,
        }
        self.builds.append(_values(t.builds, build))
        self.jobs.append(_values(t.jobs, job))
        if over:
            mine = {"job_id": job_id, "build_id": build_id, "claim_id": _id(at, number), "started_at": at}
            attempt = {**self._attempt, **mine, "lease_until": done, "ended_at": done}
            self.attempts.append(_values(t.attempts, attempt))
        return build_id


def _chunks(numbers: range, size: int) -> Iterator[range]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def _values(table: Table, row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(_plain(row[column.name]) for column in table.columns)


def _plain(value: Any) -> Any:
    return (value - _EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value


def _id(at: datetime, number: int) -> str:
    millis = int(at.timestamp() * 1000)
    return f"{millis >> 16:08x}-{millis & 0xFFFF:04x}-7000-8000-{number:012x}"


class _Sqlite:
    def __init__(self, url: str) -> None:
        self._db = sqlite3.connect(make_url(url).database or "")
        self._db.execute("PRAGMA synchronous=OFF")

    async def write(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            marks = ",".join("?" * len(rows[0]))
            with self._db:
                self._db.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)

    async def close(self) -> None:
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.close()


class _Postgres:
    def __init__(self, db: asyncpg.Connection) -> None:
        self._db = db

    @classmethod
    async def open(cls, url: str) -> _Postgres:
        db = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql", 1))
        with suppress(asyncpg.InsufficientPrivilegeError):  # only faster: the rows fit each other
            await db.execute("SET session_replication_role = replica")
        return cls(db)

    async def write(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            names = [column.name for column in table.columns]
            await self._db.copy_records_to_table(table.name, records=rows, columns=names)

    async def close(self) -> None:
        for table in (t.builds, t.jobs, t.attempts):  # as the server itself does within minutes
            await self._db.execute(f"VACUUM ANALYZE {table.name}")
        await self._db.close()


_AT = datetime(2026, 1, 1, tzinfo=UTC)
_SOURCE = GitSource(url="https://github.com/acme/demo.git", ref="main")
_BUILD = Build(
    id="",
    project="demo",
    pool="linux",
    strategy=Strategy.CLEAN,
    strategy_used=Strategy.CLEAN,
    priority=Priority.NORMAL,
    force_clean=False,
    properties=BuildProperties(project_name="demo", repository_url=_SOURCE.url, git_ref="main"),
    source=_SOURCE,
    requester="local",
    created_at=_AT,
    state=BuildState.SUCCEEDED,
    toolchain="make",
    toolchain_why="There is a Makefile.",
)
_JOB = Job(id="", build_id="", kind=JobKind.BUILD, pool="linux", priority=Priority.NORMAL, state=JobState.READY)
_ATTEMPT = Attempt(
    job_id="",
    build_id="",
    number=1,
    agent="linux-1-1",
    hostname="host",
    claim_id="",
    started_at=_AT,
    lease_until=_AT,
    outcome=Outcome.SUCCEEDED,
    reason_code=ReasonCode.SUCCEEDED,
    reason="All stages succeeded.",
)
