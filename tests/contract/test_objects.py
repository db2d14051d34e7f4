"""What every object store promises; see `buildyard.ports`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from buildyard.errors import InvalidRequest, NotFound, ObjectsUnavailable
from buildyard.objects import open_objects, store
from buildyard.objects.store import PART_BYTES
from buildyard.ports import ObjectStore
from tests.contract.stores import new_bucket, s3_server, unfinished_uploads

KEYS = [
    "plain.txt",
    "a/b/c",
    "with space",
    "50% # sure?",
    "x#1",
    "%23",
    "größe/日本.txt",
    "q'\"<>&+~[]:;=",
    "a\\b",
    "-x",
    ".hidden",
]
UNCLEAN = ["", "/etc/passwd", "../x", "a/../../x", "a/..", "a//b", "a/", "./a", "a/.", "a\nb", "a\0b", "\x1b[31m"]
UNCLEAN += ["a\u202eb", "\udc80", "x" * 241, "/".join(["x" * 100] * 10)]


@dataclass
class Shelf:
    """An object store under test."""

    store: ObjectStore
    leftovers: Callable[[], int]
    """How many unfinished things lie beside the objects."""


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["file", "s3", "memory"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Every store in turn."""
    if request.param == "file":
        folder = tmp_path / "new" / "objects"
        return Shelf(open_objects(f"file://{folder}"), lambda: len([*folder.rglob("*#*")]))
    if request.param == "memory":
        return Shelf(open_objects("memory:"), lambda: 0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    endpoint = request.getfixturevalue("s3_endpoint")
    bucket = new_bucket(endpoint)
    store = open_objects(f"s3://{bucket}/some/prefix?endpoint={endpoint}&region=eu-central-1")
    return Shelf(store, lambda: unfinished_uploads(endpoint, bucket))


async def pieces(total: int, size: int = 2**20) -> AsyncIterator[bytes]:
    """A stream of bytes that differ by place."""
    for start in range(0, total, size):
        await asyncio.sleep(0)
        yield bytes([start // size % 251]) * min(size, total - start)


async def gathered(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def keys(store: ObjectStore, prefix: str) -> list[str]:
    return [found.key async for found in store.list(prefix)]


@pytest.mark.parametrize("total", [0, 1, 2**20, PART_BYTES, 2 * PART_BYTES + 12345])
async def test_a_stream_comes_back_as_it_went_in(shelf: Shelf, total: int) -> None:
    info = await shelf.store.put("a/stream", pieces(total))
    assert (info.key, info.size_bytes) == ("a/stream", total)
    assert await shelf.store.head("a/stream") == info
    sent, back = hashlib.sha256(await gathered(pieces(total))), hashlib.sha256()
    async for chunk in await shelf.store.open("a/stream"):
        back.update(chunk)
    assert back.digest() == sent.digest()
    assert shelf.leftovers() == 0


async def test_bytes_come_back_as_they_went_in(shelf: Shelf) -> None:
    for body in (b"", b"0123456789"):
        assert (await shelf.store.put("small", body)).size_bytes == len(body)
        assert await shelf.store.read("small") == body
        assert await gathered(await shelf.store.open("small")) == body


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, b"0123456789"), (0, 4, b"0123"), (3, 5, b"34"), (9, None, b"9"), (3, 100, b"3456789"),
        (0, 0, b""), (5, 5, b""), (10, None, b""), (10, 12, b""), (50, None, b""),
    ],
)  # fmt: skip
async def test_ranges_end_where_they_say_or_where_the_object_ends(
    shelf: Shelf, start: int, end: int | None, expected: bytes
) -> None:
    await shelf.store.put("ten", b"0123456789")
    assert await shelf.store.read("ten", start, end) == expected
    assert await gathered(await shelf.store.open("ten", start, end)) == expected


async def test_a_range_that_makes_no_sense_is_refused(shelf: Shelf) -> None:
    await shelf.store.put("ten", b"0123456789")
    for start, end in ((-1, None), (5, 3)):
        with pytest.raises(InvalidRequest):
            await shelf.store.read("ten", start, end)


async def test_what_is_not_there_is_not_found(shelf: Shelf) -> None:
    store = shelf.store
    for question in (
        store.head("no"),
        store.read("no"),
        store.read("no", 3, 4),
        store.open("no"),
        store.move("no", "x"),
    ):
        with pytest.raises(NotFound, match="'no'"):
            await question
    assert await keys(store, "") == []
    assert await keys(store, "no/such/folder") == []


async def test_objects_are_listed_below_a_prefix_by_key(shelf: Shelf) -> None:
    for key in ("b/2", "b/1", "b/10/x", "bc", "a", "b/1.5"):
        await shelf.store.put(key, key.encode())
    assert await keys(shelf.store, "b") == ["b/1", "b/1.5", "b/10/x", "b/2"]
    assert await keys(shelf.store, "b/") == ["b/1", "b/1.5", "b/10/x", "b/2"]
    assert await keys(shelf.store, "b/10/") == ["b/10/x"]
    assert await keys(shelf.store, "") == ["a", "b/1", "b/1.5", "b/10/x", "b/2", "bc"]
    assert [found.size_bytes async for found in shelf.store.list("b/10")] == [6]


async def test_old_objects_come_in_pages_and_younger_ones_do_not(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_PAGE", 30)
    keys = {f"b/{number % 7}/{number}#%" for number in range(100)}
    await asyncio.gather(*(shelf.store.put(key, b"x") for key in keys))
    await shelf.store.put("bc", b"other")
    now = datetime.now(UTC)

    pages = [[info.key for info in page] async for page in shelf.store.pages("b/", now + timedelta(hours=1))]

    assert len(pages) >= 4
    assert max(len(page) for page in pages) <= 30
    assert sorted(key for page in pages for key in page) == sorted(keys)
    for prefix, before in (("b/", now - timedelta(hours=1)), ("none", now + timedelta(hours=1))):
        assert [page async for page in shelf.store.pages(prefix, before)] == []
    await shelf.store.delete(sorted(keys))
    assert [info.key async for info in shelf.store.list("")] == ["bc"]


async def test_a_moved_object_has_its_new_key_only(shelf: Shelf) -> None:
    await shelf.store.put("quarantine/1", b"bytes")
    await shelf.store.move("quarantine/1", "uploads/deep/1")
    assert await keys(shelf.store, "") == ["uploads/deep/1"]
    assert await shelf.store.read("uploads/deep/1") == b"bytes"


async def test_deleted_objects_are_gone_and_missing_ones_no_error(shelf: Shelf) -> None:
    for key in ("a/1", "a/2", "b"):
        await shelf.store.put(key, b"x")
    await shelf.store.delete(["a/1", "never", "a/2", "a/2"])
    await shelf.store.delete([])
    assert await keys(shelf.store, "") == ["b"]


@pytest.mark.parametrize("key", KEYS)
async def test_odd_but_printable_keys_are_kept_as_they_are(shelf: Shelf, key: str) -> None:
    await shelf.store.put(f"files/{key}", key.encode())
    assert await keys(shelf.store, "files") == [f"files/{key}"]
    assert await shelf.store.read(f"files/{key}") == key.encode()
    await shelf.store.move(f"files/{key}", f"moved/{key}")
    assert (await shelf.store.head(f"moved/{key}")).key == f"moved/{key}"
    await shelf.store.delete([f"moved/{key}"])
    assert await keys(shelf.store, "") == []


@pytest.mark.parametrize("key", UNCLEAN)
async def test_unclean_keys_are_refused(shelf: Shelf, key: str) -> None:
    store = shelf.store
    await store.put("a", b"x")
    for question in (
        store.put(key, b"x"),
        store.head(key),
        store.move("a", key),
        store.move(key, "b"),
        store.delete([key]),
    ):
        with pytest.raises(InvalidRequest):
            await question
    assert await keys(store, "") == ["a"]


async def test_a_stream_that_breaks_leaves_nothing_and_its_error_comes_out(shelf: Shelf) -> None:
    class ClientLeftError(Exception):
        pass

    for failure in (ClientLeftError("gone"), ConnectionResetError("gone"), FileNotFoundError("gone")):

        async def broken(error: Exception = failure) -> AsyncIterator[bytes]:
            async for piece in pieces(2 * PART_BYTES + 5):
                yield piece
            raise error

        with pytest.raises(type(failure), match="gone"):
            await shelf.store.put("up/broken", broken())
    assert await keys(shelf.store, "") == []
    assert shelf.leftovers() == 0


async def test_a_cancelled_put_leaves_nothing(shelf: Shelf) -> None:
    sent = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for piece in pieces(3 * PART_BYTES):
            yield piece
        sent.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(shelf.store.put("up/cancelled", endless()))
    await sent.wait()
    putting.cancel()
    await asyncio.wait([putting])
    assert putting.cancelled()
    assert await keys(shelf.store, "") == []
    async with asyncio.timeout(60):
        while shelf.leftovers():
            await asyncio.sleep(0.01)


async def test_readers_do_not_disturb_each_other(shelf: Shelf) -> None:
    total = PART_BYTES + 77
    await shelf.store.put("shared", pieces(total))
    half_read = await shelf.store.open("shared")
    await anext(half_read)
    streams = [await shelf.store.open("shared") for _ in range(3)]
    bodies = await asyncio.gather(*(gathered(stream) for stream in streams))
    assert {len(body) for body in bodies} == {total}


async def test_a_store_that_cannot_be_reached_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ObjectsUnavailable):
        open_objects(f"file://{tmp_path / 'file' / 'objects'}")
    store = open_objects("s3://bucket/prefix?endpoint=http://127.0.0.1:1&region=x")
    with pytest.raises(ObjectsUnavailable):
        await store.read("a")
