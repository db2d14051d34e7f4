"""Every zip that must be refused: with the right words, nothing outside the target, and the target empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildyard.errors import BuildyardError, HostileArchive, InvalidUpload
from tests.buildyard.archive_forge import ZipPart, deflated, gz, tar_member, tar_of, with_zip64_end, zip64, zip_of, zst
from tests.buildyard.archive_refusals import COLLISIONS, HOSTILE_NAMES, refuse

GOOD = ZipPart(b"good.txt")
GOOD_MEMBER = tar_member("good.txt")
LINK, FOLDER, FIFO, DEVICE = 0o120777, 0o040755, 0o010644, 0o060644


def one(**fields: Any) -> bytes:
    """Build a zip of one entry called "a"."""
    return zip_of(ZipPart(b"a", **fields))


FORBIDDEN = {
    "NUL": (zip_of(ZipPart(b"a\0../b")), "control characters"),
    "not UTF-8": (zip_of(ZipPart(b"a\xff", flags=0x800)), "not UTF-8"),
    "no name": (zip_of(ZipPart(b"./.")), "has no name"),
    "link": (one(data=b"/etc/passwd", mode=LINK), "is a link"),
    "fifo": (one(mode=FIFO), "device or pipe"),
    "device": (one(mode=DEVICE), "device or pipe"),
    "folder with content": (zip_of(ZipPart(b"d/")), "both a file and a folder"),
    "folder by mode with content": (zip_of(ZipPart(b"d", mode=FOLDER)), "both a file and a folder"),
    "encrypted at first": (one(flags=1), "encrypted"),
    "encrypted later": (zip_of(GOOD, ZipPart(b"e", flags=1)), "is encrypted"),
    "encrypted in the local header only": (zip_of(GOOD, ZipPart(b"e", local_flags=1)), "is encrypted"),
    "AES": (one(method=99), "is encrypted"),
    "bzip2": (one(method=12), "compressed with bzip2"),
    "deflate64": (one(method=9), "compressed with deflate64"),
    "unknown method": (one(method=77), "compressed with method 77"),
    "patch": (one(flags=0x20), "compressed with"),
}

KILOBYTE = bytes(1000)
LONG = b"content" * 99
FULL = 2**32 - 1
SHARED = ZipPart(b"b", packed=b"", packed_size=len(deflated(b"content")), offset=0)
OUTER = ZipPart(b"q", data=zip_of(ZipPart(b"inner", data=KILOBYTE, method=0))[: 30 + 5 + 1000], method=0)
INNER = ZipPart(b"inner", KILOBYTE, 0, packed=b"", packed_size=1000, offset=31)
LYING = {
    "same bytes twice": (zip_of(ZipPart(b"b"), SHARED), "shares its bytes"),
    "entry inside an entry": (zip_of(OUTER, INNER), "shares its bytes"),
    "entry reaching into the directory": (one(method=0, packed_size=40, size=40), "shares its bytes"),
    "offset behind the directory": (zip_of(GOOD, ZipPart(b"a", offset=2**31)), "not where"),
    "offset beyond any file": (zip_of(GOOD, ZipPart(b"a", offset=FULL, extra=zip64(2**64 - 1))), "not where"),
    "offset inside data": (one(offset=3), "not where"),
    "wrong CRC": (one(crc=1), "checksum is wrong"),
    "wrong CRC stored": (one(method=0, crc=1), "checksum is wrong"),
    "says smaller": (one(data=b"x" * 500, size=100), "larger than it says"),
    "says larger": (one(data=b"x" * 500, size=600), "smaller than it says"),
    "stored says two sizes": (one(method=0, size=3), "two different sizes"),
    "bytes behind the compressed ones": (one(packed=deflated(b"content") + b"more"), "smaller than it says"),
    "compressed bytes end early": (one(packed=deflated(LONG)[:-3], data=LONG), "is cut off"),
    "compressed garbage": (one(packed=b"\xff" * 20), "do not check"),
    "zip64 without its numbers": (one(size=FULL), "how large"),
    "zip64 lie": (one(size=FULL, extra=zip64(8)), "smaller than it says"),
    "zip64 enormous": (one(size=FULL, extra=zip64(2**60)), "larger than 60,000 bytes"),
    "zip64 end record of other entries": (with_zip64_end(zip_of(GOOD), entries=2), "fewer entries"),
    "zip64 end record of very many entries": (with_zip64_end(zip_of(GOOD), entries=2**60), "more than 50 entries"),
    "zip64 end record of another place": (with_zip64_end(zip_of(GOOD), shift=1), "not where its end says"),
    "zip64 end record that disagrees": (with_zip64_end(zip_of(GOOD), entries=2, saturated=False), "disagree"),
    "zip64 end record of a wrong length": (with_zip64_end(zip_of(GOOD), record_size=45), "wrong length"),
    "zip64 end record that is elsewhere": (with_zip64_end(zip_of(GOOD), record_offset=3), "not where it says"),
    "zip64 end record beyond any file": (with_zip64_end(zip_of(GOOD), record_offset=2**64 - 1), "not where it says"),
    "two names": (one(local_name=b"b"), "described in two ways"),
}

OVERSIZED = {
    "too many entries": (zip_of(*(ZipPart(b"%d" % n) for n in range(51))), "more than 50 entries"),
    "too many implied folders": (zip_of(*(ZipPart(b"a%d/b/c/f" % n) for n in range(15))), "more than 50 entries"),
    "too many bytes": (zip_of(*(ZipPart(b"%d" % n, bytes(40_000)) for n in range(3))), "unpacks to more than 100,000"),
    "one too large": (one(data=bytes(60_001)), "larger than 60,000 bytes"),
}

DAMAGED = {
    "more entries than said": (zip_of(GOOD, ZipPart(b"b"), count=1), "more entries than it says"),
    "fewer entries than said": (zip_of(GOOD, count=2), "fewer entries than it says"),
    "truncated": (zip_of(GOOD, GOOD)[:-30], "cut off"),
    "truncated by one byte": (zip_of(GOOD)[:-1], "cut off"),
    "only a start": (zip_of(GOOD)[:40], "cut off"),
    "bytes behind": (zip_of(GOOD, suffix=b"\r\n"), "behind the zip"),
    "polyglot": (zip_of(GOOD, suffix=gz(tar_of(GOOD_MEMBER))), "behind the zip"),
    "zip behind a zip": (zip_of(GOOD) + zip_of(GOOD), "before the zip"),
    "directory elsewhere": (zip_of(GOOD, directory_offset=41), "not where its end says"),
    "one of several disks": (zip_of(GOOD, disk=1), "one part of several"),
    "entry on another disk": (one(disk=3), "another disk"),
    "end record says zip64, none there": (zip_of(GOOD, directory_offset=FULL), "how large"),
}

NAMED = {f"name: {label}": (zip_of(ZipPart(n.encode())), words) for label, (n, words) in HOSTILE_NAMES.items()}
COLLIDING = {
    f"names: {label}": (zip_of(*(ZipPart(n.encode(), b"" if n.endswith("/") else b"x") for n in names)), words)
    for label, (names, words) in COLLISIONS.items()
}
ZIPS = NAMED | COLLIDING | FORBIDDEN | LYING | OVERSIZED | DAMAGED


@pytest.mark.parametrize("case", ZIPS)
def test_a_hostile_zip_is_refused_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    archive, words = ZIPS[case]

    refuse(tmp_path, archive, "zip", HostileArchive, words)


NO_ARCHIVES = {
    "empty file as zip": (b"", "zip", "is empty"),
    "empty file as tar.gz": (b"", "tar.gz", "is empty"),
    "text": (b"name,value\n1,2\n", "zip", "something else"),
    "zip called tar.gz": (zip_of(GOOD), "tar.gz", "look like zip"),
    "zstd called tar.gz": (zst(tar_of(GOOD_MEMBER)), "tar.gz", "look like tar.zst"),
    "encrypted zip called tar.gz": (zip_of(ZipPart(b"e", flags=1)), "tar.gz", "look like encrypted-zip"),
    "plain tar": (tar_of(GOOD_MEMBER), "tar.gz", "something else"),
    "gzip of a text": (gz(b"hello " * 200), "tar.gz", "no tar archive inside"),
    "gzip of nothing": (gz(b""), "tar.gz", "no tar archive inside"),
    "zstd of a short text": (zst(b"hello"), "tar.zst", "no tar archive inside"),
    "zip with bytes before": (zip_of(GOOD, prefix=b"#!/bin/sh\n"), "zip", "something else"),
    "csv as a kind": (b"a,b\n", "csv", "not a csv archive"),
}


@pytest.mark.parametrize("case", NO_ARCHIVES)
def test_what_is_no_archive_of_its_kind_is_an_invalid_upload(tmp_path: Path, case: str) -> None:
    archive, kind, words = NO_ARCHIVES[case]

    refuse(tmp_path, archive, kind, InvalidUpload, words)


def test_a_zip_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = zip_of(GOOD, ZipPart(b"b/c"))

    for length in range(len(whole)):
        (tmp_path / str(length)).mkdir()
        refuse(tmp_path / str(length), whole[:length], "zip", BuildyardError, "")


def test_a_refusal_quotes_the_name_short_and_harmless(tmp_path: Path) -> None:
    name = "../\x1b]0;title\x07\u202e" + "x" * 150

    error = refuse(tmp_path, zip_of(ZipPart(name.encode())), "zip", HostileArchive, "control characters")

    assert str(error).isprintable()
    assert len(str(error)) < 160
    assert '"../?]0;title??xxx' in str(error)
