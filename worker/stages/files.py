"""Looking at the files of a workspace without ever following a link out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from worker.toolchains.contract import MAX_TEXT_BYTES, MAX_TREE_FILES, FileTree

_MAX_TEXTS = 64 * 1024 * 1024
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def regular_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Each regular file below `root` with its relative POSIX path; links and `.git` folders are passed over; blocks."""
    waiting = [(root, "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and entry.name != ".git":
                waiting.append((Path(entry.path), f"{prefix}{entry.name}/"))
            elif entry.is_file(follow_symlinks=False):
                yield f"{prefix}{entry.name}", Path(entry.path)


def open_regular(path: Path) -> int:
    """Open a regular file for reading and return its descriptor.

    Raises:
        OSError: it is a link, no regular file, or cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path.name} is no regular file")
    return descriptor


def read_regular(path: Path, limit: int) -> bytes | None:
    """The content of a regular file, None when it is larger than `limit` bytes.

    Raises:
        OSError: it is a link, no regular file, or cannot be read.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        content = file.read(limit + 1)
    return content if len(content) <= limit else None


def scan_tree(root: Path, wanted: Callable[[str], bool]) -> FileTree:
    """List the files below `root` and read the small texts that are wanted; blocks."""
    files: set[str] = set()
    texts: dict[str, str] = {}
    room = _MAX_TEXTS
    for path, place in regular_files(root):
        if len(files) >= MAX_TREE_FILES:
            return FileTree(frozenset(files), texts, truncated=True)
        files.add(path)
        if room > 0 and wanted(path):
            text = _text(place)
            room -= len(text)
            texts[path] = text
    return FileTree(frozenset(files), texts)


def _text(path: Path) -> str:
    try:
        content = read_regular(path, MAX_TEXT_BYTES)
        return "" if content is None else content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""
