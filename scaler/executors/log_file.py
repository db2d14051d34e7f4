"""Reading the log of a worker process while it is written, from any line on, at a bounded cost."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path

_PIECE_BYTES = 64 * 1024
_POLL_SECONDS = 0.25


class LogFile:
    """A file that one process appends to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self, tail: int | None, more: Callable[[], bool] | None) -> AsyncGenerator[bytes]:
        """Pieces of whole lines, from the start or from the last `tail` lines on.

        With `more` it goes on reading for as long as `more()` says that the writer lives.
        """
        offset = 0 if tail is None else await asyncio.to_thread(self.offset_of_tail, tail)
        while True:
            last_look = more is None or not more()  # asked before reading: what was written until then is still read
            while piece := await asyncio.to_thread(self.piece, offset, whole_lines=not last_look):
                offset += len(piece)
                yield piece
            if last_look:
                return
            if await asyncio.to_thread(self.size) < offset:
                offset = 0  # it was bounded meanwhile
            await asyncio.sleep(_POLL_SECONDS)

    def bound(self, limit: int) -> None:
        """Put a log that has grown beyond `limit` bytes aside as `<name>.1` and begin anew.

        The writer appends, so it goes on at the new end; lines of the very moment may be lost.
        """
        if self.size() > limit:
            with suppress(OSError):
                shutil.copyfile(self._path, self._path.with_name(self._path.name + ".1"))
                with self._path.open("r+b") as file:
                    file.truncate(0)

    def size(self) -> int:
        """Its length in bytes; 0 while there is none."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def piece(self, offset: int, *, whole_lines: bool) -> bytes:
        """The next bytes, at most 64 KiB, cut behind a line's end where there is one."""
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                data = file.read(_PIECE_BYTES)
        except OSError:
            return b""
        end = data.rfind(b"\n") + 1
        if end:
            return data[:end]
        return b"" if whole_lines and len(data) < _PIECE_BYTES else data

    def offset_of_tail(self, lines: int) -> int:
        """Where the last `lines` lines begin, found backwards from the end."""
        end = self.size()
        if lines == 0:
            return end
        position, found = end, 0
        with suppress(OSError), self._path.open("rb") as file:
            while position > 0:
                start = max(0, position - _PIECE_BYTES)
                file.seek(start)
                block = file.read(position - start)
                scan = len(block) - 1 if position == end and block.endswith(b"\n") else len(block)
                while (scan := block.rfind(b"\n", 0, scan)) >= 0:
                    found += 1
                    if found == lines:
                        return start + scan + 1
                position = start
        return 0
