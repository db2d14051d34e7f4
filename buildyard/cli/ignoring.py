"""Which files of a folder stay at home: `.gitignore`, `.git/info/exclude` and `.buildyardignore`, as git reads them.

`pathspec` turns each pattern into a regular expression. Which pattern has the last word is decided here, folder by
folder on the way down: matching whole paths at once, as the library does, leaves out what `*`, `!*/`, `!*.py` keep.
"""

from __future__ import annotations

import codecs
import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_GIT = ".git"
_FILES = (".gitignore", ".buildyardignore")
"""In their order: the later has the last word."""
_EVERYTHING = "."  # how the library writes `*` and `**`
_CLASS = re.compile(r"\[:(\w+):\]")
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \t",
    "digit": "0-9",
    "lower": "a-z",
    "space": " \t\v\f",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
"""What stands for a class inside brackets; the library knows none of them."""
_NAMED_GROUP = re.compile(r"\(\?P<\w+>")


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern: whether it keeps what it matches, speaks of folders only, and of whole paths or last names."""

    regex: re.Pattern[str]
    keeps: bool
    folders_only: bool
    whole_path: bool


def rules_of(lines: Iterable[str]) -> tuple[Rule, ...]:
    """The patterns of a file, in order. Comments, empty lines and patterns that git passes over fall away."""
    return tuple(rule for line in lines if (rule := _rule(line)) is not None)


def _rule(line: str) -> Rule | None:
    text = line if line.endswith("\\ ") else line.rstrip(" ")
    if text.startswith("#"):
        return None
    keeps = text.startswith("!")
    text = text.removeprefix("!")
    folders_only = text.endswith("/")
    text = text.removesuffix("/")
    whole_path = "/" in text
    if keeps and text.startswith(("#", "!")):
        text = f"\\{text}"
    if text.endswith("/**"):
        text += "/*"  # all that lies below; the library writes it as the folder's own path
    regex = _regex(text)
    return Rule(regex, keeps, folders_only, whole_path) if regex else None


def _regex(text: str) -> re.Pattern[str] | None:
    try:
        plain = _CLASS.sub(lambda found: _CLASSES.get(found[1], found[0]), text)
        expression, _ = GitIgnoreSpecPattern.pattern_to_regex(plain)
        if expression is None:
            return None
        if expression == _EVERYTHING:
            expression = ".*"
        with warnings.catch_warnings():  # of brackets in brackets, which Python may read otherwise one day
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(_NAMED_GROUP.sub("(?:", expression), re.DOTALL)
    except (ValueError, re.error):  # git matches nothing with such a pattern
        return None


def verdict(rules: Iterable[Rule], path: str, *, is_folder: bool) -> bool | None:
    """Whether rules leave out a path relative to their own folder; None where none speaks of it."""
    name = path.rpartition("/")[2]
    said: bool | None = None
    for rule in rules:
        if (is_folder or not rule.folders_only) and rule.regex.fullmatch(path if rule.whole_path else name):
            said = not rule.keeps
    return said


_Chain = list[tuple[int, tuple[Rule, ...]]]
"""Rules, farthest first, each with how much of a whole path lies above their own folder."""


class Ignored:
    """Tells of each path below a folder whether it is left out; asked on the way down, as `archives.pack` does.

    Inside a repository the files of the folders above count, too, up to the repository's top. Nearer files go before
    farther ones, and all before `.git/info/exclude`. What is called `.git` is always left out.

    Raises OSError where one of those files cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        here = folder.resolve()
        top = _top(here)
        self._folder = folder
        self._above = f"{here.relative_to(top).as_posix()}/" if top and top != here else ""
        self._outer = _outer(top, self._above) if top else []
        self._chains: dict[str, _Chain] = {}

    def __call__(self, name: str) -> bool:
        """Whether this path is left out; relative to the folder, a folder's with `/` at its end."""
        is_folder = name.endswith("/")
        path = name.removesuffix("/")
        parent, _, last = path.rpartition("/")
        if last == _GIT:
            return True
        whole = _as_bytes(self._above + path)
        for start, rules in reversed(self._chain(parent)):
            said = verdict(rules, whole[start:], is_folder=is_folder)
            if said is not None:
                return said
        return False

    def _chain(self, folder: str) -> _Chain:
        """The rules that hold inside a folder, farthest first."""
        if folder not in self._chains:
            before = self._chain(folder.rpartition("/")[0]) if folder else self._outer
            rules = _rules_in(self._folder / folder)
            start = len(_as_bytes(self._above + folder)) + bool(folder)
            self._chains[folder] = [*before, (start, rules)] if rules else before
        return self._chains[folder]


def _outer(top: Path, above: str) -> _Chain:
    """The rules of a repository that hold in one of its folders, without the folder's own."""
    found = [(0, _excluded(top))]
    place, start = top, 0
    for part in above.split("/")[:-1]:
        found.append((start, _rules_in(place)))
        place, start = place / part, start + len(_as_bytes(part)) + 1
    return [(start, rules) for start, rules in found if rules]


def _rules_in(folder: Path) -> tuple[Rule, ...]:
    return tuple(rule for name in _FILES for rule in rules_of(_lines(folder / name)))


def _as_bytes(path: str) -> str:
    """A path as git matches it, byte by byte: `?` is one byte, and `ä` has two. Rules are read the same way."""
    return os.fsencode(path).decode("latin-1")


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().removeprefix(codecs.BOM_UTF8).decode("latin-1")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []
    return [line.removesuffix("\r") for line in text.split("\n")]


def _top(folder: Path) -> Path | None:
    """The top folder of the repository that a folder is in."""
    return next((place for place in (folder, *folder.parents) if (place / _GIT).exists()), None)


def _excluded(top: Path) -> tuple[Rule, ...]:
    """The patterns of `.git/info/exclude`, also where `.git` is a file that names the real folder."""
    place = top / _GIT
    if place.is_file():
        place = top / _first_line(place).removeprefix("gitdir:").strip()
    common = _first_line(place / "commondir")
    return rules_of(_lines((place / common if common else place) / "info" / "exclude"))


def _first_line(path: Path) -> str:
    return os.fsdecode(next(iter(_lines(path)), "").strip().encode("latin-1"))
