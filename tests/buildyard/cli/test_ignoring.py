"""What stays at home is what git itself leaves out."""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from buildyard.archives import measure
from buildyard.cli.ignoring import Ignored, rules_of, verdict

_NAMES = st.sampled_from(["a", "b", "x.py", "y.txt", "a b", "ä", "#c", "!d"])
_FOLDERS = st.lists(_NAMES, max_size=2)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_PATTERNS = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            "*",
            "**",
            "?",
            "*.py",
            "[ab]",
            "[!a]",
            "[[:alpha:]b]*",
            "a*",
            "x.py",
            "ä",
            "\\#c",
            "\\!d",
            "a b",
            "y.txt",
        ]
    ),
    min_size=1,
    max_size=3,
).map("/".join)
_LINES = st.tuples(
    st.sampled_from(["", "", "!"]), st.sampled_from(["", "", "/"]), _PATTERNS, st.sampled_from(["", "", "/", " ", "\r"])
).map("".join) | st.sampled_from(["", "# a", "/", "!", "[", "**/", "!*/", "*/"])
_FILES = st.lists(_LINES, max_size=5).map("\n".join)


def _git(folder: Path, *words: str) -> bytes:
    command = ["git", "-c", "core.excludesFile=", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _kept(folder: Path) -> list[str]:
    """The files that would be packed, by walking as `pack` does."""
    ignored = Ignored(folder)
    found = []

    def walk(place: Path, prefix: str) -> None:
        for child in sorted(place.iterdir()):
            name = f"{prefix}{child.name}{'/' if child.is_dir() else ''}"
            if not ignored(name):
                if child.is_dir():
                    walk(child, name)
                else:
                    found.append(name)

    walk(folder, "")
    return sorted(found)


def _repository(folder: Path, paths: set[str], rules: dict[str, str], excluded: str) -> None:
    for place in ("info", "objects", "refs/heads"):  # all that `git init` has to make, without its process
        (folder / ".git" / place).mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / ".git" / "info" / "exclude").write_text(excluded, newline="")
    for place, text in rules.items():
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / ".gitignore").write_text(text, newline="")
    for path in paths:
        target = folder / path
        if not any(part.is_file() for part in (target, *target.parents)) and not target.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("")


@given(
    paths=st.sets(_PATHS, min_size=1, max_size=8),
    rules=st.dictionaries(_FOLDERS.map("/".join), _FILES, max_size=3),
    excluded=_FILES,
)
@example({"a/x.py", "a/y.txt", "a/b/x.py"}, {"": "*\n!*/\n!*.py"}, "")
@example({"a/b/x.py", "b/x.py"}, {"": "/a/*\n!/a/b/\n", "a/b": "x.py"}, "b")
@settings(max_examples=60, deadline=None)
def test_what_git_leaves_out_is_left_out_and_nothing_else(
    paths: set[str], rules: dict[str, str], excluded: str
) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place)
        _repository(folder, paths, rules, excluded)
        listed = _git(folder, "ls-files", "-z", "--others", "--exclude-standard").decode().split("\0")
        assert _kept(folder) == sorted(filter(None, listed))


def test_a_folder_of_a_repository_obeys_the_folders_above(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / ".gitignore").write_text("*.keep\n")
    top = tmp_path / "outside" / "top"
    _repository_of(
        top, {"service/api/main.py", "service/api/out/x", "service/api/y.log", "service/api/z.tmp", "a.keep"}
    )
    (top / ".gitignore").write_text("*.log\n/out\n/service/api/*.tmp\n")
    (top / "service" / ".gitignore").write_text("/api/out/\n")
    assert _kept(top / "service" / "api") == ["main.py"]
    assert "a.keep" in _kept(top)


def _repository_of(top: Path, paths: set[str]) -> None:
    top.mkdir()
    _repository(top, paths, {}, "")


def test_our_own_file_has_the_last_word_and_git_stays_at_home(tmp_path: Path) -> None:
    _repository(tmp_path, {"kept.log", "secret.env", "main.py", "sub/.git", "sub/a.log"}, {"": "*.log\n"}, "")
    (tmp_path / ".buildyardignore").write_text("secret.env\n!kept.log\n")
    assert _kept(tmp_path) == [".buildyardignore", ".gitignore", "kept.log", "main.py"]


def test_a_worktree_finds_the_excluded_of_its_repository(tmp_path: Path) -> None:
    main = tmp_path / "main"
    _repository_of(main, {"a.txt"})
    _git(main, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "--allow-empty", "-m", "x")
    (main / ".git" / "info" / "exclude").write_text("*.secret\n")
    _git(main, "worktree", "add", "-q", str(tmp_path / "other"))
    (tmp_path / "other" / "a.secret").write_text("")
    (tmp_path / "other" / "b.txt").write_text("")
    assert _kept(tmp_path / "other") == ["b.txt"]


@pytest.mark.parametrize("lines", [["[z-a]"], ["!"], ["a\\"], ["//"], ["\x00"], ["[[:odd:]]x"]])
def test_a_pattern_that_nobody_understands_matches_nothing_and_stops_nobody(lines: list[str]) -> None:
    assert verdict(rules_of(lines), "main.py", is_folder=False) is not True


def test_what_is_measured_is_what_is_kept(tmp_path: Path) -> None:
    _repository(tmp_path, {"a.py", "b.log"}, {"": "*.log\n"}, "")
    (tmp_path / "a.py").write_text("12345")
    found = measure(tmp_path, ignore=Ignored(tmp_path))
    assert (found.files, found.bytes) == (2, 5 + len("*.log\n"))
