"""Where a zip's table of contents lies, found from the end of the file and held to every number it gives twice."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from buildyard.archives.refusals import damaged
from buildyard.errors import HostileArchive

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_MAX_COMMENT = 0xFFFF
_FULL_16 = 0xFFFF
_FULL_32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Directory:
    """The central directory: number of entries, first byte, and the byte behind its last."""

    entries: int
    offset: int
    end: int


def find_directory(file: BinaryIO, length: int) -> Directory:
    """Locate the table of contents of a zip of `length` bytes.

    Nothing may stand before the first entry or after the end record and its comment, and the table must end where
    its end record begins. Raises HostileArchive where that does not hold or the file is cut off.
    """
    end_record = _end_record(file, length)
    _, disk, first_disk, _, entries, size, offset, _ = _END.unpack(_at(file, end_record, _END.size))
    table_end = end_record
    locator = _at(file, end_record - _LOCATOR64.size, _LOCATOR64.size)
    if locator.startswith(b"PK\x06\x07"):
        entries, size, offset, table_end = _from_zip64(file, end_record, locator, (entries, size, offset))
    elif _FULL_32 in {size, offset}:
        raise damaged("it says that it is large, but not how large")
    if disk not in {0, _FULL_16} or first_disk not in {0, _FULL_16}:
        raise HostileArchive(
            "The archive was refused: it is one part of several.", remedy="Send one zip file, not a split one."
        )
    if offset + size != table_end:
        raise damaged("its table of contents is not where its end says, or other bytes stand before the zip")
    return Directory(entries, offset, table_end)


def _end_record(file: BinaryIO, length: int) -> int:
    """Return the offset of the end record: the last one whose comment ends with the file."""
    start = max(length - _END.size - _MAX_COMMENT, 0)
    tail = _at(file, start, length - start)
    found = tail.rfind(b"PK\x05\x06")
    while found >= 0:
        if found + _END.size <= len(tail):
            (comment_length,) = struct.unpack_from("<H", tail, found + _END.size - 2)
            if found + _END.size + comment_length == len(tail):
                return start + found
        found = tail.rfind(b"PK\x05\x06", 0, found)
    raise damaged("it is cut off, or other bytes stand behind the zip")


def _from_zip64(
    file: BinaryIO, end_record: int, locator: bytes, small: tuple[int, int, int]
) -> tuple[int, int, int, int]:
    """Return (entries, size, offset, end of the table) from the zip64 record, which must agree with the small one."""
    _, disk, record_offset, disks = _LOCATOR64.unpack(locator)
    if record_offset >= end_record:
        raise damaged("its zip64 record is not where it says")
    record = _at(file, record_offset, _END64.size)
    if len(record) < _END64.size or not record.startswith(b"PK\x06\x06") or disk or disks > 1:
        raise damaged("its zip64 record is not where it says")
    _, record_size, _, _, _, _, _, entries, size, offset = _END64.unpack(record)
    if record_offset + 12 + record_size != end_record - _LOCATOR64.size:
        raise damaged("its zip64 record has the wrong length")
    full = (_FULL_16, _FULL_32, _FULL_32)
    for large_value, small_value, limit in zip((entries, size, offset), small, full, strict=True):
        if small_value not in {limit, large_value}:
            raise damaged("its two end records disagree")
    return entries, size, offset, record_offset


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    if offset < 0:
        return b""
    file.seek(offset)
    return file.read(size)
