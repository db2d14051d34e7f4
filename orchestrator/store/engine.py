"""Opening the database, and transactions on it.

SQLite has one writer: writes take a lock of this process, then `BEGIN IMMEDIATE`, so none ever waits for another
inside the database. PostgreSQL serialises by locking the build's row (`Transaction.lock_build`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, DisconnectionError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from buildyard.clock import Clock
from buildyard.errors import InvalidRequest, InvalidSettings, StoreUnavailable
from orchestrator.store.migrate import migrate
from orchestrator.store.queries import Queries
from orchestrator.store.sizes import Sizes, sizes_of
from orchestrator.store.sqlite import connect
from orchestrator.store.transaction import Transaction

_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # accepted means durable, so a commit is on the disk
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
)

_TRUSTED_SECONDS = 1.0
"""A connection that answered so lately is taken for alive: to ask it each time costs as much as most transactions."""
_VALUE_STATES = frozenset({"22", "23"})
"""SQLSTATE classes: data exception, integrity constraint violation."""


class Store:
    """A database with our tables.

    Every method raises StoreUnavailable when it cannot be reached, and InvalidRequest when it refuses a value: a
    caller that tries again until a statement succeeds must not do so for ever.
    """

    def __init__(self, writer: AsyncEngine, reader: AsyncEngine, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._one_writer = asyncio.Lock() if writer.dialect.name == "sqlite" else None

    @property
    def writer(self) -> AsyncEngine:
        """The engine that writes, for those who bring their own statements."""
        return self._writer

    @property
    def reader(self) -> AsyncEngine:
        """The engine that reads."""
        return self._reader

    @property
    def shared(self) -> bool:
        """Whether other producers may work on the same database."""
        return self._one_writer is None

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A transaction that commits at the end of the block, or leaves no trace when the block raises."""
        if self._one_writer is None:
            async with _errors_named(), self._writer.begin() as connection:
                yield Transaction(connection, self._clock)
            return
        async with self._one_writer, _errors_named(), self._writer.begin() as connection:
            yield Transaction(connection, self._clock)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Queries]:
        """A consistent view for reading only."""
        async with _errors_named(), self._reader.connect() as connection:
            yield Queries(connection, self._clock)

    async def sizes(self) -> Sizes:
        """How much it holds, about."""
        async with _errors_named(), self._reader.connect() as connection:
            return await sizes_of(connection)

    async def migrate(self) -> None:
        """Bring the tables to this version's shape."""
        async with _errors_named():
            await _run_migrations(self._writer)

    async def close(self) -> None:
        """Close all connections."""
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()


def open_store(url: str, clock: Clock) -> Store:
    """Open a store by URL: `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://…`.

    Raises:
        InvalidSettings: the URL is of neither kind.
    """
    try:
        parsed = make_url(url)
    except SQLAlchemyError as error:
        raise InvalidSettings(f"BUILDYARD_STORE_URL is no database URL: {error}.") from error
    if parsed.drivername == "sqlite+aiosqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        writer = _sqlite(url, "BEGIN IMMEDIATE", 1)
        return Store(writer, _sqlite(url, "BEGIN", 4), clock)
    if parsed.drivername == "postgresql+asyncpg":
        engine = create_async_engine(url, pool_size=10, max_overflow=10, pool_timeout=10)
        _ping_after_a_rest(engine)
        return Store(engine, engine, clock)
    raise InvalidSettings(
        f"BUILDYARD_STORE_URL names {parsed.drivername!r}.", remedy="Use sqlite+aiosqlite or postgresql+asyncpg."
    )


def _ping_after_a_rest(engine: AsyncEngine) -> None:
    """Ask a connection that has rested whether it still lives, and replace it by a new one where it does not.

    SQLAlchemy's own `pool_pre_ping` asks before each transaction, in four messages.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def _rests(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _wakes(connection: Any, record: Any, _fairy: Any) -> None:
        since = record.info.get("rests_since")  # None: it is new
        if since is None or time.monotonic() - since < _TRUSTED_SECONDS:
            return
        dialect = engine.sync_engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error


def _sqlite(url: str, begin: str, size: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=30,
        connect_args={"async_creator_fn": connect},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver would begin transactions late and deferred
        cursor = connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begun(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


@asynccontextmanager
async def _errors_named() -> AsyncIterator[None]:
    try:
        yield
    except OverflowError as error:
        raise InvalidRequest(f"The database cannot hold a value: {error}.") from error
    except DBAPIError as error:
        if _is_fault_of_values(error):
            raise InvalidRequest(f"The database refuses a value: {error.orig}.") from error
        raise StoreUnavailable(f"The database does not answer as it should: {error.orig}.") from error
    except (SQLAlchemyError, OSError) as error:
        raise StoreUnavailable(f"The database cannot be reached: {error}.") from error


def _is_fault_of_values(error: DBAPIError) -> bool:
    """Whether the same statement would fail for ever: its values break a rule or have no place in their columns."""
    if isinstance(error, IntegrityError | DataError):
        return True
    state = getattr(error.orig, "sqlstate", None) or ""
    # The driver itself refuses values that fit no column, before the server sees them and gives them a state.
    return state[:2] in _VALUE_STATES or isinstance(getattr(error.orig, "__cause__", None), ValueError)


async def _run_migrations(engine: AsyncEngine) -> None:
    connection: AsyncConnection
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
