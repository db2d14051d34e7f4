"""A folder on its way up: packed while it is sent, with nothing put down on the disk."""

from __future__ import annotations

import asyncio
import io
import queue
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import BinaryIO, cast

from typing_extensions import Buffer

from buildyard.archives import Packed, measure, pack
from buildyard.cli.ignoring import Ignored
from buildyard.errors import InvalidUpload

_PIECE_BYTES = 1 << 20
_PIECES_AHEAD = 4


class Folder:
    """A folder to send: what goes along is known before anything is sent, what is packed is the same each time."""

    def __init__(self, path: Path, kind: str) -> None:
        """Look through the folder.

        Raises:
            InvalidUpload: it holds nothing to send, or something that may not be read.
        """
        self.path = path
        self.kind = kind
        try:
            self._ignored = Ignored(path)
            self.content: Packed = measure(path, ignore=self._ignored)
        except OSError as error:
            raise unreadable(error, path) from error
        if not self.content.files:
            raise InvalidUpload(
                f"The folder {path} holds no file to build.",
                remedy="Files that .gitignore or .buildyardignore name stay out.",
            )

    @property
    def filename(self) -> str:
        """What its archive is called."""
        return f"{self.path.resolve().name or 'source'}.{self.kind}"

    def sends(self, name: str) -> bool:
        """Whether a file at the top is there and goes along."""
        file = self.path / name
        return file.is_file() and not file.is_symlink() and not self._ignored(name)

    async def packed(self, on_progress: Callable[[int, int | None], None]) -> AsyncGenerator[bytes]:
        """The archive in pieces of about 1 MiB; `on_progress` is told bytes before compression.

        A thread packs a few pieces ahead. It ends with this generator, also where that is closed early.

        Raises:
            InvalidUpload: something may not be read, or is gone meanwhile.
            Conflict: a file became shorter while it was packed.
        """
        pieces = _Pieces()
        thread = threading.Thread(target=self._pack, args=(pieces, on_progress), daemon=True)
        thread.start()
        try:
            while (piece := await asyncio.to_thread(pieces.next)) is not None:
                yield piece
        finally:
            pieces.abandon()
            thread.join()

    def _pack(self, pieces: _Pieces, on_progress: Callable[[int, int | None], None]) -> None:
        failure: Exception | None = None
        try:
            pack(
                self.path,
                cast("BinaryIO", pieces),
                kind=self.kind,
                ignore=self._ignored,
                moved=lambda done: on_progress(done, self.content.bytes),
            )
        except OSError as error:
            failure = unreadable(error, self.path)
        except Exception as error:  # noqa: BLE001 - it is raised again where the pieces are awaited
            failure = error
        pieces.end(failure)


class _Abandoned(Exception):
    """Nobody wants the rest."""


class _Pieces(io.RawIOBase):
    """A file that one thread writes and another reads, a few pieces ahead of it and no more."""

    def __init__(self) -> None:
        super().__init__()
        self._gathered = bytearray()
        self._queue: queue.Queue[bytes | Exception | None] = queue.Queue(_PIECES_AHEAD)
        self._abandoned = False

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Buffer, /) -> int:
        """Take bytes; waits while the reader is behind."""
        if self._abandoned:
            raise _Abandoned
        view = memoryview(data)
        self._gathered += view
        if len(self._gathered) >= _PIECE_BYTES:
            self._queue.put(bytes(self._gathered))
            self._gathered.clear()
        return view.nbytes

    def end(self, failure: Exception | None) -> None:
        """Hand over what is left, then the end, or why there is none."""
        if failure is None and self._gathered:
            self._queue.put(bytes(self._gathered))
        self._queue.put(failure)

    def next(self) -> bytes | None:
        """The next piece, or None at the end; waits for it. Raises what `end` was given."""
        item = self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    def abandon(self) -> None:
        """Let the writer end at its next write."""
        self._abandoned = True
        while not self._queue.empty():
            self._queue.get_nowait()


def unreadable(error: OSError, folder: Path) -> InvalidUpload:
    """What to say of a file or folder that cannot be packed."""
    place = error.filename or folder
    return InvalidUpload(
        f"{place} cannot be read: {error.strerror or error}.",
        remedy="Change its permissions, or name it in .buildyardignore.",
    )
