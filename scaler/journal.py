"""Lines of JSON in files of bounded size and age: `<date>.jsonl`, then `<date>.1.jsonl` ... as each one fills up.

Each process begins files of its own. A line is written by one call, so that a process killed at any point leaves whole
lines behind it. The newest lines may be written over in place, by as many bytes. A disk that refuses is told once and
costs those lines only.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from io import SEEK_END, FileIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from buildyard.contracts.wire import rfc3339
from buildyard.telemetry import logger

FILES = 5
"""The bytes that all may take together are shared out to so many full files."""
MOST_FILES = 200
"""A scaler that is started over and over leaves no more than these."""
_BLOCK_BYTES = 64 * 1024
_FILE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.(\d+))?\.jsonl")

_log = logger("record")


class Place(NamedTuple):
    """Where a line was written: which of the files that were open one after another, and at which byte."""

    file: int
    offset: int


class Journal:
    """Appends lines, and reads them from the newest to the oldest.

    Args:
        folder: where the files are; it is made when the first line is written.
        max_bytes: what all files together may take.
        keep_days: files of earlier days go when a new one is begun.
    """

    def __init__(self, folder: Path, max_bytes: int, keep_days: float) -> None:
        self._folder = folder
        self._file_bytes = max_bytes // FILES
        self._keep = timedelta(days=keep_days)
        self._open: FileIO | None = None
        self._opened = 0
        self._date = ""
        self._size = 0
        self._failing = False

    def append(self, line: bytes, at: datetime) -> Place | None:
        """Write a line of the time `at`; None when the disk refuses it."""
        try:
            file = self._current(rfc3339(at)[:10], len(line) + 1)
            place = Place(self._opened, self._size)
            cut = file.write(line + b"\n") - len(line) - 1
        except OSError as error:
            self._refused(error)
            return None
        if cut:
            self._refused(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            return None
        self._size += len(line) + 1
        self._failing = False
        return place

    def overwrite(self, place: Place, line: bytes, at: datetime) -> bool:
        """Replace a line of the same length; False when its file is closed, is of another day, or refuses."""
        if self._open is None or place.file != self._opened or rfc3339(at)[:10] != self._date:
            return False
        try:
            self._open.seek(place.offset)
            self._open.write(line)
            self._open.seek(0, SEEK_END)
        except OSError as error:
            self._refused(error)
            return False
        return True

    def newest_first(self) -> Iterator[bytes]:
        """Every whole line, from the newest file's last to the oldest file's first; what cannot be read is left out."""
        for path in reversed(self._files()):
            try:
                with path.open("rb") as file:
                    yield from _backwards(file)
            except OSError:
                continue

    def close(self) -> None:
        """Close the file in hand."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _refused(self, error: OSError) -> None:
        """Take back half a line, and tell of a disk that refuses, until it takes lines again."""
        if self._open is not None:
            try:
                self._open.truncate(self._size)
                self._open.seek(0, SEEK_END)
            except OSError:
                self.close()
        if not self._failing:
            _log.warning("decisions cannot be written", folder=str(self._folder), cause=str(error))
        self._failing = True

    def _current(self, day: str, needed: int) -> FileIO:
        if self._open is not None and day == self._date and self._size + needed <= self._file_bytes:
            return self._open
        self.close()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = [part for path in self._files() for of, part in [_place(path)] if of == day]
        number = max(numbers) + 1 if numbers else 0
        while (file := self._begun(self._path(day, number))) is None:
            number += 1
        self._open, self._date, self._size = file, day, 0
        self._opened += 1
        self._forget(day)
        return file

    def _begun(self, path: Path) -> FileIO | None:
        """A new file, or None when there is one of that name: nobody writes to a file that another may have open."""
        try:
            return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "r+")
        except FileExistsError:
            return None

    def _forget(self, day: str) -> None:
        """Drop files that are too many for the bytes, or too old; never the newest."""
        files = self._files()
        oldest_day = (date.fromisoformat(day) - self._keep).isoformat()
        kept = self._file_bytes
        for place, path in enumerate(reversed(files)):
            kept += path.stat().st_size if place else 0
            if place and (kept > self._file_bytes * FILES or place >= MOST_FILES or _place(path)[0] < oldest_day):
                path.unlink(missing_ok=True)

    def _path(self, day: str, number: int) -> Path:
        return self._folder / (f"{day}.{number}.jsonl" if number else f"{day}.jsonl")

    def _files(self) -> list[Path]:
        """The files, oldest first."""
        try:
            found = [path for path in self._folder.iterdir() if _FILE.fullmatch(path.name)]
        except OSError:
            return []
        return sorted(found, key=_place)


def _backwards(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file from its last to its first."""
    end = file.seek(0, SEEK_END)
    head = b""
    """The begin of the block before is the rest of a line that begins further up."""
    while end > 0:
        begin = max(0, end - _BLOCK_BYTES)
        file.seek(begin)
        lines = (file.read(end - begin) + head).split(b"\n")
        head, end = lines[0], begin
        yield from (line for line in reversed(lines[1:]) if line)
    if head:
        yield head


def _place(path: Path) -> tuple[str, int]:
    match = _FILE.fullmatch(path.name)
    return (match[1], int(match[2] or 0)) if match else ("", 0)
