"""What is packed comes out again, the same each time and without what could not be unpacked."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import Buffer

from buildyard.archives import Budget, extract, pack, sniff
from buildyard.archives.names import NameTree, is_macos_litter, path_of
from buildyard.errors import BuildyardError, Conflict, HostileArchive, InvalidRequest
from tests.buildyard.archive_forge import ZipPart, files_in, gz, pax, tar_member, tar_of, zip_of, zst

KINDS = ["zip", "tar.gz", "tar.zst"]
NOON = 1_700_000_000


def packed(folder: Path, archive: Path, kind: str, ignore: Callable[[str], bool] = lambda _: False) -> tuple[str, ...]:
    with archive.open("wb") as out:
        return pack(folder, out, kind=kind, ignore=ignore).skipped


def is_allowed(name: str) -> bool:
    try:
        return len(path_of(name, max_bytes=200, max_depth=8)) == len(name.split("/"))
    except HostileArchive:
        return False


names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=12)
paths = st.lists(names, min_size=1, max_size=4).map("/".join).filter(is_allowed)
contents = st.binary(max_size=300) | st.integers(0, 70_000).map(bytes)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    """Draw files that do not collide, also not by case."""
    tree, seen = {}, NameTree()
    for path, content in draw(st.dictionaries(paths, contents, max_size=6)).items():
        parts = path_of(path, max_bytes=200, max_depth=8)
        if is_macos_litter(parts, is_folder=False):
            continue
        try:
            seen.add(path, parts, is_folder=False)
        except HostileArchive:
            continue
        tree[path] = content
    return tree


@pytest.mark.parametrize("kind", KINDS)
@given(tree=trees())
@settings(max_examples=40, deadline=None)
def test_a_folder_comes_back_as_it_went(kind: str, tree: dict[str, bytes]) -> None:
    with TemporaryDirectory() as place:
        source, target, archive = Path(place, "source"), Path(place, "target"), Path(place, "archive")
        source.mkdir()
        for name, content in tree.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)

        skipped = packed(source, archive, kind)
        result = extract(archive, kind, target, Budget())

        assert skipped == result.skipped == ()
        assert files_in(target) == files_in(source)
        assert (result.files, result.bytes) == (len(tree), sum(map(len, tree.values())))
        assert sniff(archive.read_bytes()[:16]) == kind


@pytest.mark.parametrize("kind", KINDS)
@given(noise=st.binary(max_size=400), where=st.integers(0, 400), good=st.booleans())
@settings(max_examples=60, deadline=None)
def test_noise_is_unpacked_or_refused_but_never_breaks_the_reader(
    kind: str, noise: bytes, where: int, good: bool
) -> None:
    tar = tar_of(pax({"path": "a/b"}), tar_member("x"))
    base = zip_of(ZipPart(b"a/b"), ZipPart(b"c", method=0)) if kind == "zip" else tar
    bent = base[:where] + noise + base[where + len(noise) * good :]
    archive_bytes = bent if kind == "zip" else gz(bent) if kind == "tar.gz" else zst(bent)
    with TemporaryDirectory() as place:
        Path(place, "archive").write_bytes(archive_bytes)
        try:
            extract(Path(place, "archive"), kind, Path(place, "target"), Budget(max_bytes=10_000))
        except BuildyardError:
            assert list(Path(place, "target").iterdir()) == []
        assert {path.name for path in Path(place).iterdir()} == {"archive", "target"}


@pytest.mark.parametrize("kind", KINDS)
def test_modes_and_times_come_back_and_owners_are_not_told(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, mode, mtime in (("plain", 0o640, NOON), ("run", 0o4751, NOON + 1), ("old", 0o600, 86_400)):
        (source / name).write_text(name)
        (source / name).chmod(mode)
        os.utime(source / name, (mtime, mtime))

    packed(source, tmp_path / "archive", kind)
    extract(tmp_path / "archive", kind, tmp_path / "target", Budget())

    came = {p.name: (p.stat().st_mode & 0o7777, int(p.stat().st_mtime)) for p in (tmp_path / "target").iterdir()}
    assert came == {"plain": (0o644, NOON), "run": (0o755, NOON + 1), "old": (0o644, 315_532_800)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_folder_gives_the_same_bytes(tmp_path: Path, kind: str) -> None:
    for copy, order in (("one", "abc"), ("two", "cba")):
        (tmp_path / copy / "d").mkdir(parents=True)
        for name in order:
            (tmp_path / copy / "d" / name).write_text(name)
            os.utime(tmp_path / copy / "d" / name, (NOON, NOON))
        os.utime(tmp_path / copy / "d", (NOON, NOON))

    packed(tmp_path / "one", tmp_path / "1", kind)
    packed(tmp_path / "two", tmp_path / "2", kind)

    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


class Pipe(BytesIO):
    """Takes bytes in order only, as a network connection does."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError("a pipe has no position")

    def seek(self, *_: int) -> int:
        raise OSError("a pipe has no position")


@pytest.mark.parametrize("kind", KINDS)
def test_packing_into_a_pipe_works(tmp_path: Path, kind: str) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_bytes(b"x" * 100_000)
    pipe = Pipe()

    result = pack(tmp_path / "source", pipe, kind=kind)
    (tmp_path / "archive").write_bytes(pipe.getvalue())

    assert (result.files, result.bytes) == (1, 100_000)
    assert extract(tmp_path / "archive", kind, tmp_path / "target", Budget()).bytes == 100_000


def test_packing_leaves_out_what_is_ignored_and_what_could_not_be_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "src").mkdir(parents=True)
    (source / "obj" / "deep").mkdir(parents=True)
    for name in ("src/a", "src/b.log", "obj/deep/c", "back\\slash", "bell\x07"):
        (source / name).write_text(name)
    (source / "link").symlink_to("src")
    os.mkfifo(source / "pipe")

    asked: list[str] = []

    def ignore(name: str) -> bool:
        asked.append(name)
        return name in {"obj/", "src/b.log"}

    skipped = packed(source, tmp_path / "archive", "zip", ignore)
    extract(tmp_path / "archive", "zip", tmp_path / "target", Budget())

    assert files_in(tmp_path / "target") == {"src": None, "src/a": b"src/a"}
    assert not any(name.startswith("obj/deep") for name in asked)
    assert skipped == (
        'Left out names that no build may use: 2, the first is "back\\slash".',
        'Left out links: 1, the first is "link".',
        'Left out devices and pipes: 1, the first is "pipe".',
    )


def test_a_file_that_shrinks_while_it_is_packed_is_a_conflict(tmp_path: Path) -> None:
    class Shrinking(BytesIO):
        def write(self, data: Buffer) -> int:
            content = bytes(data)
            if len(content) > 1000:  # more than the header
                os.truncate(tmp_path / "source" / "big", 10)
            return super().write(content)

    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "big").write_bytes(os.urandom(3_000_000))
    out: BinaryIO = Shrinking()

    with pytest.raises(Conflict, match="became shorter"):
        pack(tmp_path / "source", out, kind="tar.gz")


def test_packing_an_unknown_kind_is_an_invalid_request(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        pack(tmp_path, BytesIO(), kind="rar")
