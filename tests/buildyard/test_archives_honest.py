"""Unusual but honest archives are read, and everything lands where and how it should."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from buildyard.archives import Budget, extract, sniff
from buildyard.archives.names import path_of
from buildyard.archives.target import open_target
from buildyard.errors import HostileArchive
from tests.buildyard.archive_forge import (
    ZipPart,
    deflated,
    files_in,
    gz,
    pax,
    raw_metadata,
    skippable_zst,
    tar_member,
    tar_of,
    with_zip64_end,
    zip64,
    zip_of,
    zst,
)

NOON = 1_700_000_000

TAR = tar_of(tar_member("a"))
GOOD_ARCHIVES = {
    "empty zip": (zip_of(), "zip", {}),
    "zip comment": (zip_of(ZipPart(b"a"), comment=b"PK\x05\x06 of old"), "zip", {"a": b"content"}),
    "zip stored": (zip_of(ZipPart(b"a", method=0)), "zip", {"a": b"content"}),
    "zip with a packed folder": (
        zip_of(ZipPart(b"d/", data=b"", packed=deflated(b"")), ZipPart(b"d/a")),
        "zip",
        {"d": None, "d/a": b"content"},
    ),
    "zip64 field": (
        zip_of(ZipPart(b"a", size=2**32 - 1, extra=zip64(7))),
        "zip",
        {"a": b"content"},
    ),
    "zip64 end record": (with_zip64_end(zip_of(ZipPart(b"a"))), "zip", {"a": b"content"}),
    "zip64 end record beside a small one": (
        with_zip64_end(zip_of(ZipPart(b"a")), saturated=False),
        "zip",
        {"a": b"content"},
    ),
    "folder of an odd name": (zip_of(ZipPart(b"._/a")), "zip", {"._": None, "._/a": b"content"}),
    "zip name in cp437": (zip_of(ZipPart(b"caf\x82")), "zip", {"caf\u00e9": b"content"}),
    "zip name in UTF-8 without the flag": (zip_of(ZipPart("é".encode())), "zip", {"é": b"content"}),
    "zip of month 15": (zip_of(ZipPart(b"a")).replace(b"\x21\x58", b"\xff\xff"), "zip", {"a": b"content"}),
    "empty tar": (gz(bytes(10_240)), "tar.gz", {}),
    "tar without end mark": (gz(tar_of(tar_member("a"), end=b"")), "tar.gz", {"a": b"content"}),
    "tar with ./": (gz(tar_of(tar_member("./", b"", type=b"5"), tar_member("./a"))), "tar.gz", {"a": b"content"}),
    "gzip in members": (gz(TAR[:700]) + gz(TAR[700:]), "tar.gz", {"a": b"content"}),
    "gzip with zeros behind": (gz(TAR) + bytes(99_999), "tar.gz", {"a": b"content"}),
    "zstd in frames": (
        skippable_zst(b"x") + zst(TAR[:700]) + zst(TAR[700:]),
        "tar.zst",
        {"a": b"content"},
    ),
    "GNU long name": (gz(tar_of(tar_member("n" * 200))), "tar.gz", {"n" * 200: b"content"}),
    "PAX size wins": (gz(tar_of(pax({"size": "7"}), tar_member("a", size=0))), "tar.gz", {"a": b"content"}),
    "PAX odd time": (gz(tar_of(pax({"mtime": "nan"}), tar_member("a"))), "tar.gz", {"a": b"content"}),
    "git archive's global comment": (
        gz(tar_of(pax({"comment": "0" * 40}, kind=tarfile.XGLTYPE), tar_member("a"))),
        "tar.gz",
        {"a": b"content"},
    ),
    "GNU long link name before a file": (
        gz(tar_of(raw_metadata(tarfile.GNUTYPE_LONGLINK, b"x" * 200), tar_member("a"))),
        "tar.gz",
        {"a": b"content"},
    ),
    "old tar folder": (gz(tar_of(tar_member("d/", b"", type=tarfile.AREGTYPE))), "tar.gz", {"d": None}),
    "same folder twice": (gz(tar_of(*[tar_member("d/", b"", type=b"5")] * 2)), "tar.gz", {"d": None}),
}


@pytest.mark.parametrize("case", GOOD_ARCHIVES)
def test_an_unusual_but_honest_archive_is_read(tmp_path: Path, case: str) -> None:
    content, kind, expected = GOOD_ARCHIVES[case]
    (tmp_path / "archive").write_bytes(content)

    extract(tmp_path / "archive", kind, tmp_path / "target", Budget())

    assert files_in(tmp_path / "target") == expected


@pytest.mark.parametrize(
    ("entries", "root"),
    [
        (["p/a", "p/b/c"], "p"),
        (["p/"], "p"),
        (["p/a", "q"], None),
        (["p"], None),
        ([], None),
        (["p/a", "__MACOSX/p/._a", ".DS_Store"], "p"),
    ],
)
def test_the_common_root_is_the_one_folder_around_everything(
    tmp_path: Path, entries: list[str], root: str | None
) -> None:
    (tmp_path / "archive").write_bytes(zip_of(*(ZipPart(e.encode(), b"") for e in entries)))

    assert extract(tmp_path / "archive", "zip", tmp_path / "target", Budget()).common_root == root


def test_what_macos_adds_is_left_out_with_a_note(tmp_path: Path) -> None:
    litter = [tar_member(n) for n in ("__MACOSX/._a", "src/.DS_Store", "src/._a")]
    (tmp_path / "archive").write_bytes(gz(tar_of(tar_member("src/a"), *litter)))

    result = extract(tmp_path / "archive", "tar.gz", tmp_path / "target", Budget())

    assert files_in(tmp_path / "target") == {"src": None, "src/a": b"content"}
    assert result.skipped == ('Left out macOS entries: 3, the first is "__MACOSX/._a".',)


def test_a_time_in_the_future_becomes_the_present(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(gz(tar_of(tar_member("a", mtime=2**40), tar_member("b", mtime=-5))))
    (tmp_path / "now").touch()

    extract(tmp_path / "archive", "tar.gz", tmp_path / "target", Budget())

    assert abs((tmp_path / "target" / "a").stat().st_mtime - (tmp_path / "now").stat().st_mtime) < 60
    assert (tmp_path / "target" / "b").stat().st_mtime == 315_532_800


def make_with_tar(folder: Path, archive: Path, *, flag: str) -> None:
    subprocess.run(["tar", flag, "-cf", str(archive), "-C", str(folder), "."], check=True)


def make_with_zip(folder: Path, archive: Path) -> None:
    subprocess.run(["zip", "-qr", str(archive), "."], cwd=folder, check=True)
    archive.with_suffix(".zip").rename(archive)


def make_with_zipfile(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in folder.rglob("*"):
            out.write(path, path.relative_to(folder))


def make_with_tarfile(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as out:
        out.add(folder, arcname=".")


TOOLS: dict[str, tuple[str, str, Callable[[Path, Path], None]]] = {
    "GNU tar, gzip": ("tar", "tar.gz", partial(make_with_tar, flag="--gzip")),
    "GNU tar, zstd": ("zstd", "tar.zst", partial(make_with_tar, flag="--zstd")),
    "Info-ZIP": ("zip", "zip", make_with_zip),
    "Python's zipfile": ("", "zip", make_with_zipfile),
    "Python's tarfile": ("", "tar.gz", make_with_tarfile),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_archives_of_common_tools_are_read(tmp_path: Path, tool: str) -> None:
    program, kind, make = TOOLS[tool]
    if program and not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    source = tmp_path / "source"
    (source / "empty").mkdir(parents=True)
    (source / ("deep" * 40)).mkdir()
    (source / ("deep" * 40) / "café.txt").write_text("é" * 1000)
    (source / "nothing").touch()
    (source / "random").write_bytes(os.urandom(300_000))

    make(source, tmp_path / "archive")
    extract(tmp_path / "archive", kind, tmp_path / "target", Budget())

    assert files_in(tmp_path / "target") == files_in(source)


@pytest.mark.parametrize("by_descriptors", [True, False])
def test_a_target_creates_files_with_and_without_descriptors(tmp_path: Path, by_descriptors: bool) -> None:
    with open_target(tmp_path, by_descriptors=by_descriptors) as target:
        target.write(("a", "b", "c"), [b"12", b"3"], executable=True, mtime=NOON)
        target.make_folder(("a", "d"))
        target.write(("a", "b", "e"), [], executable=False, mtime=NOON)
        with pytest.raises(FileExistsError):
            target.write(("a", "b", "c"), [b"again"], executable=False, mtime=NOON)

    assert files_in(tmp_path) == {"a": None, "a/b": None, "a/d": None, "a/b/c": b"123", "a/b/e": b""}
    assert (tmp_path / "a/b/c").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "a/b/e").stat().st_mtime == NOON


def test_a_link_that_appears_in_the_target_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "d").symlink_to(tmp_path / "outside")
    (tmp_path / "target" / "f").symlink_to(tmp_path / "outside" / "f")

    with open_target(tmp_path / "target") as target:
        with pytest.raises(OSError, match="d"):
            target.write(("d", "f"), [b"x"], executable=False, mtime=NOON)
        with pytest.raises(FileExistsError):
            target.write(("f",), [b"x"], executable=False, mtime=NOON)

    assert list((tmp_path / "outside").iterdir()) == []


def test_a_name_longer_than_file_systems_take_is_refused() -> None:
    with pytest.raises(HostileArchive, match="longer than 255 bytes"):
        path_of("a/" + "é" * 128, max_bytes=1024, max_depth=8)


@pytest.mark.parametrize("name", ["ab:c", "nul", "COM1.txt", "lpt\u00b9", "aux .c", "dot.", "space ", "d/con/x", "a?"])
def test_names_that_windows_cannot_store_are_refused_there_only(name: str) -> None:
    with pytest.raises(HostileArchive, match="Windows cannot store"):
        path_of(name, max_bytes=200, max_depth=8, windows=True)

    assert path_of(name, max_bytes=200, max_depth=8, windows=False)


@pytest.mark.parametrize(
    ("first_bytes", "kind"),
    [
        (b"PK\x03\x04", "zip"),
        (zip_of(ZipPart(b"a"))[:16], "zip"),
        (zip_of(ZipPart(b"a", flags=1))[:16], "encrypted-zip"),
        (zip_of(), "zip"),
        (gz(b"")[:4], "tar.gz"),
        (zst(b"")[:4], "tar.zst"),
        (skippable_zst(b"x"), "tar.zst"),
        (b"PK\x07\x08", None),
        (b"a,b\n1,2\n", None),
        (b"PK", None),
        (b"\x00\x2a\x4d\x18", None),
        (b"", None),
    ],
)
def test_the_kind_is_told_by_the_first_bytes(first_bytes: bytes, kind: str | None) -> None:
    assert sniff(first_bytes) == kind
