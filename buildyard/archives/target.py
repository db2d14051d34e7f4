"""Creates files and folders below one folder, and nowhere else, even if somebody swaps a folder for a link meanwhile.

Where the system has them, every step goes through the descriptor of the folder above and refuses links; elsewhere
(Windows) the same names go through whole paths, and names alone keep them inside.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

# Make and others compare times: nothing before the zip epoch, nothing after the moment of unpacking.
_EARLIEST_MTIME = 315_532_800  # 1980-01-01
_NANOSECONDS = 1_000_000_000
_CREATE = (
    os.O_CREAT
    | os.O_EXCL
    | os.O_WRONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_DESCRIPTORS_SERVE = {os.open, os.mkdir} <= os.supports_dir_fd and os.utime in os.supports_fd


class TargetFolder(ABC):
    """The folder that an archive is unpacked into. Paths are tuples of judged components; use as a context."""

    def write(self, path: tuple[str, ...], chunks: Iterable[bytes], *, executable: bool, mtime: int) -> int:
        """Create the file, which must not exist, and return its bytes.

        Its mode is 0755 or 0644. `mtime` is in seconds since 1970, clamped to 1980 and the present.
        """
        mode = 0o755 if executable else 0o644
        written = 0
        with os.fdopen(self._create(path, mode), "wb") as file:
            for chunk in chunks:
                written += file.write(chunk)
            file.flush()
            newest = os.fstat(file.fileno()).st_mtime_ns
            self._finish(file.fileno(), path, mode, min(max(mtime, _EARLIEST_MTIME) * _NANOSECONDS, newest))
        return written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def make_folder(self, path: tuple[str, ...]) -> None:
        """Create the folder and those above it, where they do not exist."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held open."""

    @abstractmethod
    def _create(self, path: tuple[str, ...], mode: int) -> int:
        """Create a file with the folders above it, and return its descriptor."""

    @abstractmethod
    def _finish(self, descriptor: int, path: tuple[str, ...], mode: int, mtime_ns: int) -> None:
        """Set mode and time of a written file."""


class _ByDescriptors(TargetFolder):
    """Holds the chain of folders of the last path open, as the next one mostly shares it."""

    _OPEN_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)

    def __init__(self, folder: Path) -> None:
        self._names: list[str] = []
        self._descriptors = [os.open(folder, self._OPEN_FOLDER)]

    def make_folder(self, path: tuple[str, ...]) -> None:
        self._enter(path)

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _create(self, path: tuple[str, ...], mode: int) -> int:
        return os.open(path[-1], _CREATE, mode, dir_fd=self._enter(path[:-1]))

    def _finish(self, descriptor: int, path: tuple[str, ...], mode: int, mtime_ns: int) -> None:
        del path
        os.fchmod(descriptor, mode)  # the umask is the worker's, not the archive's
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))

    def _enter(self, folder: tuple[str, ...]) -> int:
        """Return the descriptor of a folder, creating and opening what is missing on the way."""
        shared = 0
        while shared < min(len(folder), len(self._names)) and folder[shared] == self._names[shared]:
            shared += 1
        while len(self._names) > shared:
            self._names.pop()
            os.close(self._descriptors.pop())
        for name in folder[shared:]:
            above = self._descriptors[-1]
            with suppress(FileExistsError):  # it is one of ours; a link in its place fails to open
                os.mkdir(name, 0o755, dir_fd=above)
            self._descriptors.append(os.open(name, self._OPEN_FOLDER, dir_fd=above))
            self._names.append(name)
        return self._descriptors[-1]


class _ByPaths(TargetFolder):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make_folder(self, path: tuple[str, ...]) -> None:
        self._folder.joinpath(*path).mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Nothing is held open."""

    def _create(self, path: tuple[str, ...], mode: int) -> int:
        self.make_folder(path[:-1])
        return os.open(self._folder.joinpath(*path), _CREATE, mode)

    def _finish(self, descriptor: int, path: tuple[str, ...], mode: int, mtime_ns: int) -> None:
        del descriptor
        file = self._folder.joinpath(*path)
        file.chmod(mode)
        os.utime(file, ns=(mtime_ns, mtime_ns))


def open_target(folder: Path, *, by_descriptors: bool = _DESCRIPTORS_SERVE) -> TargetFolder:
    """Open an existing folder for writing below it."""
    return _ByDescriptors(folder) if by_descriptors else _ByPaths(folder)


def empty(folder: Path) -> None:
    """Remove everything inside a folder, as far as the system lets us; links are removed, never followed."""
    for child in folder.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child, ignore_errors=True)
        else:
            with suppress(OSError):
                child.unlink()
