"""A strict zip reader: the whole central directory is judged before the first byte is unpacked.

`zipfile` keeps every record in memory however many there are, cuts entries silently at their declared size, unpacks
bzip2 and lzma without a bound, and on older Pythons reads entries that overlap. Refused here as well: bytes before
the first entry or after the end record, entries that share bytes, several disks, encryption, methods other than
stored and deflate.
"""

from __future__ import annotations

import stat
import struct
import zlib
from calendar import timegm
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from buildyard.archives.budget import Budget, Meter
from buildyard.archives.entry import PIECE, Entry
from buildyard.archives.refusals import damaged, refused
from buildyard.archives.zip_directory import Directory, find_directory

_CENTRAL = struct.Struct("<4s6H3L5H2L")
_QUAD = struct.Struct("<Q")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED_FLAGS = 0x2041  # encrypted, strong encryption, masked headers
_PATCH_FLAG = 0x20
_UTF8_FLAG = 0x800
_STORED, _DEFLATED, _AES = 0, 8, 99
_METHOD_NAMES = {9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz", 98: "ppmd"}
_FULL_32 = 0xFFFFFFFF
_ZIP64_EXTRA = 0x0001
_UNIX_TIME_EXTRA = 0x5455


@dataclass(frozen=True, slots=True)
class _Record:
    """One entry as the central directory describes it; `offset` is where its local header begins."""

    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    attributes: int
    mtime: int

    @property
    def unix_mode(self) -> int:
        return self.attributes >> 16

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/") or stat.S_ISDIR(self.unix_mode)


def zip_entries(file: BinaryIO, length: int, budget: Budget, meter: Meter) -> Iterator[Entry]:
    """Yield the entries of a zip of `length` bytes in the order of their bytes. Raises HostileArchive."""
    directory = find_directory(file, length)
    meter.foresee_entries(directory.entries)
    records = sorted(_records(file, directory, budget, meter), key=lambda record: record.offset)
    meter.foresee_bytes(sum(record.size for record in records))
    if not records:
        return
    ends = [record.offset for record in records[1:]] + [directory.offset]
    for record, end in zip(records, ends, strict=True):
        meter.count_entries()
        yield Entry(
            name=record.name,
            is_folder=record.is_folder,
            size=record.size,
            executable=bool(record.unix_mode & 0o111),
            mtime=record.mtime,
            chunks=partial(_chunks, file, record, _data_start(file, record, end), meter),
        )


def _records(file: BinaryIO, directory: Directory, budget: Budget, meter: Meter) -> Iterator[_Record]:
    position = directory.offset
    for _ in range(directory.entries):
        meter.checkpoint()
        file.seek(position)
        fields = file.read(_CENTRAL.size)
        if len(fields) < _CENTRAL.size or not fields.startswith(b"PK\x01\x02"):
            raise damaged("its table of contents has fewer entries than it says")
        record, record_length = _record(file, fields, budget)
        position += record_length
        if position > directory.end:
            raise damaged("its table of contents is longer than it says")
        if record.offset >= directory.offset:
            raise refused(record.name, "is not where the table of contents says")
        _judge(record)
        meter.foresee_entry(record.name, record.size)
        yield record
    if position != directory.end:
        raise damaged("its table of contents has more entries than it says")


def _record(file: BinaryIO, fields: bytes, budget: Budget) -> tuple[_Record, int]:
    """Read the rest of one record; also return its length in bytes."""
    (_, _, _, flags, method, time, date, crc, packed, size, name_length, extra_length, comment_length,
     disk, _, attributes, offset) = _CENTRAL.unpack(fields)  # fmt: skip
    if name_length > budget.max_path_bytes:
        raise refused(
            file.read(budget.max_path_bytes).decode("utf-8", "replace"),
            f"has a path longer than {budget.max_path_bytes:,} bytes",
        )
    raw_name = file.read(name_length)
    name = _decoded(raw_name, flags)
    extra = dict(_extra_fields(file.read(extra_length)))
    size, packed, offset = _zip64(name, extra, size, packed, offset)
    if disk:
        raise refused(name, "lies on another disk", remedy="Send one zip file, not a split one.")
    mtime = _mtime(date, time, extra)
    record = _Record(raw_name, name, flags, method, crc, packed, size, offset, attributes, mtime)
    return record, _CENTRAL.size + name_length + extra_length + comment_length


def _decoded(raw_name: bytes, flags: int) -> str:
    """Decode a name; without the UTF-8 flag it is UTF-8 where it can be (macOS omits the flag), else cp437."""
    if flags & _UTF8_FLAG:
        return raw_name.decode("utf-8", "surrogateescape")
    try:
        return raw_name.decode("utf-8")
    except UnicodeDecodeError:
        return raw_name.decode("cp437")


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    while len(extra) >= 4:  # noqa: PLR2004 - a field's own header
        kind, length = struct.unpack_from("<HH", extra)
        yield kind, extra[4 : 4 + length]
        extra = extra[4 + length :]


def _zip64(name: str, extra: dict[int, bytes], *values: int) -> tuple[int, int, int]:
    """Return (size, packed, offset), each that is full in 32 bits replaced from the zip64 field."""
    field = extra.get(_ZIP64_EXTRA, b"")
    if len(field) < _QUAD.size * values.count(_FULL_32):
        raise refused(name, "says that it is large, but not how large")
    large = _QUAD.iter_unpack(field[: len(field) // _QUAD.size * _QUAD.size])
    size, packed, offset = (next(large)[0] if value == _FULL_32 else value for value in values)
    return size, packed, offset


def _mtime(date: int, time: int, extra: dict[int, bytes]) -> int:
    """Return seconds since 1970: the Unix field where there is one, else the DOS fields read as UTC."""
    field = extra.get(_UNIX_TIME_EXTRA, b"")
    if len(field) >= 5 and field[0] & 1:  # noqa: PLR2004 - flags and one 32-bit time
        return int(struct.unpack_from("<l", field, 1)[0])
    day = (1980 + (date >> 9), max(date >> 5 & 15, 1), max(date & 31, 1))
    try:
        return timegm((*day, time >> 11, time >> 5 & 63, (time & 31) * 2, 0, 0, 0))
    except ValueError:  # month 13 and the like
        return 0


def _judge(record: _Record) -> None:
    """Refuse what no reading of the entry's bytes could make right."""
    if record.flags & _ENCRYPTED_FLAGS or record.method == _AES:
        raise refused(record.name, "is encrypted", remedy="Pack it without a password.")
    if record.method not in {_STORED, _DEFLATED} or record.flags & _PATCH_FLAG:
        method = _METHOD_NAMES.get(record.method, f"method {record.method}")
        raise refused(
            record.name, f"is compressed with {method}", remedy="Pack with deflate, which every zip tool has."
        )
    if stat.S_ISLNK(record.unix_mode):
        raise refused(record.name, "is a link", remedy="Pack the file itself instead of the link.")
    if stat.S_IFMT(record.unix_mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise refused(record.name, "is a device or pipe")
    if record.is_folder and record.size:
        raise refused(record.name, "is both a file and a folder")
    if record.method == _STORED and record.packed != record.size:
        raise refused(record.name, "says two different sizes")


def _data_start(file: BinaryIO, record: _Record, end: int) -> int:
    """Check the local header and return where the entry's bytes begin; all of it must lie before `end`."""
    file.seek(record.offset)
    fields = file.read(_LOCAL.size)
    if len(fields) < _LOCAL.size or not fields.startswith(b"PK\x03\x04"):
        raise refused(record.name, "is not where the table of contents says")
    flags, method, name_length, extra_length = (_LOCAL.unpack(fields)[index] for index in (2, 3, 9, 10))
    start = record.offset + _LOCAL.size + int(name_length) + int(extra_length)
    if start + record.packed > end:
        raise refused(record.name, "shares its bytes with another one")
    if flags & _ENCRYPTED_FLAGS:
        raise refused(record.name, "is encrypted", remedy="Pack it without a password.")
    if file.read(name_length) != record.raw_name or method != record.method:
        raise refused(record.name, "is described in two ways")
    return start


def _chunks(file: BinaryIO, record: _Record, start: int, meter: Meter) -> Iterator[bytes]:
    file.seek(start)
    pieces = _stored(file, record) if record.method == _STORED else _inflated(file, record)
    crc, left = 0, record.size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise refused(record.name, "is larger than it says")
        meter.count_bytes(len(piece))
        crc = zlib.crc32(piece, crc)
        yield piece
    if left:
        raise refused(record.name, "is smaller than it says")
    if crc != record.crc:
        raise refused(record.name, "is damaged: its checksum is wrong")


def _stored(file: BinaryIO, record: _Record) -> Iterator[bytes]:
    left = record.packed
    while left:
        piece = file.read(min(left, PIECE))
        if not piece:  # the file shrank since its directory was read
            raise refused(record.name, "is cut off")
        left -= len(piece)
        yield piece


def _inflated(file: BinaryIO, record: _Record) -> Iterator[bytes]:
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    left = record.packed
    while not decoder.eof:
        data = decoder.unconsumed_tail
        if not data:
            data = file.read(min(left, PIECE // 4))
            left -= len(data)
        try:
            piece = decoder.decompress(data, PIECE)
        except zlib.error as error:
            raise refused(record.name, "is damaged: its compressed bytes do not check") from error
        if piece:
            yield piece
        elif not data:
            raise refused(record.name, "is cut off")
    if left or decoder.unused_data:
        raise refused(record.name, "is smaller than it says")
