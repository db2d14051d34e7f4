"""An upload on its way in: from the request's stream into quarantine, counted, hashed and recognised as it passes.

Memory holds about two pieces of 1 MiB whatever the upload's size. Whatever goes wrong, nothing stays in the store. An
upload that fits in one piece stays in memory until its form is read to the end, and is then stored under its own key.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from fastapi import Request

from buildyard.contracts.builds import UploadKind, UploadSource
from buildyard.errors import InvalidRequest, TemporaryError, TooLarge
from buildyard.ports import ObjectStore
from orchestrator.api.kinds import kind_of
from orchestrator.api.multipart import FormEnd, FormEvent, FormParser, PartEnd, PartHead, boundary_of
from orchestrator.api.problems import unreadable
from orchestrator.api.streams import without_stalls

PIECE_BYTES = 2**20
_HASHED_HERE_BYTES = 2**16
"""Hashing so little takes less time than handing it to a thread."""
FIELDS_MAX_BYTES = 2**20
FIELDS_MAX_COUNT = 200
_FILE_FIELD = "file"
_NAME_MAX = 200


@dataclass(frozen=True)
class Received:
    """An upload whose form is complete, and the other fields of the form in their order."""

    upload_id: str
    content: bytes | None
    """The whole upload when it is small; a larger one lies in quarantine."""
    filename: str
    kind: UploadKind
    sha256: str
    size_bytes: int
    fields: tuple[tuple[str, str], ...]

    @property
    def source(self) -> UploadSource:
        """The upload as a build's source, under the key it has once it is kept."""
        return UploadSource(
            upload_id=self.upload_id,
            key=f"uploads/{self.upload_id}",
            kind=self.kind,
            sha256=self.sha256,
            size_bytes=self.size_bytes,
            filename=self.filename,
        )

    async def keep(self, objects: ObjectStore) -> UploadSource:
        """Store it durably under its own key. Raises ObjectsUnavailable."""
        source = self.source
        if self.content is None:
            await objects.move(_quarantine_key(self.upload_id), source.key)
        else:
            await objects.put(source.key, self.content)
        return source


@asynccontextmanager
async def received_upload(
    request: Request, objects: ObjectStore, upload_id: str, limit: int
) -> AsyncGenerator[Received]:
    """Take the upload in; inside the block a large one lies in quarantine, after it nothing does.

    Raises:
        InvalidUpload: (400, 415) the bytes are none of the kinds we read.
        InvalidRequest: (400) the form is broken or has no file.
        TooLarge: more than `limit` bytes.
        ObjectsUnavailable: the store cannot take it.
        ClientDisconnect: the client left.
    """
    boundary = boundary_of(request.headers.get("content-type", ""))
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit + 2 * FIELDS_MAX_BYTES:
        raise _too_large(limit)
    form = _Form(without_stalls(request.stream()), FormParser(boundary))
    head = await form.file_head()
    filename = plain_name(head.filename or "")
    pieces = _Pieces(form.file_data(), limit)
    async with aclosing(pieces.measured()) as measured:
        first = await anext(measured, b"")
        kind = kind_of(first, filename, head.content_type)
        small = len(first) < PIECE_BYTES  # a full piece may be followed by more
        async with _in_quarantine(None if small else objects, upload_id, pieces, first):
            await form.finish()
            yield Received(
                upload_id=upload_id,
                content=first if small else None,
                filename=filename,
                kind=kind,
                sha256=pieces.sha256,
                size_bytes=pieces.size_bytes,
                fields=tuple(form.fields),
            )


@asynccontextmanager
async def _in_quarantine(
    objects: ObjectStore | None, upload_id: str, pieces: _Pieces, first: bytes
) -> AsyncGenerator[None]:
    """Store the pieces in quarantine for the length of the block; without a store there is nothing to do."""
    if objects is None:
        yield
        return
    key = _quarantine_key(upload_id)
    try:
        await pieces.put(objects, key, first)
        yield
    finally:
        with suppress(TemporaryError):  # the upload has its answer; what is left of it is nobody's
            await asyncio.shield(objects.delete([key]))


def _quarantine_key(upload_id: str) -> str:
    return f"quarantine/{upload_id}"


