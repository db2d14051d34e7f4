"""A strict tar reader for streams: ustar, GNU and PAX names and sizes, regular files and folders only.

`tarfile` decodes each header block here, but does not walk the archive: it takes a damaged header for the end, reads
metadata of any size into memory, recurses once for every metadata header, and its PAX patterns backtrack. This
walk is a loop with a bound on everything it keeps.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator

from buildyard.archives.budget import MIB, Meter
from buildyard.archives.decompress import Decompressed
from buildyard.archives.entry import PIECE, Entry
from buildyard.archives.refusals import damaged, refused
from buildyard.errors import HostileArchive, InvalidUpload

_BLOCK = tarfile.BLOCKSIZE
_MAX_METADATA_BYTES = MIB  # of one PAX or long-name header; real ones are a few hundred bytes
_FILES = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE}
_LINKS = {tarfile.SYMTYPE, tarfile.LNKTYPE}
_DEVICES = {tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE}
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
_PAX = {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}
_METADATA = {_LONG_NAME, _LONG_LINK, tarfile.XGLTYPE, *_PAX}
_OCTAL = re.compile(rb"[ \0]*[0-7]*[ \0]*")  # int() would also take signs, underscores and 0o
_SIZE_FIELD = slice(124, 136)
_DECIMAL = re.compile(r"[0-9]{1,19}")
_TIME = re.compile(r"(-?[0-9]{1,19})(?:\.[0-9]*)?")
_RECORD_LENGTH = re.compile(rb"([0-9]{1,8}) ")


class TarReader:
    """The entries of one tar, in order. Bytes of an entry that nobody read are skipped."""

    def __init__(self, stream: Decompressed, meter: Meter) -> None:
        self._stream = stream
        self._meter = meter
        self._name = ""
        self._unread = 0  # bytes of the current entry
        self._padding = 0  # bytes behind them up to a full block

    def entries(self) -> Iterator[Entry]:
        """Yield the entries. Raises InvalidUpload if this is no tar at all, HostileArchive for the rest."""
        first = True
        while (found := self._next_header(first=first)) is not None:
            first = False
            self._meter.count_entries()
            yield self._entry(*found)
            for _ in self._chunks():
                pass
            self._skip_padding()
        self._check_nothing_follows()

    def _next_header(self, *, first: bool) -> tuple[tarfile.TarInfo, dict[str, str]] | None:
        """Return the next member's header with what metadata headers before it override; None at the end."""
        overrides: dict[str, str] = {}
        while True:
            block = self._stream.read_exactly(_BLOCK)
            self._meter.count_metadata(len(block))
            if not block.strip(b"\0"):
                if overrides or (first and not block):
                    raise _not_a_tar() if first else damaged("it ends inside an entry")
                return None
            header = _parsed(block, first=first)
            if header.type not in _METADATA:
                return header, overrides
            first = False
            overrides.update(self._metadata(header))

    def _metadata(self, header: tarfile.TarInfo) -> dict[str, str]:
        if not 0 < header.size <= _MAX_METADATA_BYTES:
            raise HostileArchive("The archive was refused: one of its headers is too large or empty.")
        length = -(-header.size // _BLOCK) * _BLOCK
        self._meter.count_metadata(length)
        data = self._stream.read_exactly(length)
        if len(data) < length:
            raise damaged("it is cut off")
        data = data[: header.size]
        if header.type == _LONG_LINK:
            return {}  # the member behind it is a link and will be refused as one
        if header.type == _LONG_NAME:
            return {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
        records = dict(_pax_records(data))
        if header.type in _PAX:
            return records
        if not records.keys().isdisjoint({"path", "size"}):
            raise HostileArchive("The archive was refused: a global header gives one name or size to all entries.")
        return {}

    def _entry(self, header: tarfile.TarInfo, overrides: dict[str, str]) -> Entry:
        name = overrides.get("path", header.name)
        size = _size(name, header, overrides)
        is_folder = header.type == tarfile.DIRTYPE or (header.type in _FILES and name.endswith("/"))
        _judge(name, header, overrides, size=size, is_folder=is_folder)
        self._meter.foresee_entry(name, size)
        self._name, self._unread, self._padding = name, size, -size % _BLOCK
        return Entry(
            name=name,
            is_folder=is_folder,
            size=size,
            executable=bool(header.mode & 0o111),
            mtime=_mtime(header, overrides),
            chunks=self._chunks,
        )

    def _chunks(self) -> Iterator[bytes]:
        while self._unread:
            piece = self._stream.read(min(self._unread, PIECE))
            if not piece:
                raise refused(self._name, "is cut off")
            self._unread -= len(piece)
            self._meter.count_bytes(len(piece))
            yield piece

    def _skip_padding(self) -> None:
        self._meter.count_metadata(self._padding)
        if len(self._stream.read_exactly(self._padding)) < self._padding:
            raise refused(self._name, "is cut off")
        self._padding = 0

    def _check_nothing_follows(self) -> None:
        """Read to the end, so that the compressed file's own checksum is checked, and accept only zeros."""
        while piece := self._stream.read(PIECE):
            self._meter.count_metadata(len(piece))
            if piece.strip(b"\0"):
                raise damaged("it goes on behind its end mark")


def _parsed(block: bytes, *, first: bool) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        if first:
            raise _not_a_tar() from error
        raise damaged("one of its headers does not check, or it is cut off") from error
    size_field = block[_SIZE_FIELD]
    if size_field[0] < 0x80 and not _OCTAL.fullmatch(size_field):  # noqa: PLR2004 - base 256 starts there
        raise refused(header.name, "has no valid size")
    return header


def _size(name: str, header: tarfile.TarInfo, overrides: dict[str, str]) -> int:
    text = overrides.get("size")
    if text is not None and not _DECIMAL.fullmatch(text):
        raise refused(name, "has no valid size")
    size = header.size if text is None else int(text)
    if size < 0:
        raise refused(name, "has no valid size")
    return size


def _judge(name: str, header: tarfile.TarInfo, overrides: dict[str, str], *, size: int, is_folder: bool) -> None:
    if header.type in _LINKS:
        raise refused(name, "is a link", remedy="Pack the file itself instead of the link (tar --dereference).")
    if header.type in _DEVICES:
        raise refused(name, "is a device or pipe")
    if header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in overrides):
        raise refused(name, "is a sparse file", remedy="Pack without --sparse.")
    if header.type not in _FILES and not is_folder:
        raise refused(name, "is neither a file nor a folder")
    if is_folder and size:
        raise refused(name, "is both a file and a folder")


def _mtime(header: tarfile.TarInfo, overrides: dict[str, str]) -> int:
    match = _TIME.fullmatch(overrides.get("mtime", ""))
    return int(match[1]) if match else int(header.mtime)


def _pax_records(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield keyword and value of records "length keyword=value", where length counts the whole line."""
    position = 0
    while position < len(data):
        match = _RECORD_LENGTH.match(data, position)
        end = position + int(match[1]) if match else 0
        record = data[match.end() : end] if match else b""
        keyword, equals, value = record.partition(b"=")
        if not equals or end > len(data) or not value.endswith(b"\n"):
            raise damaged("one of its PAX headers cannot be read")
        yield keyword.decode("utf-8", "replace"), value[:-1].decode("utf-8", "surrogateescape")
        position = end


def _not_a_tar() -> InvalidUpload:
    return InvalidUpload(
        "The upload is compressed, but there is no tar archive inside.", remedy="Pack the folder with tar first."
    )
