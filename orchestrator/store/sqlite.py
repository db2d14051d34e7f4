"""A connection to SQLite that does each statement in one message to its thread.

aiosqlite sends one to make a cursor, one to execute, one to fetch and one to close; for statements as short as ours
the messages cost several times what they carry.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import aiosqlite

_Description = tuple[tuple[str, None, None, None, None, None, None], ...]


class QuickCursor:
    """What SQLAlchemy uses of a cursor: a statement is executed and all its rows are fetched at once."""

    def __init__(self, run: Callable[[Callable[[], None]], Any], connection: sqlite3.Connection) -> None:
        self._run = run
        self._connection = connection
        self._rows: deque[Any] = deque()
        self.description: _Description | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        """Nothing is open yet."""
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> Self:
        """Run a statement. Raises sqlite3.Error."""
        await self._run(lambda: self._keep(self._connection.execute(sql, tuple(parameters))))
        return self

    async def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> Self:
        """Run a statement for each of the parameters. Raises sqlite3.Error."""
        await self._run(lambda: self._keep(self._connection.executemany(sql, parameters)))
        return self

    async def fetchall(self) -> Iterable[Any]:
        """All rows that are left."""
        rows, self._rows = self._rows, deque()
        return rows

    async def close(self) -> None:
        """It is closed already."""

    def _keep(self, cursor: sqlite3.Cursor) -> None:
        try:
            self.description = cursor.description
            self._rows = deque(cursor.fetchall())
            self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid  # of RETURNING, known only by now
        finally:
            cursor.close()


class QuickConnection(aiosqlite.Connection):
    """aiosqlite's connection with such cursors."""

    def cursor(self) -> QuickCursor:  # type: ignore[override] # one that SQLAlchemy takes in its place
        """A cursor, which costs nothing yet."""
        return QuickCursor(self._execute, self._conn)


async def connect(file: str, **options: Any) -> QuickConnection:
    """Open a file; the thread ends with the process."""
    connection = QuickConnection(lambda: sqlite3.connect(file, **options), iter_chunk_size=64)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does for connections that it opens itself
    await connection
    return connection
