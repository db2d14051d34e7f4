"""Objects by key, on obstore: streams with bounded memory, durable when a put returns, and only clean keys."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, S3Store
from obstore.store import ObjectStore as Backend

from buildyard.errors import InvalidRequest, NotFound, ObjectsUnavailable
from buildyard.grouping import Grouped
from buildyard.objects.files import deepest_first, new_folders, sync, unlink_torn, write_files
from buildyard.ports import ObjectInfo

if TYPE_CHECKING:  # exists for type checkers only
    from obstore.store import S3Config

PART_BYTES = 8 * 2**20
_PARTS_AT_ONCE = 2
_READ_BYTES = 2**20
_CLEANING_SECONDS = 10.0
_LONGEST_KEY_BYTES = 900
_LONGEST_PART_BYTES = 240
_LARGEST_S3_COPY_BYTES = 5 * 10**9
_PAGE = 500
_DELETED_AT_ONCE = 1000
_FILES_AT_ONCE = 64
_FILES_WAITING = 2000
_Result = TypeVar("_Result")


class Objects(ABC):
    """An object store on an obstore backend; see `buildyard.ports.ObjectStore`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def put(self, key: str, chunks: AsyncIterator[bytes] | bytes) -> ObjectInfo:
        """Store durably; about three parts of 8 MiB are in memory at most. A failed put leaves nothing behind.

        Raises:
            InvalidRequest: the key is not clean.
            ObjectsUnavailable: the store cannot be reached, or is full.
        """
        place = self._place(key)
        async with self._durable([place]):
            size = len(chunks) if isinstance(chunks, bytes) else 0
            if isinstance(chunks, bytes):
                await self._asked(obstore.put_async(self._backend, place, chunks, use_multipart=False), key)
            else:
                size = await self._put_stream(place, chunks)
        return ObjectInfo(key, size)

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Stream bytes start..end (end excluded) in chunks of about 1 MiB. Raises NotFound."""
        result = await self._get(key, start, end)
        return _nothing() if result is None else self._stream(result, key)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Read a small object, or a range of one. Raises NotFound."""
        result = await self._get(key, start, end)
        return b"" if result is None else bytes(await self._asked(result.bytes_async(), key))

    async def head(self, key: str) -> ObjectInfo:
        """Size of an object. Raises NotFound."""
        meta = await self._asked(obstore.head_async(self._backend, self._place(key)), key)
        return ObjectInfo(key, meta["size"])

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Objects below a prefix (whole parts: `a/b` holds `a/b/c`, not `a/bc`), by key."""
        place = self._place(prefix.rstrip("/")) if prefix.rstrip("/") else None
        found = await self._asked(self._backend.list(place).collect_async(), prefix)
        for key, size in sorted((self._key(meta["path"]), meta["size"]) for meta in found):
            yield ObjectInfo(key, size)

    async def pages(self, prefix: str, older_than: datetime) -> AsyncIterator[Sequence[ObjectInfo]]:
        """Objects below a prefix that were stored before a moment, in no order: a page at a time in bounded memory."""
        place = self._place(prefix.rstrip("/")) if prefix.rstrip("/") else None
        with _told(prefix):
            async for page in self._backend.list(place, chunk_size=_PAGE):
                old = [meta for meta in page if meta["last_modified"] < older_than]
                if old:
                    yield [ObjectInfo(self._key(meta["path"]), meta["size"]) for meta in old]

    async def move(self, source: str, target: str) -> None:
        """Give an object another key. Raises NotFound."""
        here, there = self._place(source), self._place(target)
        async with self._durable([there, here]):
            await self._rename(here, there)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; a missing one is no error."""
        for place in [self._place(key) for key in keys]:
            with contextlib.suppress(NotFound):
                await self._asked(obstore.delete_async(self._backend, place), place)

    async def drop_torn(self, prefix: str, age_seconds: float) -> int:
        """Nothing: a bucket drops parts of broken uploads by a lifecycle rule of its own."""
        del prefix, age_seconds
        return 0

    # ---------------------------------------------------------------- what stores do differently
    def _place(self, key: str) -> str:
        """Where a key lies in the backend. Raises InvalidRequest."""
        return checked_key(key)

    def _key(self, place: str) -> str:
        return place

    @contextlib.asynccontextmanager
    async def _durable(self, _places: Sequence[str]) -> AsyncIterator[None]:
        """Make what happens inside durable before it is over."""
        yield

    @abstractmethod
    async def _rename(self, here: str, there: str) -> None:
        """Move an object."""

    # ---------------------------------------------------------------- on obstore
    async def _put_stream(self, place: str, chunks: AsyncIterator[bytes]) -> int:
        """Store a stream; an error of the stream itself comes out unchanged.

        A cancelled put is ended by breaking its stream: only then does the backend remove the parts it has sent.
        """
        stream = _Breakable(chunks)
        storing = asyncio.ensure_future(
            obstore.put_async(self._backend, place, stream, chunk_size=PART_BYTES, max_concurrency=_PARTS_AT_ONCE)
        )
        try:
            await self._asked(asyncio.shield(storing), place)
        except asyncio.CancelledError:
            stream.broken.set()
            await asyncio.wait([storing], timeout=_CLEANING_SECONDS)
            storing.cancel()
            await asyncio.gather(storing, return_exceptions=True)
            raise
        except (ObjectsUnavailable, NotFound):
            if stream.failure is not None:
                raise stream.failure from None
            raise
        finally:
            stream.broken.set()
        return stream.size

    async def _get(self, key: str, start: int, end: int | None) -> obstore.GetResult | None:
        """Begin to read; None for an empty range."""
        place = self._place(key)
        if start < 0 or (end is not None and end < start):
            raise InvalidRequest(f"The range {start}..{end} of an object is wrong.")
        if start == 0 and end is None:
            return await self._asked(obstore.get_async(self._backend, place), key)
        if (await self.head(key)).size_bytes <= start or end == start:
            return None
        options: obstore.GetOptions = {"range": {"offset": start} if end is None else (start, end)}
        return await self._asked(obstore.get_async(self._backend, place, options=options), key)

    async def _stream(self, result: obstore.GetResult, key: str) -> AsyncIterator[bytes]:
        with _told(key):
            async for chunk in result.stream(min_chunk_size=_READ_BYTES):
                yield bytes(chunk)

    async def _asked(self, question: Awaitable[_Result], key: str) -> _Result:
        with _told(key):
            return await question


