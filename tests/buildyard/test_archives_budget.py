"""Bombs stop early, memory stays small, and whoever waits can stop the work."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildyard.archives import Budget, extract, unpacking
from buildyard.archives.target import TargetFolder
from buildyard.errors import Conflict, HostileArchive, Overloaded, TemporaryError
from tests.buildyard.archive_forge import ZipPart, gz, tar_member, tar_of, zip_of, zst

MIB = 1024 * 1024
SMALL = Budget(max_bytes=3 * MIB, ratio_free_bytes=2 * MIB, max_ratio=20)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of all chunks that reached the target, also those removed later."""
    sizes: list[int] = []
    original = TargetFolder.write

    def write(self: TargetFolder, path: tuple[str, ...], chunks: Iterator[bytes], **facts: Any) -> int:
        def counted() -> Iterator[bytes]:
            for chunk in chunks:
                sizes.append(len(chunk))
                yield chunk

        return original(self, path, counted(), **facts)

    monkeypatch.setattr(TargetFolder, "write", write)
    return sizes


def archive(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "archive"
    path.write_bytes(content)
    return path


def zeros_in_tar(size: int) -> bytes:
    return tar_of(tar_member("zeros", bytes(size)))


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst"])
def test_a_bomb_in_a_tar_stops_at_the_ratio_and_below_the_budget(tmp_path: Path, written: list[int], kind: str) -> None:
    tar = zeros_in_tar(64 * MIB)
    bomb = archive(tmp_path, gz(tar) if kind == "tar.gz" else zst(tar))

    with pytest.raises(HostileArchive, match="20 times its size"):
        extract(bomb, kind, tmp_path / "target", SMALL)

    assert 0 < sum(written) <= SMALL.ratio_free_bytes
    assert list((tmp_path / "target").iterdir()) == []


def test_a_bomb_in_a_zip_stops_before_a_byte_is_written(tmp_path: Path, written: list[int]) -> None:
    bomb = archive(tmp_path, zip_of(ZipPart(b"small"), ZipPart(b"zeros", data=bytes(2_500_000))))

    with pytest.raises(HostileArchive, match="20 times its size"):
        extract(bomb, "zip", tmp_path / "target", SMALL)

    assert written == []


def test_a_bomb_that_lies_about_its_size_stops_at_that_size(tmp_path: Path, written: list[int]) -> None:
    bomb = archive(tmp_path, zip_of(ZipPart(b"zeros", data=bytes(64 * MIB), size=MIB)))

    with pytest.raises(HostileArchive, match="larger than it says"):
        extract(bomb, "zip", tmp_path / "target", SMALL)

    assert sum(written) <= MIB


def test_skipped_entries_count_too(tmp_path: Path) -> None:
    bomb = archive(tmp_path, gz(tar_of(tar_member("__MACOSX/zeros", bytes(8 * MIB)))))

    with pytest.raises(HostileArchive, match="20 times its size"):
        extract(bomb, "tar.gz", tmp_path / "target", SMALL)


def test_zeros_within_the_free_bytes_are_no_bomb(tmp_path: Path) -> None:
    tame = archive(tmp_path, gz(zeros_in_tar(SMALL.ratio_free_bytes)))

    assert extract(tame, "tar.gz", tmp_path / "target", SMALL).bytes == SMALL.ratio_free_bytes


def test_the_budget_is_usable_to_its_last_byte_and_entry(tmp_path: Path) -> None:
    exact = Budget(max_entries=3, max_bytes=20, max_entry_bytes=10, max_path_bytes=3, max_depth=2)
    parts = (("a/b", bytes(10)), ("c", bytes(10)))

    as_zip = zip_of(*(ZipPart(name.encode(), data) for name, data in parts))
    as_tar = gz(tar_of(*(tar_member(name, data) for name, data in parts)))
    from_zip = extract(archive(tmp_path, as_zip), "zip", tmp_path / "1", exact)
    from_tar = extract(archive(tmp_path, as_tar), "tar.gz", tmp_path / "2", exact)

    assert (from_zip.files, from_zip.bytes) == (from_tar.files, from_tar.bytes) == (2, 20)


def large_archive(kind: str) -> bytes:
    if kind == "zip":
        return zip_of(ZipPart(b"large", bytes(64 * MIB)))
    tar = zeros_in_tar(64 * MIB)
    return gz(tar) if kind == "tar.gz" else zst(tar)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.zst"])
def test_memory_stays_small_for_a_large_entry(tmp_path: Path, kind: str) -> None:
    path = archive(tmp_path, large_archive(kind))

    tracemalloc.start()
    try:
        extract(path, kind, tmp_path / "target", Budget())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * MIB


def test_a_stream_of_empty_frames_can_be_stopped(tmp_path: Path) -> None:
    asked = iter([False] * 20)
    endless = archive(tmp_path, gz(b"") * 1000)

    with pytest.raises(TemporaryError, match="stopped"):
        extract(endless, "tar.gz", tmp_path / "target", Budget(), lambda: next(asked, True))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_stopping_leaves_the_target_empty(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    names = [f"d/{n}" for n in range(50)]
    content = zip_of(*(ZipPart(n.encode()) for n in names)) if kind == "zip" else gz(tar_of(*map(tar_member, names)))

    with pytest.raises(TemporaryError, match="stopped"):
        extract(archive(tmp_path, content), kind, target, Budget(), (target / "d" / "20").exists)

    assert list(target.iterdir()) == []


def test_a_target_with_content_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")

    with pytest.raises(Conflict):
        extract(archive(tmp_path, zip_of(ZipPart(b"mine"))), "zip", tmp_path, Budget())

    assert (tmp_path / "mine").read_text() == "keep"


def test_a_full_disk_is_temporary_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpacking._Unpacking, "result", full)

    with pytest.raises(Overloaded, match="no room"):
        extract(archive(tmp_path, zip_of(ZipPart(b"a"))), "zip", tmp_path / "target", Budget())

    assert list((tmp_path / "target").iterdir()) == []


def test_another_failure_of_the_disk_is_temporary(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError, match="No such file"):
        extract(tmp_path / "gone", "zip", tmp_path / "target", Budget())
