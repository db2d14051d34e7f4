"""Every tar that must be refused: with the right words, nothing outside the target, and the target empty."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from buildyard.errors import BuildyardError, HostileArchive
from tests.buildyard.archive_forge import (
    gz,
    pax,
    raw_metadata,
    tar_member,
    tar_of,
    wide_zst,
    with_header_field,
    zst,
)
from tests.buildyard.archive_refusals import COLLISIONS, HOSTILE_NAMES, refuse

GOOD_MEMBER = tar_member("good.txt")


def folder(name: str) -> bytes:
    return tar_member(name, b"", type=tarfile.DIRTYPE)


def escaping_tree() -> bytes:
    """Folders and links whose resolved path passes PATH_MAX, so that a lexical check sees another place."""
    members, path = [], ""
    for step in "abcdefghijklmnop":
        long = "d" * 11
        members += [folder(f"{path}{long}/"), tar_member(f"{path}{step}", b"", type=tarfile.SYMTYPE, linkname=long)]
        path += f"{long}/"
    through = "/".join("abcdefghijklmnop") + "/" + "l" * 60
    members += [
        tar_member(through, b"", type=tarfile.SYMTYPE, linkname="../" * 16),
        tar_member("escape", b"", type=tarfile.SYMTYPE, linkname=f"{through}/../../outside"),
        tar_member("link", b"", type=tarfile.LNKTYPE, linkname="escape/stolen"),
        tar_member("link", b"overwritten"),
    ]
    return tar_of(*members)


def special(kind: bytes, target: str = "") -> bytes:
    """Build a member that is a link, device or pipe."""
    return tar_member("special", b"", type=kind, linkname=target)


FORBIDDEN = {
    "NUL in PAX": (tar_of(pax({"path": "a\0../b"}), GOOD_MEMBER), "control characters"),
    "not UTF-8": (tar_of(tar_member("a\udcff")), "not UTF-8"),
    "no name": (tar_of(folder("./"), tar_member(".")), "has no name"),
    "symlink": (tar_of(special(tarfile.SYMTYPE, "/etc")), "is a link"),
    "hard link": (tar_of(GOOD_MEMBER, special(tarfile.LNKTYPE, "good.txt")), "is a link"),
    "long symlink": (tar_of(special(tarfile.SYMTYPE, "x/" * 100)), "is a link"),
    "fifo": (tar_of(special(tarfile.FIFOTYPE)), "device or pipe"),
    "character device": (tar_of(special(tarfile.CHRTYPE)), "device or pipe"),
    "block device": (tar_of(special(tarfile.BLKTYPE)), "device or pipe"),
    "GNU sparse": (tar_of(tar_member("s", type=tarfile.GNUTYPE_SPARSE)), "sparse"),
    "PAX sparse 0.1": (tar_of(pax({"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}), GOOD_MEMBER), "sparse"),
    "PAX sparse 1.0": (tar_of(pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), GOOD_MEMBER), "sparse"),
    "multi-volume": (tar_of(tar_member("m", type=b"M")), "neither a file nor a folder"),
    "folder with content": (tar_of(tar_member("d", type=tarfile.DIRTYPE)), "both a file and a folder"),
    "slash with content": (tar_of(tar_member("d/", type=tarfile.REGTYPE)), "both a file and a folder"),
}

SIZES = {
    "negative size": (tar_of(with_header_field(GOOD_MEMBER, 124, b"\xff" * 12)), "no valid size"),
    "signed size": (tar_of(with_header_field(GOOD_MEMBER, 124, b"-0000000007\0")), "no valid size"),
    "negative PAX size": (tar_of(pax({"size": "-512"}), GOOD_MEMBER), "no valid size"),
    "odd PAX size": (tar_of(pax({"size": "1e3"}), GOOD_MEMBER), "no valid size"),
    "enormous size": (tar_of(tar_member("a", b"", size=2**62)), "larger than 60,000 bytes"),
    "size beyond the end": (tar_of(tar_member("a", b"", size=50_000)), "is cut off"),
}

METADATA = {
    "global path": (tar_of(pax({"path": "x"}, kind=tarfile.XGLTYPE), GOOD_MEMBER), "to all entries"),
    "global size": (tar_of(pax({"size": "3"}, kind=tarfile.XGLTYPE), GOOD_MEMBER), "to all entries"),
    "enormous PAX header": (tar_of(raw_metadata(tarfile.XHDTYPE, b"", size=2**33), GOOD_MEMBER), "header"),
    "negative PAX header": (
        tar_of(GOOD_MEMBER, with_header_field(raw_metadata(tarfile.XHDTYPE, b"x"), 124, b"\xff" * 12)),
        "header",
    ),
    "PAX without length": (tar_of(raw_metadata(tarfile.XHDTYPE, b"path=x\n"), GOOD_MEMBER), "PAX"),
    "PAX record beyond its header": (tar_of(raw_metadata(tarfile.XHDTYPE, b"99 path=x\n"), GOOD_MEMBER), "PAX"),
    "PAX record of no length": (tar_of(raw_metadata(tarfile.XHDTYPE, b"0 path=x\n"), GOOD_MEMBER), "PAX"),
    "PAX that backtracks": (tar_of(raw_metadata(tarfile.XHDTYPE, b"1" * 500_000), GOOD_MEMBER), "PAX"),
    "cut in a PAX header": (pax({"path": "x"})[:700], "is cut off"),
    "PAX at the end": (tar_of(GOOD_MEMBER, pax({"path": "x"})), "inside an entry"),
    "long name too long": (
        tar_of(raw_metadata(tarfile.GNUTYPE_LONGNAME, b"x" * 300), GOOD_MEMBER),
        "longer than 200 bytes",
    ),
    "thousands of metadata headers": (tar_of(*[pax({"comment": "x"})] * 5000, GOOD_MEMBER), "headers alone"),
}

OVERSIZED = {
    "too many entries": (tar_of(*(tar_member(str(n), b"") for n in range(51))), "more than 50 entries"),
    "too many folders": (tar_of(*(folder(f"{n}/") for n in range(51))), "more than 50 entries"),
    "same folder for ever": (tar_of(*[folder("a/")] * 60), "more than 50 entries"),
    "too many bytes": (tar_of(*(tar_member(str(n), bytes(40_000)) for n in range(3))), "unpacks to more than 100,000"),
    "one too large": (tar_of(tar_member("a", bytes(60_001))), "larger than 60,000 bytes"),
}

DAMAGED = {
    "damaged header": (tar_of(GOOD_MEMBER, b"x" + tar_member("next")[1:]), "does not check"),
    "half a header": (tar_of(GOOD_MEMBER, tar_member("next")[:200], end=b""), "does not check"),
    "cut in data": (tar_of(tar_member("a", bytes(2000)))[:1000], "is cut off"),
    "cut in padding": (tar_of(GOOD_MEMBER)[:600], "is cut off"),
    "data behind the end mark": (tar_of(GOOD_MEMBER) + tar_of(tar_member("hidden")), "behind its end mark"),
    "zeros without end": (tar_of(GOOD_MEMBER, end=bytes(3_000_000)), "headers alone"),
}

LINKED = {
    "links of CVE-2025-4517": (escaping_tree(), "is a link"),
    "link, then a file through it": (tar_of(special(tarfile.SYMTYPE, ".."), tar_member("special/evil")), "is a link"),
}

NAMED = {f"name: {label}": (tar_of(tar_member(n)), words) for label, (n, words) in HOSTILE_NAMES.items()}
PAX_NAMED = {
    f"PAX name: {label}": (tar_of(pax({"path": n}), GOOD_MEMBER), words) for label, (n, words) in HOSTILE_NAMES.items()
}
COLLIDING = {
    f"names: {label}": (tar_of(*(folder(n) if n.endswith("/") else tar_member(n) for n in names)), words)
    for label, (names, words) in COLLISIONS.items()
}
TARS = NAMED | PAX_NAMED | COLLIDING | FORBIDDEN | SIZES | METADATA | OVERSIZED | DAMAGED | LINKED


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst"])
@pytest.mark.parametrize("case", TARS)
def test_a_hostile_tar_is_refused_and_leaves_nothing(tmp_path: Path, case: str, kind: str) -> None:
    archive, words = TARS[case]

    refuse(tmp_path, gz(archive) if kind == "tar.gz" else zst(archive), kind, HostileArchive, words)


def stream_cases() -> dict[str, tuple[bytes, str, str]]:
    tar = tar_of(*(tar_member(str(n), bytes(range(256)) * 8) for n in range(9)))
    flipped = bytearray(gz(tar))
    flipped[-5] ^= 1
    checked = bytearray(zst(tar))
    checked[-1] ^= 1
    return {
        "gzip cut off": (gz(tar)[:-1], "tar.gz", "cut off"),
        "gzip cut off early": (gz(tar)[:30], "tar.gz", "cut off"),
        "gzip with a wrong checksum": (bytes(flipped), "tar.gz", "do not check"),
        "gzip with bytes behind": (gz(tar) + b"more", "tar.gz", "do not check"),
        "gzip with bytes behind zeros": (gz(tar) + bytes(99) + b"more", "tar.gz", "follows its end"),
        "gzip whose second member is cut off": (gz(tar) + gz(b"")[:12], "tar.gz", "cut off"),
        "zstd cut off": (zst(tar)[:-1], "tar.zst", "cut off"),
        "zstd with a wrong checksum": (bytes(checked), "tar.zst", "do not check"),
        "zstd with bytes behind": (zst(tar) + b"more", "tar.zst", "do not check"),
        "zstd that needs 256 MiB": (wide_zst(tar, 28), "tar.zst", "larger than 128 MiB"),
    }


@pytest.mark.parametrize("case", stream_cases())
def test_a_damaged_stream_is_refused(tmp_path: Path, case: str) -> None:
    archive, kind, words = stream_cases()[case]

    refuse(tmp_path, archive, kind, HostileArchive, words)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst"])
def test_a_tar_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    tar = tar_of(GOOD_MEMBER, tar_member("b/c"))
    whole = gz(tar) if kind == "tar.gz" else zst(tar)

    for length in range(len(whole)):
        (tmp_path / str(length)).mkdir()
        refuse(tmp_path / str(length), whole[:length], kind, BuildyardError, "")
