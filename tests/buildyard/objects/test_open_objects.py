"""The URL chooses the object store; a folder's files are synced, and S3's large objects can be moved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildyard.errors import InvalidSettings
from buildyard.objects import open_objects, store
from buildyard.objects.store import FolderObjects, MemoryObjects, S3Objects
from tests.contract.stores import new_bucket, s3_server


def test_the_scheme_chooses_the_adapter(tmp_path: Path) -> None:
    assert isinstance(open_objects(f"file://{tmp_path}/a folder/100%"), FolderObjects)
    assert (tmp_path / "a folder" / "100%").is_dir()
    assert isinstance(open_objects("memory:"), MemoryObjects)
    assert isinstance(open_objects("s3://bucket"), S3Objects)
    assert isinstance(open_objects("s3://bucket/a/b?endpoint=https://s3.example&region=x"), S3Objects)
    for near in ("127.0.0.1:9000", "objects:8333", "objects.buildyard.svc:8333", "o.b.svc.cluster.local"):
        assert isinstance(open_objects(f"s3://bucket?endpoint=http://{near}&region=x"), S3Objects)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host/x",
        "/tmp/objects",
        "file:",
        "file:///",
        "file://relative/folder",
        "s3://",
        "s3:///prefix",
        "s3://bucket?endpoint=http://elsewhere.example",
        "s3://bucket?endpoint=http://3232235777",
        "s3://bucket?endpoint=http://objects.svc.example",
        "s3://bucket?endpoint=ftp://127.0.0.1",
        "s3://bucket?endpoint=127.0.0.1:9000",
        "s3://bucket?regoin=x",
        "s3://bucket?endpoint",
        "s3://[bucket",
    ],
)
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings):
        open_objects(url)


async def test_a_stored_file_and_its_new_folders_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), tmp_path))
        really(descriptor)

    objects = open_objects(f"file://{tmp_path}")
    monkeypatch.setattr(os, "fsync", fsync)
    await objects.put("a/b/c", b"x")
    assert synced == ["a/b/c#1", "a/b", "a", "."]  # written beside its name, then renamed
    synced.clear()
    await objects.put("a/b/d", b"x")
    assert synced == ["a/b/d#1", "a/b"]
    synced.clear()
    await objects.move("a/b/d", "n/d")
    assert sorted(synced) == [".", "a/b", "n", "n/d"]


async def test_empty_folders_go_with_their_last_object(tmp_path: Path) -> None:
    objects = open_objects(f"file://{tmp_path}")
    await objects.put("a/b/c", b"x")
    await objects.delete(["a/b/c"])
    assert list(tmp_path.iterdir()) == []


async def test_an_object_too_large_for_one_copy_is_moved_as_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(store, "_LARGEST_S3_COPY_BYTES", 3)
    with s3_server() as endpoint:
        objects = open_objects(f"s3://{new_bucket(endpoint)}?endpoint={endpoint}&region=x")
        await objects.put("large", b"large")
        await objects.move("large", "moved")
        assert await objects.read("moved") == b"large"
        assert [found.key async for found in objects.list("")] == ["moved"]
