"""An upload's body, written piece by piece: memory stays constant however large the file is."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from buildyard.errors import InvalidUpload

CHUNK_BYTES = 1 << 20
Progress = Callable[[int, int | None], None]
"""Called with the bytes done and, where known, all of them."""


class Multipart:
    """A `multipart/form-data` body of some fields and one file, the field `file`, which goes last."""

    def __init__(
        self,
        source: Path | AsyncIterable[bytes],
        fields: Mapping[str, str],
        filename: str,
        on_progress: Progress | None,
    ) -> None:
        """Raises InvalidUpload when the file cannot be read."""
        boundary = secrets.token_hex(16)
        self._source = source
        self._on_progress = on_progress or (lambda _done, _all: None)
        self._size = _size(source) if isinstance(source, Path) else None
        name = filename or (source.name if isinstance(source, Path) else "upload")
        self._head = "".join(_field(boundary, key, value) for key, value in fields.items()).encode()
        self._head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_quoted(name)}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        if self._size is not None:
            self.headers["Content-Length"] = str(len(self._head) + self._size + len(self._tail))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body. A file that shrinks or grows meanwhile is refused, since its length was promised."""
        yield self._head
        done = 0
        async for chunk in self._file():
            done += len(chunk)
            if self._size is not None and done > self._size:
                break
            yield chunk
            self._on_progress(done, self._size)
        if self._size is not None and done != self._size:
            raise InvalidUpload("The file changed while it was uploaded.", remedy="Upload it again when it is at rest.")
        yield self._tail

    def _file(self) -> AsyncIterable[bytes]:
        return _read(self._source) if isinstance(self._source, Path) else self._source


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            raise InvalidUpload(
                f"{path} is a folder.", remedy="Pack it first, for example: git archive -o src.zip HEAD"
            )
        return path.stat().st_size
    except OSError as error:
        raise InvalidUpload(f"{path} cannot be read: {error.strerror or error}.") from error


async def _read(path: Path) -> AsyncIterator[bytes]:
    try:
        file: BinaryIO = await asyncio.to_thread(path.open, "rb")
    except OSError as error:
        raise InvalidUpload(f"{path} cannot be read: {error.strerror or error}.") from error
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


def _field(boundary: str, name: str, value: str) -> str:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'


def _quoted(name: str) -> str:
    """A name as browsers write it into a header."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