def plain_name(filename: str) -> str:
    """The last part of a file name, without anything that a header, a log or a terminal would obey."""
    last = re.split(r"[\\/]", filename)[-1]
    return "".join(mark if mark.isprintable() else "_" for mark in last)[:_NAME_MAX]


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The upload is larger than {limit} bytes.", remedy="Leave out what is not needed, or raise UPLOAD_MAX_BYTES."
    )


class _Form:
    """A form read part by part; fields are kept, the file is passed on."""

    def __init__(self, chunks: AsyncIterator[bytes], parser: FormParser) -> None:
        self._chunks = chunks
        self._parser = parser
        self._events: deque[FormEvent] = deque()
        self._field_bytes = 0
        self.fields: list[tuple[str, str]] = []

    async def file_head(self) -> PartHead:
        """Go on to the file's part."""
        while not isinstance(event := await self._next(), FormEnd):
            if isinstance(event, PartHead):
                if event.name == _FILE_FIELD:
                    return event
                await self._field(event)
        raise unreadable("The form has no field `file`.", remedy="For example: curl -F file=@src.zip URL/upload")

    async def file_data(self) -> AsyncIterator[memoryview]:
        """The file's bytes, as views to be used at once."""
        while isinstance(event := await self._next(), memoryview):
            yield event

    async def finish(self) -> None:
        """Read what follows the file, up to the closing boundary."""
        while not isinstance(event := await self._next(), FormEnd):
            if isinstance(event, PartHead):
                if event.name == _FILE_FIELD:
                    raise unreadable("The form has more than one field `file`.", remedy="Send one upload at a time.")
                await self._field(event)

    async def _field(self, head: PartHead) -> None:
        if head.filename is not None:
            raise unreadable(
                f"The form sends a file as {head.name[:60]!r}.", remedy="Name the field `file`: -F file=@src.zip"
            )
        value = bytearray()
        while not isinstance(event := await self._next(), PartEnd):
            assert isinstance(event, memoryview)
            value += event
            self._count(len(event))
        self._count(len(head.name))
        self.fields.append((head.name, _text(head.name, value)))
        if len(self.fields) > FIELDS_MAX_COUNT:
            raise TooLarge(f"The form has more than {FIELDS_MAX_COUNT} fields.")

    def _count(self, more: int) -> None:
        self._field_bytes += more
        if self._field_bytes > FIELDS_MAX_BYTES:
            raise TooLarge(f"The form's fields hold more than {FIELDS_MAX_BYTES} bytes.")

    async def _next(self) -> FormEvent:
        while not self._events:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                raise unreadable("The form ends before its closing boundary.", remedy="Send the whole upload again.")
            self._events.extend(self._parser.feed(chunk))
        return self._events.popleft()


def _text(name: str, value: bytearray) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The field {name[:60]!r} is not UTF-8.", field=name[:60]) from error


class _Pieces:
    """A file's bytes in pieces of 1 MiB, counted and hashed; a large one in a thread, so that nothing else waits."""

    def __init__(self, data: AsyncIterator[memoryview], limit: int) -> None:
        self._data = data
        self._limit = limit
        self._hash = hashlib.sha256()
        self._measured = self._measure()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """The hash of all that passed, in hexadecimal."""
        return self._hash.hexdigest()

    def measured(self) -> AsyncGenerator[bytes]:
        """The pieces; each call goes on where the last one stopped."""
        return self._measured

    async def put(self, objects: ObjectStore, key: str, first: bytes) -> None:
        """Store `first` and all that follows. Raises what the reading or the store raised."""
        await objects.put(key, self._from(first))

    async def _from(self, first: bytes) -> AsyncIterator[bytes]:
        yield first
        async for piece in self._measured:
            yield piece

    async def _measure(self) -> AsyncGenerator[bytes]:
        piece = bytearray()
        async for view in self._data:
            piece += view
            if self.size_bytes + len(piece) > self._limit:
                raise _too_large(self._limit)
            if len(piece) >= PIECE_BYTES:
                yield await self._taken(piece)
                piece = bytearray()
        if piece:
            yield await self._taken(piece)

    async def _taken(self, piece: bytearray) -> bytes:
        taken = bytes(piece)
        self.size_bytes += len(taken)
        if len(taken) <= _HASHED_HERE_BYTES:
            self._hash.update(taken)
        else:
            await asyncio.to_thread(self._hash.update, taken)
        return taken
