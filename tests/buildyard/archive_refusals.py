"""What tests of hostile archives share: names no entry may have, and the proof that a refusal leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildyard.archives import Budget, extract
from buildyard.errors import BuildyardError

LIMITS = Budget(max_entries=50, max_bytes=100_000, max_entry_bytes=60_000, max_path_bytes=200, max_depth=8)

HOSTILE_NAMES = {
    "parent": ("../evil", "'..'"),
    "parent inside": ("a/../../b", "'..'"),
    "parent that returns": ("a/../b", "'..'"),
    "parent at the end": ("a/..", "'..'"),
    "absolute": ("/abs", "absolute path"),
    "two slashes": ("//host/share", "absolute path"),
    "drive": ("C:/x", "absolute path"),
    "drive without slash": ("c:x", "absolute path"),
    "backslash drive": ("C:\\x", "backslash"),
    "backslash parent": ("..\\x", "backslash"),
    "backslash inside": ("a\\b", "backslash"),
    "newline": ("a\nb", "control characters"),
    "escape": ("a\x1b[2Jb", "control characters"),
    "delete": ("a\x7f", "control characters"),
    "right to left": ("a\u202egnp.exe", "control characters"),
    "long component": ("c" * 150 + "é" * 60, "longer than 200 bytes"),
    "long path": ("d/" + "p" * 199, "longer than 200 bytes"),
    "deep": ("1/2/3/4/5/6/7/8/9", "more than 8 folders deep"),
}


COLLISIONS = {
    "duplicate": (("a", "a"), "comes twice"),
    "duplicate by dots": (("a/b", "./a//./b"), "comes twice"),
    "case twins": (("Readme", "README"), "differ only in case"),
    "case twin folders": (("src/a", "Src/b"), "differ only in case"),
    "unicode twins": (("caf\u00e9", "cafe\u0301"), "Unicode form"),
    "unicode case twins": (("STRASSE", "stra\u00dfe"), "differ only in case"),
    "file then folder": (("a", "a/b"), "both a file and a folder"),
    "folder then file": (("a/b", "a"), "both a file and a folder"),
    "named folder then file": (("a/", "a"), "both a file and a folder"),
}


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def refuse(tmp_path: Path, archive: bytes, kind: str, error: type[BuildyardError], words: str) -> BuildyardError:
    """Unpack, expect the error, and see that nothing but an empty target was left anywhere."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "stolen").write_text("untouched")
    source = tmp_path / "archive"
    source.write_bytes(archive)
    target = tmp_path / "place" / "target"
    target.mkdir(parents=True)
    before = snapshot(tmp_path)

    with pytest.raises(error) as caught:
        extract(source, kind, target, LIMITS)

    assert words in str(caught.value)
    assert snapshot(tmp_path) == before
    assert list(target.iterdir()) == []
    return caught.value
