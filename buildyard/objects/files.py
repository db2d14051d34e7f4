"""Files that are on the disk, and stay there, when they are said to be: writing and syncing, one or many at once."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_TORN = re.compile(r"#\d+$")


def write_files(files: Sequence[tuple[Path, bytes]], root: Path) -> None:
    """Write files below `root`, all or none: their bytes, their names and new folders are on the disk afterwards.

    Each is written beside its place and synced before it takes its name; a folder is synced once for all its files.

    Raises:
        OSError: nothing was written.
    """
    folders = {folder for path, _ in files for folder in new_folders(path, root)}
    made: list[Path] = []
    try:
        for folder in {path.parent for path, _ in files}:
            folder.mkdir(parents=True, exist_ok=True)
        for path, content in files:
            made.append(_write_beside(path, content))
        for beside in made:
            _sync(beside)
        for place, (path, _) in enumerate(files):
            made[place].replace(path)
            made[place] = path
        sync(deepest_first(folders))
    except BaseException:
        for path in made:
            with suppress(OSError):
                path.unlink()
        raise


def unlink_torn(folder: Path, age_seconds: float) -> int:
    """Remove the files of writes that never took their name and were not written to for so long; how many."""
    oldest, gone = time.time() - age_seconds, 0
    for path in folder.rglob("*#*"):
        with suppress(FileNotFoundError):
            if _TORN.search(path.name) and path.is_file() and path.stat().st_mtime < oldest:
                path.unlink()
                gone += 1
                _remove_empty(path.parent, folder.parent)
    return gone


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove a folder and those above it, as far as nothing is in them; `root` and what is above stay."""
    with suppress(OSError):  # what is not empty stays
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def new_folders(path: Path, root: Path) -> Iterator[Path]:
    """The folders whose entries a write of `path` changes: its own, and above it all that do not exist yet."""
    for folder in path.parents:
        yield folder
        if folder == root or folder.exists():
            return


def deepest_first(folders: Iterable[Path]) -> list[Path]:
    """Folders in the order to sync them: an entry is worth nothing before what it leads to."""
    return sorted(folders, key=lambda folder: -len(folder.parts))


def sync(paths: Iterable[Path]) -> None:
    """Have the disk keep files and folders; what is gone meanwhile is left out. Raises OSError."""
    for path in paths:
        with suppress(FileNotFoundError):
            _sync(path)


def _write_beside(path: Path, content: bytes) -> Path:
    """Names that end in `#` and digits are no objects: readers and lists of the folder leave them out."""
    for number in itertools.count(1):
        beside = path.with_name(f"{path.name}#{number}")
        with suppress(FileExistsError), beside.open("xb", buffering=0) as file:
            _write_all(file.fileno(), content)
            return beside
    raise AssertionError


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
