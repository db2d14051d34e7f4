"""One farm per data folder: the lock that says so, the record of who holds it, and what a killed farm left running.

The lock is an exclusive SQLite transaction held open: the system releases it when the process dies, however it
dies, on every platform, and no process id can be mistaken for another's.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from buildyard.errors import Conflict, InvalidSettings

MARKER = "BUILDYARD_FARM"
"""The variable that every process of a farm carries: the farm's id."""

_STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class FarmRecord:
    """Who runs a farm; written beside the lock for others to read."""

    farm_id: str
    pid: int
    api_url: str
    scaler_url: str


class FarmLock:
    """The right to run a farm on one data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._held: sqlite3.Connection | None = None

    def take(self) -> FarmRecord | None:
        """Take the lock; gives the record of the last holder, who is gone now.

        Raises:
            Conflict: another farm runs on this folder.
            InvalidSettings: the folder cannot be written.
        """
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            held = sqlite3.connect(self._data_dir / "farm.lock", timeout=0, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._unwritable(error) from error
        try:
            held.execute("PRAGMA journal_mode = MEMORY")
            held.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            held.close()
            if getattr(error, "sqlite_errorcode", None) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise self._taken() from error
            raise self._unwritable(error) from error
        self._held = held
        return self._read()

    def write(self, record: FarmRecord) -> None:
        """Tell others who holds the lock."""
        (self._data_dir / "farm.json").write_text(json.dumps(asdict(record)), encoding="utf-8")

    def release(self) -> None:
        """Give the lock back; the record goes first."""
        if self._held is not None:
            (self._data_dir / "farm.json").unlink(missing_ok=True)
            self._held.close()
            self._held = None

    def _read(self) -> FarmRecord | None:
        try:
            return FarmRecord(**json.loads((self._data_dir / "farm.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _taken(self) -> Conflict:
        holder = self._read()
        who = f": process {holder.pid}, {holder.api_url}" if holder else ""
        return Conflict(
            f"A farm already runs on the data folder {self._data_dir}{who}.",
            remedy="Use that one, stop it, or give another folder with --data-dir.",
        )

    def _unwritable(self, error: Exception) -> InvalidSettings:
        return InvalidSettings(
            f"The data folder {self._data_dir} cannot be written: {error}.",
            remedy="Give a folder you may write with --data-dir.",
        )


async def end_leftovers(farm_id: str) -> int:
    """End every process that carries a farm's id: first asked, after 10 s forced; gives how many there were.

    Works where /proc tells a process's environment; elsewhere it finds none.
    """
    found = set(_carriers(farm_id))
    for pid in found:
        _signal(pid, signal.SIGTERM)
    for _ in range(round(_STOP_SECONDS / _LOOK_SECONDS)):
        if not any(True for _ in _carriers(farm_id)):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    for pid in _carriers(farm_id):
        _signal(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    return len(found)


def _carriers(farm_id: str) -> Iterator[int]:
    wanted = f"{MARKER}={farm_id}".encode()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            carried = (place / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in carried and int(place.name) != os.getpid():
            yield int(place.name)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return
