"""Packs a folder into an archive that `extract` takes back: the same folder gives the same bytes."""

from __future__ import annotations

import errno
import gzip
import os
import stat
import struct
import sys
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import gmtime
from typing import BinaryIO

from buildyard.archives import sniffing
from buildyard.archives.budget import Budget
from buildyard.archives.entry import PIECE
from buildyard.archives.names import path_of
from buildyard.archives.notes import Notes
from buildyard.errors import Conflict, HostileArchive, InvalidRequest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_ZSTD_LEVEL = 1  # 450 MB/s of one core: as fast as disks and networks take it, for a tenth more bytes than level 3
_GZIP_LEVEL = 6
_ZIP_EARLIEST, _ZIP_LATEST = 315_532_800, 4_354_819_198  # 1980 to 2107, all that a zip's DOS time can tell
_UNIX_TIME_FIELD = struct.Struct("<HHBl")
_UNIX_TIME_MAX = 2**31 - 1
_DOS_FOLDER = 0x10
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Packed:
    """What went in: regular files, their bytes before compression, and notes on what was left out."""

    files: int
    bytes: int
    skipped: tuple[str, ...] = ()


def pack(
    folder: Path,
    out: BinaryIO,
    *,
    kind: str = sniffing.TAR_ZST,
    ignore: Callable[[str], bool] = lambda _: False,
    moved: Callable[[int], None] = lambda _: None,
) -> Packed:
    """Write the content of `folder` to `out`, which need not be seekable, as "tar.zst", "tar.gz" or "zip".

    Order is by name, times are kept to the second, owners are not told, modes are 0644 or 0755. `ignore` is asked
    with each path relative to the folder, `/` between components, a folder's with `/` at its end; an ignored folder
    is not entered. Links, devices and names that `extract` would refuse are left out with a note. `moved` is told the
    bytes of files read so far, before compression.

    Raises InvalidRequest for an unknown kind, Conflict where a file shrinks while it is read, and OSError where the
    folder cannot be read or `out` not be written.
    """
    notes = Notes()
    files = total = 0
    with closing(_writer(kind, out)) as writer:
        for name, path in _walk(folder, "", ignore, notes):
            if name.endswith("/"):
                writer.add_folder(name, int(path.stat().st_mtime))
                continue
            with os.fdopen(os.open(path, _READ), "rb") as file:
                status = os.fstat(file.fileno())
                writer.add_file(name, status, _told(_content(name, file, status.st_size), total, moved))
            files += 1
            total += status.st_size
    return Packed(files, total, notes.sentences())


def measure(folder: Path, *, ignore: Callable[[str], bool] = lambda _: False) -> Packed:
    """What `pack` would put in, by what the disk says of each file; no file is opened.

    Raises OSError, with the file's name, for the first that may not be read.
    """
    notes = Notes()
    files = total = 0
    for name, path in _walk(folder, "", ignore, notes):
        if name.endswith("/"):
            continue
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        files += 1
        total += path.lstat().st_size
    return Packed(files, total, notes.sentences())


def _walk(folder: Path, prefix: str, ignore: Callable[[str], bool], notes: Notes) -> Iterator[tuple[str, Path]]:
    """Yield names, a folder's ending in `/` and before what it holds."""
    with os.scandir(folder) as found:
        children = sorted(found, key=lambda child: child.name)
    for child in children:
        is_folder = child.is_dir(follow_symlinks=False)
        name = f"{prefix}{child.name}{'/' if is_folder else ''}"
        if ignore(name):
            continue
        if not is_folder and not child.is_file(follow_symlinks=False):
            notes.add("links" if child.is_symlink() else "devices and pipes", name)
        elif not _is_allowed(name):
            notes.add("names that no build may use", name)
        else:
            yield name, Path(child.path)
            if is_folder:
                yield from _walk(Path(child.path), name, ignore, notes)


def _is_allowed(name: str) -> bool:
    limits = Budget()
    try:
        path_of(name, max_bytes=limits.max_path_bytes, max_depth=limits.max_depth)
    except HostileArchive:
        return False
    return True


