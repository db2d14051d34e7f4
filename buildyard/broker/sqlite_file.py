"""The embedded broker's file: its tables, and the one thread per process that talks to it.

SQLite is called from a thread of its own, since a commit waits for the disk and a locked file waits for other
processes; neither may hold up an event loop. Two connections share the thread: `durable` syncs every commit to the
disk, since a publish promises that; `quick` does not, since a claim or an acknowledgement that is lost with the
power only brings a message once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from buildyard.errors import BrokerUnavailable

_VERSION = 1
_TABLES = f"""
CREATE TABLE channel (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE message (
  id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, body BLOB NOT NULL, headers TEXT NOT NULL,
  redelivered INTEGER NOT NULL DEFAULT 0, holder TEXT);
CREATE INDEX message_ready ON message (channel, id) WHERE holder IS NULL;
CREATE INDEX message_held ON message (holder, channel) WHERE holder IS NOT NULL;
CREATE TABLE broadcast (
  id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, body BLOB NOT NULL, headers TEXT NOT NULL,
  at REAL NOT NULL);
CREATE INDEX broadcast_channel ON broadcast (channel, id);
CREATE TABLE doorbell (channel TEXT PRIMARY KEY, body BLOB NOT NULL, headers TEXT NOT NULL);
CREATE TABLE member (id TEXT PRIMARY KEY, address TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE subscription (id INTEGER PRIMARY KEY, member TEXT NOT NULL, channel TEXT NOT NULL);
PRAGMA user_version = {_VERSION};
"""
_WAL_KEPT_BYTES = 16 * 2**20
_RETRY_SECONDS = 0.02
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Connections:
    """Both connections of a process, in autocommit mode; used only inside the file's thread."""

    durable: sqlite3.Connection
    quick: sqlite3.Connection


class BrokerFile:
    """The file and its thread.

    Args:
        path: the SQLite file; its folder is made where it is missing.
        busy_seconds: how long a call waits for other processes before it gives up.
    """

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._thread: ThreadPoolExecutor | None = None
        self._connections: Connections | None = None

    async def open(self) -> None:
        """Open or create the file.

        Raises:
            BrokerUnavailable: it cannot be opened, is locked too long, or is none of ours.
        """
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="broker")
        try:
            self._connections = await self._call(self._connect)
        except BaseException:
            await self.close()
            raise

    async def run(self, work: Callable[[Connections], _Result]) -> _Result:
        """Run `work` in the thread; a transaction that it leaves open by an error is rolled back.

        Raises:
            BrokerUnavailable: SQLite refused (locked too long, disk full, broken file), or the broker is closed.
        """
        connections = self._connections
        if connections is None:
            raise BrokerUnavailable("The embedded broker is closed.")
        return await self._call(lambda: _rolled_back_on_error(connections, work))

    async def close(self) -> None:
        """Close both connections and end the thread. A second call does nothing."""
        thread, self._thread = self._thread, None
        connections, self._connections = self._connections, None
        if thread is None:
            return
        if connections is not None:
            await asyncio.wrap_future(thread.submit(_close, connections))
        thread.shutdown(wait=True)

    async def _call(self, work: Callable[[], _Result]) -> _Result:
        if self._thread is None:
            raise BrokerUnavailable("The embedded broker is closed.")
        try:
            return await asyncio.wrap_future(self._thread.submit(work))
        except (sqlite3.Error, OSError) as error:
            raise BrokerUnavailable(
                f"The embedded broker's file {self._path} cannot be used: {error}.",
                remedy="Look at the disk's free space and the file's permissions, and whether a process locks it.",
            ) from error

    def _connect(self) -> Connections:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            durable = _connection(self._path, "FULL", self._busy_seconds)
            opened.callback(durable.close)
            _create_tables(durable, self._path)
            quick = _connection(self._path, "NORMAL", self._busy_seconds)
            opened.pop_all()
        return Connections(durable, quick)


def _connection(path: Path, synchronous: str, busy_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        _enter_wal(connection, time.monotonic() + busy_seconds)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _enter_wal(connection: sqlite3.Connection, give_up_at: float) -> None:
    """Switch the file to write-ahead logging; SQLite does not wait here by itself when others open it too."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _create_tables(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == 0 and tables == 0:
            for statement in _TABLES.strip().split(";\n"):
                connection.execute(statement)
            version = _VERSION
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if version != _VERSION:
        raise BrokerUnavailable(
            f"{path} is no broker file of this version of Buildyard.",
            remedy="Stop the farm and move the file away; a new one is made.",
        )


def _rolled_back_on_error(connections: Connections, work: Callable[[Connections], _Result]) -> _Result:
    try:
        return work(connections)
    except BaseException:
        for connection in (connections.durable, connections.quick):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


def _close(connections: Connections) -> None:
    connections.quick.close()
    connections.durable.close()
