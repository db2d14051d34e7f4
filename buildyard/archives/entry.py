"""What both readers hand on: one entry of an archive, its bytes still unread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

PIECE = 1024 * 1024  # bytes handled at once, whatever the size of the entry


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular file or a folder; readers refuse everything else.

    `name` is as the archive has it, unjudged. `mtime` is in whole seconds since 1970, unclamped. `chunks()` yields
    exactly `size` bytes in pieces of at most 1 MiB or raises HostileArchive; it may be called once, before the next
    entry is asked for.
    """

    name: str
    is_folder: bool
    size: int
    executable: bool
    mtime: int
    chunks: Callable[[], Iterator[bytes]]