class FolderObjects(Objects):
    """Objects as files below a folder, synced to the disk.

    Raises:
        ObjectsUnavailable: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing = Grouped(self._write, most=_FILES_AT_ONCE, waiting_most=_FILES_WAITING)
        with _told(str(folder)):
            super().__init__(LocalStore(folder, mkdir=True, automatic_cleanup=True))

    async def drop_torn(self, prefix: str, age_seconds: float) -> int:
        """Remove the backend's files of unfinished puts (`NAME#NUMBER`) that nobody wrote to for so long."""
        folder = self._folder / self._place(prefix.rstrip("/"))
        with _told(prefix):
            return await asyncio.to_thread(unlink_torn, folder, age_seconds)

    def _place(self, key: str) -> str:
        """The backend keeps names ending in `#` and digits for itself; we keep `#` and `%` out of file names."""
        return checked_key(key).replace("%", "%25").replace("#", "%23")

    def _key(self, place: str) -> str:
        return place.replace("%23", "#").replace("%25", "%")

    @contextlib.asynccontextmanager
    async def _durable(self, places: Sequence[str]) -> AsyncIterator[None]:
        """Sync the first file, and the folders of all as far up as they are new: obstore itself never syncs."""
        paths = [self._folder / place for place in places]
        folders = {folder for path in paths for folder in new_folders(path, self._folder)}
        yield
        with _told(places[0]):
            await asyncio.to_thread(sync, [paths[0], *deepest_first(folders)])

    async def put(self, key: str, chunks: AsyncIterator[bytes] | bytes) -> ObjectInfo:
        """Store as `Objects.put` does; small objects that come at the same time are written and synced together."""
        if not isinstance(chunks, bytes):
            return await super().put(key, chunks)
        await self._writing.do((self._folder / self._place(key), chunks))
        return ObjectInfo(key, len(chunks))

    async def _write(self, files: Sequence[tuple[Path, bytes]]) -> Sequence[None]:
        with _told(files[0][0].name):
            await asyncio.to_thread(write_files, files, self._folder)
        return [None] * len(files)

    async def _rename(self, here: str, there: str) -> None:
        await self._asked(obstore.rename_async(self._backend, here, there), here)


