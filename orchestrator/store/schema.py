"""The tables. Times are microseconds since 1970 in UTC, values with a shape of their own are JSON text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    literal_column,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Micros(TypeDecorator[datetime]):
    """An aware datetime as whole microseconds: the same order and precision on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database."""
        del dialect
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        del dialect
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

_ID = String(36)


def _build_key() -> Column[str]:
    return Column("build_id", _ID, ForeignKey("builds.id", ondelete="CASCADE"), nullable=False)


uploads = Table(
    "uploads",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("source", Text, nullable=False),
    Column("requester", String(255), nullable=False),
    Column("created_at", Micros, nullable=False, index=True),
    Column("used", Boolean, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Index(None, "used"),
)

builds = Table(
    "builds",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("project", String(100), nullable=False),
    Column("pool", String(40), nullable=False),
    Column("strategy", String(20), nullable=False),
    Column("strategy_used", String(20), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("force_clean", Boolean, nullable=False),
    Column("properties", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("upload_id", _ID, index=True),
    Column("source_gone", Boolean, nullable=False),
    Column("source_bytes", BigInteger, nullable=False),
    Column("requester", String(255), nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("state", String(12), nullable=False),
    Column("reason_code", String(40)),
    Column("reason", Text, nullable=False),
    Column("queued_at", Micros),
    Column("started_at", Micros),
    Column("cancelling_at", Micros),
    Column("ended_at", Micros),
    Column("toolchain", String(40), nullable=False),
    Column("toolchain_why", Text, nullable=False),
    Column("tests", Text),
    Column("tests_key", Text),
    Column("rows_total", Integer),
    Column("rows_ok", Integer, nullable=False),
    Column("rows_failed", Integer, nullable=False),
    Column("event_seq", Integer, nullable=False),
    Column("log_lines", BigInteger, nullable=False),
    Column("retry_of", _ID),
    Column("carries", Boolean, nullable=False),
    Column("warnings", Text, nullable=False),
    Column("kept", String(8), nullable=False, server_default="all"),
    Column("removing_since", Micros),
    # Pages of builds, newest first, of one state at a time: more states are merged (`Queries.builds`).
    Index(None, "state", "id"),
    Index(None, "pool", "state", "id"),
    Index(None, "project", "state", "id"),
    Index(None, "ended_at", "state"),
    Index(None, "kept", "ended_at", "id"),
)
# Hardly any build is being removed: the index of those that are holds no other.
_removing = builds.c.removing_since.is_not(None)
Index(None, builds.c.removing_since, sqlite_where=_removing, postgresql_where=_removing)

jobs = Table(
    "jobs",
    metadata,
    Column("id", _ID, primary_key=True),
    _build_key(),
    Column("kind", String(10), nullable=False),
    Column("pool", String(40), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("ready_at", Micros),
    Column("not_before", Micros),
    Column("part", Text),
    Column("needs", String(500), nullable=False),
    Index(None, "state", "pool", "priority", "ready_at", "id"),
    Index(None, "state", "not_before"),
    Index(None, "build_id", "state", "kind"),
)

# What agents claim by: ready jobs alone, those first that need the same.
READY = jobs.c.state == literal_column("'ready'")
"""Written out, since a partial index is only found where the query says the very same."""
Index(
    None,
    jobs.c.needs,
    jobs.c.pool,
    jobs.c.priority,
    jobs.c.ready_at,
    jobs.c.id,
    sqlite_where=READY,
    postgresql_where=READY,
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", _ID, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    _build_key(),
    Column("agent", String(80), nullable=False),
    Column("hostname", String(255), nullable=False),
    Column("claim_id", _ID, nullable=False, unique=True),
    Column("started_at", Micros, nullable=False),
    Column("lease_until", Micros, nullable=False),
    Column("ended_at", Micros),
    Column("outcome", String(12)),
    Column("reason_code", String(40)),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("job_id", "number"),
    Index(None, "build_id", "ended_at"),
    Index(None, "build_id", "started_at"),
    Index(None, "ended_at", "lease_until"),
)

stages = Table(
    "stages",
    metadata,
    Column("job_id", _ID, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("name", String(10), nullable=False),
    _build_key(),
    Column("status", String(10), nullable=False),
    Column("started_at", Micros),
    Column("finished_at", Micros),
    Column("warnings", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("diagnostics", Text),
    PrimaryKeyConstraint("job_id", "attempt", "name"),
    Index(None, "build_id"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("requester", String(255), nullable=False),
    Column("key", String(255), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("build_id", _ID, nullable=False),
    Column("created_at", Micros, nullable=False, index=True),
    Column("held_until", Micros, nullable=False),
    Column("status", Integer),
    Column("answer", Text, nullable=False, server_default=""),
    Column("location", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("requester", "key"),
)

log_segments = Table(
    "log_segments",
    metadata,
    _build_key(),
    Column("build_first", BigInteger, nullable=False),
    Column("build_last", BigInteger, nullable=False),
    Column("job_id", _ID, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("stages", String(100), nullable=False),
    PrimaryKeyConstraint("build_id", "build_first"),
    Index(None, "job_id", "attempt", "first", unique=True),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", _ID, primary_key=True),
    _build_key(),
    Column("created_at", Micros, nullable=False),
    Column("record", Text, nullable=False),
    Index(None, "build_id"),
)

rows = Table(
    "rows",
    metadata,
    _build_key(),
    Column("row", Integer, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("result", Text, nullable=False),
    Column("error", Text, nullable=False),
    PrimaryKeyConstraint("build_id", "row"),
)

events = Table(
    "events",
    metadata,
    # Their order over all builds (`orchestrator/store/line.py`).
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _build_key(),
    Column("seq", Integer, nullable=False),
    Column("type", String(24), nullable=False),
    Column("at", Micros, nullable=False),
    Column("data", Text, nullable=False),
    Index(None, "build_id", "seq", unique=True),
    sqlite_autoincrement=True,
    implicit_returning=False,
)

build_annotations = Table(
    "annotations",
    metadata,
    _build_key(),
    Column("context", String(100), nullable=False),
    Column("style", String(10), nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Micros, nullable=False),
    Column("requester", String(255), nullable=False),
    PrimaryKeyConstraint("build_id", "context"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("pool", String(40), nullable=False),
    Column("claimed_until", Micros, nullable=False, index=True),
)

agents = Table(
    "agents",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("pool", String(40), nullable=False, index=True),
    Column("hostname", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(64), nullable=False),
    Column("capabilities", Text, nullable=False),
    Column("health", Text, nullable=False),
    Column("joined_at", Micros, nullable=False),
    Column("seen_at", Micros, nullable=False, index=True),
    Column("draining", Boolean, nullable=False),
    Column("left", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("build_id", _ID, ForeignKey("builds.id", ondelete="CASCADE"), primary_key=True),
    Column("dead_at", Micros, nullable=False),
    Column("resolution", String(10), index=True),
    Column("resolved_at", Micros),
    Column("resolved_by", String(255), nullable=False),
    Column("note", Text, nullable=False),
    Column("requeued_as", _ID),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("at", Micros, nullable=False, index=True),
)

refusals = Table(
    "refusals",
    metadata,
    Column("pool", String(40), primary_key=True),
    Column("agent", String(80), nullable=False),
    Column("lacks", Text, nullable=False),
    Column("at", Micros, nullable=False),
)

slots = Table(
    "slots",
    metadata,
    Column("pool", String(40), nullable=False),
    Column("slot", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    PrimaryKeyConstraint("pool", "slot"),
)

pool_changes = Table(
    "pool_changes",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("pool", String(40), nullable=False, index=True),
    Column("paused", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requester", String(255), nullable=False),
    Column("at", Micros, nullable=False),
)

readers = Table(
    "readers",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("read_until", Micros, nullable=False),
)
