"""Builds archives byte by byte, so that tests can make them lie in every field."""

from __future__ import annotations

import gzip
import struct
import sys
import tarfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

UNIX = 3 << 8  # "version made by": a Unix system


@dataclass(frozen=True)
class ZipPart:
    """One zip entry; every field that is None tells the truth."""

    name: bytes
    data: bytes = b"content"
    method: int = 8
    flags: int = 0
    local_flags: int | None = None
    local_name: bytes | None = None
    packed: bytes | None = None
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    offset: int | None = None
    mode: int = 0o100644
    extra: bytes = b""
    disk: int = 0


def zip_of(
    *parts: ZipPart,
    prefix: bytes = b"",
    suffix: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    directory_offset: int | None = None,
    disk: int = 0,
) -> bytes:
    """Build a zip; `count`, `directory_offset` and `disk` are what the end record claims."""
    out = BytesIO()
    out.write(prefix)
    directory = b""
    for part in parts:
        offset = out.tell() if part.offset is None else part.offset
        packed = _packed(part)
        numbers = (
            zlib.crc32(part.data) if part.crc is None else part.crc,
            len(packed) if part.packed_size is None else part.packed_size,
            len(part.data) if part.size is None else part.size,
        )
        local_name = part.name if part.local_name is None else part.local_name
        local_flags = part.flags if part.local_flags is None else part.local_flags
        out.write(
            struct.pack(
                "<4s5H3L2H", b"PK\x03\x04", 20, local_flags, part.method, 0, 0x5821, *numbers, len(local_name), 0
            )
        )
        out.write(local_name + packed)
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", UNIX | 20, 20, part.flags, part.method, 0, 0x5821, *numbers,
            len(part.name), len(part.extra), 0, part.disk, 0, part.mode << 16, offset,
        )  # fmt: skip
        directory += part.name + part.extra
    start = out.tell() if directory_offset is None else directory_offset
    out.write(directory)
    entries = len(parts) if count is None else count
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", disk, disk, entries, entries, len(directory), start, len(comment))
    return out.getvalue() + end + comment + suffix


def _packed(part: ZipPart) -> bytes:
    if part.packed is not None:
        return part.packed
    if part.method != 8:
        return part.data
    return deflated(part.data)


def with_zip64_end(
    archive: bytes,
    *,
    entries: int | None = None,
    shift: int = 0,
    record_offset: int | None = None,
    record_size: int = 44,
    saturated: bool = True,
) -> bytes:
    """Give a zip the end records of a large one; `shift` moves where its directory is said to begin."""
    body, end = archive[:-22], archive[-22:]
    _, disk, first_disk, _, count, size, offset, _ = struct.unpack("<4s4H2LH", end)
    total = count if entries is None else entries
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", record_size, 45, 45, disk, first_disk, total, total, size, offset + shift
    )
    where = len(body) if record_offset is None else record_offset
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, where, 1)
    if saturated:
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + record + locator + end


def zip64(*numbers: int) -> bytes:
    """Build a zip64 field of 64-bit numbers."""
    return struct.pack(f"<HH{len(numbers)}Q", 1, 8 * len(numbers), *numbers)


def deflated(data: bytes) -> bytes:
    """Compress without header or trailer, as zip entries are."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def tar_member(name: str, data: bytes = b"content", *, size: int | None = None, **fields: object) -> bytes:
    """Build one member: GNU header (long names too) and its data, padded. `fields` are TarInfo's."""
    info = tarfile.TarInfo(name)
    info.size = len(data) if size is None else size
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + padded(data)


def pax(records: dict[str, str], *, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """Build a PAX header (for the next member, or a global one) from keyword and value."""
    body = b""
    for keyword, value in records.items():
        rest = f" {keyword}={value}\n".encode()
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length = len(str(length)) + len(rest)
        body += str(length).encode() + rest
    return raw_metadata(kind, body)


def raw_metadata(kind: bytes, body: bytes, *, size: int | None = None) -> bytes:
    """Build a metadata member (PAX, long name) around any bytes."""
    info = tarfile.TarInfo("././@Metadata")
    info.type = kind
    info.size = len(body) if size is None else size
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + padded(body)


def with_header_field(member: bytes, start: int, value: bytes) -> bytes:
    """Overwrite bytes of a header and mend its checksum."""
    header = bytearray(member[:512])
    header[start : start + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + member[512:]


def padded(data: bytes) -> bytes:
    """Fill the last block with zeros."""
    return data + bytes(-len(data) % 512)


def tar_of(*members: bytes, end: bytes = bytes(1024)) -> bytes:
    """Join members to a tar."""
    return b"".join(members) + end


def gz(data: bytes) -> bytes:
    """Compress with gzip."""
    return gzip.compress(data, mtime=0)


def zst(data: bytes) -> bytes:
    """Compress with zstd, with a checksum at the end."""
    options: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
    return zstd.compress(data, options=options)


def wide_zst(data: bytes, window_log: int) -> bytes:
    """Compress with zstd so that unpacking asks for a window of 2 to the `window_log` bytes."""
    options: dict[int, int] = {zstd.CompressionParameter.window_log: window_log}
    compressor = zstd.ZstdCompressor(options=options)
    return compressor.compress(data) + compressor.flush()


def skippable_zst(body: bytes) -> bytes:
    """Build a zstd frame that decoders skip."""
    return b"\x50\x2a\x4d\x18" + struct.pack("<L", len(body)) + body


def files_in(folder: Path) -> dict[str, bytes | None]:
    """Return what lies below a folder: relative path to content, None for folders."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}