class MemoryObjects(Objects):
    """Objects in memory, for tests: they go with their store."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())

    async def _rename(self, here: str, there: str) -> None:
        await self._asked(obstore.rename_async(self._backend, here, there), here)


class S3Objects(Objects):
    """Objects in a bucket of S3, or of a server that speaks like it.

    Args:
        bucket: its name.
        prefix: before every key; may be empty.
        endpoint: URL of the server; empty for Amazon's.
        region: empty for the one of the environment.
    """

    def __init__(self, bucket: str, prefix: str, *, endpoint: str = "", region: str = "") -> None:
        chosen: S3Config = {}
        if endpoint:
            chosen["endpoint"] = endpoint
        if region:
            chosen["region"] = region
        super().__init__(
            S3Store(
                bucket,
                prefix=prefix or None,
                config=chosen,
                client_options={
                    "allow_http": endpoint.startswith("http:"),
                    "connect_timeout": timedelta(seconds=3),
                    "read_timeout": timedelta(seconds=20),
                    "timeout": timedelta(hours=1),  # of a whole download; the default of 30 s ends large ones
                },
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=15)},
            )
        )

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects, up to a thousand with one request; a missing one is no error."""
        places = list(dict.fromkeys(self._place(key) for key in keys))
        for start in range(0, len(places), _DELETED_AT_ONCE):
            some = places[start : start + _DELETED_AT_ONCE]
            await self._asked(obstore.delete_async(self._backend, some), some[0])

    async def _rename(self, here: str, there: str) -> None:
        """Copy, then delete: S3 has no rename. Above 5 GB it has no copy in one request either."""
        meta = await self._asked(obstore.head_async(self._backend, here), here)
        if meta["size"] <= _LARGEST_S3_COPY_BYTES:
            await self._asked(obstore.copy_async(self._backend, here, there), here)
        else:
            result = await self._asked(obstore.get_async(self._backend, here), here)
            await self._put_stream(there, self._stream(result, here))
        await self._asked(obstore.delete_async(self._backend, here), here)


class _Breakable:
    """A stream that is measured, that can be broken from outside, and that remembers its own failure."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.size = 0
        self.failure: Exception | None = None
        self.broken = asyncio.Event()
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        breaking: asyncio.Future[Any] = asyncio.ensure_future(self.broken.wait())
        try:
            while (chunk := await self._next(breaking)) is not None:
                self.size += len(chunk)
                yield chunk
        except Exception as error:
            self.failure = error
            raise
        finally:
            breaking.cancel()

    async def _next(self, breaking: asyncio.Future[Any]) -> bytes | None:
        coming: asyncio.Future[Any] = asyncio.ensure_future(anext(self._chunks, None))
        try:
            await asyncio.wait([coming, breaking], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
        if self.broken.is_set():
            raise ConnectionAbortedError("the upload was cancelled")
        chunk: bytes | None = coming.result()
        return chunk


def checked_key(key: str) -> str:
    """A key that is safe as a path and as a URL, unchanged.

    Raises:
        InvalidRequest: it is empty, too long, absolute, has empty parts, `.` or `..`, or is not printable.
    """
    parts = key.split("/")
    printable = key.isprintable()
    if (
        not printable
        or any(part in {"", ".", ".."} for part in parts)
        or len(key.encode()) > _LONGEST_KEY_BYTES
        or any(len(part.encode()) > _LONGEST_PART_BYTES for part in parts)
    ):
        raise InvalidRequest(
            f"{ascii(key)[:100]} is no name for an object.",
            remedy="Use a relative path of printable characters without empty parts, . or .., each part below "
            f"{_LONGEST_PART_BYTES} bytes.",
        )
    return key


@contextlib.contextmanager
def _told(key: str) -> Iterator[None]:
    """Turn what the backend raises into errors of ours; errors of a stream that is being stored pass unchanged."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"There is no object {key!r}.") from error
    except (BaseError, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ObjectsUnavailable(
            f"The object store cannot do this now: {lines[0].rstrip('.')}.",
            remedy="Look at its address and credentials, and at the disk's free space.",
        ) from error


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in tuple[bytes, ...]():
        yield chunk
