"""Unpacks one archive into one empty folder: all of it, or nothing."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from buildyard.archives import sniffing
from buildyard.archives.budget import Budget, Meter
from buildyard.archives.decompress import gunzipped, unzstd
from buildyard.archives.entry import Entry
from buildyard.archives.names import NameTree, is_macos_litter, path_of
from buildyard.archives.notes import Notes
from buildyard.archives.refusals import refused
from buildyard.archives.tar_reader import TarReader
from buildyard.archives.target import TargetFolder, empty, open_target
from buildyard.archives.zip_reader import zip_entries
from buildyard.errors import Conflict, HostileArchive, InvalidUpload, Overloaded, TemporaryError

_FIRST_BYTES = 16
_DISK_IS_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Extracted:
    """What came out: regular files, their bytes, and notes on entries left out.

    `common_root` is the one folder at the top which holds every entry (as `git archive --prefix` and code hosts
    pack), else None.
    """

    files: int
    bytes: int
    common_root: str | None
    skipped: tuple[str, ...] = ()


def extract(
    archive: Path, kind: str, target: Path, budget: Budget, should_stop: Callable[[], bool] | None = None
) -> Extracted:
    """Unpack `archive`, which is a "zip", "tar.gz" or "tar.zst", into `target`, a new or empty folder.

    Only regular files and folders are created, with modes 0644, 0755 and no owner. macOS's own entries are left out
    with a note. `should_stop` is asked at least once for every MiB.

    Raises InvalidUpload where the bytes are no archive of that kind, HostileArchive where an entry breaks a rule or
    the archive is damaged or beyond the budget, Conflict where the target is not empty, Overloaded where the disk is
    full, and TemporaryError where `should_stop` said so or the disk failed. Whatever is raised, the target is empty.
    """
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise Conflict("The folder to unpack into is not empty.")
    try:
        with archive.open("rb") as file:
            return _extract(file, archive.stat().st_size, kind, target, budget, should_stop)
    except BaseException as error:
        empty(target)
        if isinstance(error, OSError):
            raise _failure(error) from error
        raise


def _extract(
    file: BinaryIO,
    length: int,
    kind: str,
    target: Path,
    budget: Budget,
    should_stop: Callable[[], bool] | None,
) -> Extracted:
    _check_kind(file.read(_FIRST_BYTES), kind)
    file.seek(0)
    meter = Meter(budget, length, should_stop)
    with open_target(target) as folder:
        unpacking = _Unpacking(folder, budget, meter)
        for entry in _entries(file, length, kind, budget, meter):
            unpacking.take(entry)
    return unpacking.result()


def _check_kind(first_bytes: bytes, kind: str) -> None:
    found = sniffing.sniff(first_bytes)
    if found == kind and kind in {sniffing.ZIP, sniffing.TAR_GZ, sniffing.TAR_ZST}:
        return
    if not first_bytes:
        raise InvalidUpload("The upload is empty.")
    if found == sniffing.ENCRYPTED_ZIP and kind == sniffing.ZIP:
        raise HostileArchive("The archive is encrypted.", remedy="Pack it without a password.")
    raise InvalidUpload(f"The upload is not a {kind} archive: its first bytes look like {found or 'something else'}.")


def _entries(file: BinaryIO, length: int, kind: str, budget: Budget, meter: Meter) -> Iterator[Entry]:
    if kind == sniffing.ZIP:
        return zip_entries(file, length, budget, meter)
    decompressed = (gunzipped if kind == sniffing.TAR_GZ else unzstd)(file, meter.checkpoint)
    return TarReader(decompressed, meter).entries()


@dataclass(slots=True)
class _Unpacking:
    """One extraction in progress."""

    folder: TargetFolder
    budget: Budget
    meter: Meter
    files: int = 0
    bytes: int = 0
    seen: NameTree = field(default_factory=NameTree)
    notes: Notes = field(default_factory=Notes)

    def take(self, entry: Entry) -> None:
        path = path_of(entry.name, max_bytes=self.budget.max_path_bytes, max_depth=self.budget.max_depth)
        if not path:
            if not entry.is_folder:
                raise refused(entry.name, "has no name")
            return
        if is_macos_litter(path, is_folder=entry.is_folder):
            self.notes.add("macOS entries", entry.name)
            return
        self.meter.count_entries(self.seen.add(entry.name, path, is_folder=entry.is_folder))
        if entry.is_folder:
            self.folder.make_folder(path)
            return
        self.bytes += self.folder.write(path, entry.chunks(), executable=entry.executable, mtime=entry.mtime)
        self.files += 1

    def result(self) -> Extracted:
        return Extracted(self.files, self.bytes, self.seen.only_top_folder(), self.notes.sentences())


def _failure(error: OSError) -> TemporaryError:
    if error.errno in _DISK_IS_FULL:
        return Overloaded("There is no room left on the disk to unpack the archive.", remedy="Free some disk space.")
    return TemporaryError(f"The archive could not be unpacked: {error.strerror or 'the disk failed'}.")