def _content(name: str, file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield exactly `size` bytes, which the archive has already announced."""
    while size:
        piece = file.read(min(size, PIECE))
        if not piece:
            raise Conflict(f'The file "{name}" became shorter while it was packed.', remedy="Pack again.")
        size -= len(piece)
        yield piece


def _told(content: Iterator[bytes], before: int, moved: Callable[[int], None]) -> Iterator[bytes]:
    for piece in content:
        yield piece
        before += len(piece)
        moved(before)


class _Writer(ABC):
    @abstractmethod
    def add_folder(self, name: str, mtime: int) -> None: ...
    @abstractmethod
    def add_file(self, name: str, status: os.stat_result, content: Iterator[bytes]) -> None: ...
    @abstractmethod
    def close(self) -> None: ...


class _TarWriter(_Writer):
    """Writes header and content itself: `tarfile` would keep a record of every member in memory."""

    def __init__(self, compressed: gzip.GzipFile | zstd.ZstdFile) -> None:
        self._out = compressed

    def add_folder(self, name: str, mtime: int) -> None:
        header = tarfile.TarInfo(name.rstrip("/"))
        header.type, header.mode, header.mtime = tarfile.DIRTYPE, 0o755, mtime
        self._add_header(header)

    def add_file(self, name: str, status: os.stat_result, content: Iterator[bytes]) -> None:
        header = tarfile.TarInfo(name)
        header.size, header.mode, header.mtime = status.st_size, _mode(status), int(status.st_mtime)
        self._add_header(header)
        for piece in content:
            self._out.write(piece)
        self._out.write(bytes(-header.size % tarfile.BLOCKSIZE))

    def close(self) -> None:
        self._out.write(bytes(2 * tarfile.BLOCKSIZE))
        self._out.close()

    def _add_header(self, header: tarfile.TarInfo) -> None:
        self._out.write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))


class _ZipWriter(_Writer):
    def __init__(self, out: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED)

    def add_folder(self, name: str, mtime: int) -> None:
        info = _zip_info(name, mtime, stat.S_IFDIR | 0o755)
        info.external_attr |= _DOS_FOLDER
        info.compress_type = zipfile.ZIP_STORED
        with self._zip.open(info, "w"):
            pass

    def add_file(self, name: str, status: os.stat_result, content: Iterator[bytes]) -> None:
        info = _zip_info(name, int(status.st_mtime), stat.S_IFREG | _mode(status))
        info.file_size = status.st_size
        info.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(info, "w") as entry:
            for piece in content:
                entry.write(piece)

    def close(self) -> None:
        self._zip.close()


def _writer(kind: str, out: BinaryIO) -> _Writer:
    if kind == sniffing.ZIP:
        return _ZipWriter(out)
    if kind == sniffing.TAR_GZ:
        return _TarWriter(gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=out, mtime=0))
    if kind == sniffing.TAR_ZST:
        options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: _ZSTD_LEVEL,
            zstd.CompressionParameter.checksum_flag: 1,
        }
        return _TarWriter(zstd.ZstdFile(out, "wb", options=options))
    raise InvalidRequest(f"There is no kind of archive called {kind!r}.", remedy="Use tar.zst, tar.gz or zip.")


def _mode(status: os.stat_result) -> int:
    return 0o755 if status.st_mode & 0o111 else 0o644


def _zip_info(name: str, mtime: int, mode: int) -> zipfile.ZipInfo:
    """Describe one entry; the DOS time is told in UTC, and again exactly in the Unix field."""
    moment = gmtime(min(max(mtime, _ZIP_EARLIEST), _ZIP_LATEST))
    info = zipfile.ZipInfo(name, (*moment[:5], moment[5] // 2 * 2))
    info.external_attr = mode << 16
    if 0 <= mtime <= _UNIX_TIME_MAX:
        info.extra = _UNIX_TIME_FIELD.pack(0x5455, 5, 1, mtime)
    return info
