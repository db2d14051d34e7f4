"""Files are on the disk before they have their names, and their names before anybody is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildyard.objects.files import unlink_torn, write_files


def test_bytes_are_synced_before_names_and_each_folder_once_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").mkdir()
    steps: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().relative_to(tmp_path)}")
        real_sync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        steps.append(f"name {target.relative_to(tmp_path)}")
        return real_replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)

    write_files([(tmp_path / "new/a", b"A"), (tmp_path / "new/b", b"B"), (tmp_path / "newer/c", b"C")], tmp_path)

    assert steps[:6] == ["sync new/a#1", "sync new/b#1", "sync newer/c#1", "name new/a", "name new/b", "name newer/c"]
    assert sorted(steps[6:]) == ["sync .", "sync new", "sync newer"]
    assert steps[-1] == "sync ."
    assert [(tmp_path / name).read_bytes() for name in ("new/a", "new/b", "newer/c")] == [b"A", b"B", b"C"]


@pytest.mark.parametrize("broken", [1, 2, 3, 4, 5])
def test_a_disk_that_fails_leaves_none_of_the_group(
    broken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_sync, calls = os.fsync, 0

    def failing(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == broken:
            raise OSError(28, "No space left on device")
        real_sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)

    with pytest.raises(OSError, match="No space"):
        write_files([(tmp_path / "x/a", b"A"), (tmp_path / "x/b", b"B"), (tmp_path / "x/c", b"C")], tmp_path)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_a_crash_left_behind_is_no_hindrance_and_goes_in_time(tmp_path: Path) -> None:
    (tmp_path / "a#1").write_bytes(b"torn")

    write_files([(tmp_path / "a", b"whole")], tmp_path)

    assert unlink_torn(tmp_path, 3600) == 0
    os.utime(tmp_path / "a#1", (1, 1))
    assert unlink_torn(tmp_path, 3600) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
