"""Where in a TOML text each key and value stands: line and column, from 1, in characters.

The standard library's parser keeps no places, so this goes over a text that it has read without complaint once more.
It follows the grammar of TOML 1.0 (https://toml.io/en/v1.0.0) as far as places need it and judges nothing.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

Path = tuple[str | int, ...]
"""A way from the top of a document: names of keys and, in lists, numbers from 0."""

_BLANKS = re.compile(r"(?:[ \t\n\r]+|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_AFTER_HEADER = re.compile(r"[ \t\]]*")
_AFTER_KEY = re.compile(r"[ \t=]*")
_SPACES = re.compile(r"[ \t]*")
_SCALAR = re.compile(r"[^\s,\]}#]+(?: \d[^\s,\]}#]*)?")  # a time may be parted from its date by one blank


@dataclass(frozen=True, order=True)
class Place:
    """A position in a text."""

    line: int
    column: int


@dataclass
class Places:
    """What was found: where keys are first written, and where values begin."""

    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)

    def of_key(self, path: Path) -> Place:
        """Where the last name of a path is written, else that of the nearest one around it; else the text's begin."""
        for length in range(len(path), 0, -1):
            if place := self.keys.get(path[:length]) or self.values.get(path[:length]):
                return place
        return Place(1, 1)

    def of_value(self, path: Path) -> Place:
        """Where a value begins; a table of a header begins with its name."""
        return self.values.get(path) or self.of_key(path)


def find_places(text: str) -> Places:
    """The places of a text that is TOML; of any other text some, in time that grows with its length only."""
    return _Walk(text.replace("\r\n", "\n")).run()


@dataclass
class _Open:
    """A list or an inline table that is being read; `index` is None in a table."""

    path: Path
    index: int | None


class _Walk:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self._found = Places()
        self._tables: dict[Path, int] = {}
        """Lists of tables by path -> how many of their headers were seen."""

    def run(self) -> Places:
        here: Path = ()
        self._skip(_BLANKS)
        while self._at < len(self._text):
            before = self._at
            here = self._header() if self._text.startswith("[", self._at) else self._pair(here)
            self._skip(_BLANKS)
            if self._at == before:  # no TOML after all
                break
        return self._found

    def _header(self) -> Path:
        is_list = self._text.startswith("[[", self._at)
        self._at += 2 if is_list else 1
        names = list(self._names())
        path: Path = ()
        for number, (name, place) in enumerate(names):
            path = (*path, name)
            self._found.keys.setdefault(path, place)
            last = number == len(names) - 1
            if is_list and last:
                self._tables[path] = self._tables.get(path, -1) + 1
            if path in self._tables:
                path = (*path, self._tables[path])
                self._found.keys.setdefault(path, place)
        self._skip(_AFTER_HEADER)
        return path

    def _pair(self, here: Path) -> Path:
        """`key = value` below a header; the header goes on."""
        path = self._key(here)
        self._value(path)
        return here

    def _key(self, here: Path) -> Path:
        path = here
        for name, place in self._names():
            path = (*path, name)
            self._found.keys.setdefault(path, place)
        self._skip(_AFTER_KEY)
        return path

    def _names(self) -> Iterator[tuple[str, Place]]:
        """The names of a dotted key."""
        while True:
            self._skip(_SPACES)
            found = _KEY.match(self._text, self._at)
            if found is None:
                return
            place, self._at = self._place(), found.end()
            yield _name(found[0]), place
            self._skip(_SPACES)
            if not self._text.startswith(".", self._at):
                return
            self._at += 1

    def _value(self, path: Path) -> None:
        """One value with all that is in it."""
        around: list[_Open] = []
        wanted: Path | None = path
        while wanted is not None or around:
            self._skip(_BLANKS)
            if self._at >= len(self._text):
                return
            sign = self._text[self._at]
            if wanted is not None and sign not in "]}":
                wanted = self._begin(wanted, sign, around)
            elif sign == "," and around:
                self._at += 1
                wanted = self._next(around[-1])
            elif sign in "]}" and around:
                self._at += 1
                around.pop()
                wanted = None
            else:
                return

    def _begin(self, path: Path, sign: str, around: list[_Open]) -> Path | None:
        """Read a value's begin, or all of it; the path of what is to be read next, None: a comma or an end."""
        self._found.values.setdefault(path, self._place())
        if sign == "[":
            self._at += 1
            around.append(_Open(path, 0))
            return (*path, 0)
        if sign == "{":
            self._at += 1
            around.append(_Open(path, None))
            return self._next(around[-1])
        found = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
        self._at = found.end() if found else len(self._text)
        return None

    def _next(self, around: _Open) -> Path | None:
        """What a list or table goes on with."""
        if around.index is None:
            self._skip(_BLANKS)
            return self._key(around.path) if _KEY.match(self._text, self._at) else None
        if self._text[self._at - 1] == ",":
            around.index += 1
        return (*around.path, around.index)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _place(self) -> Place:
        line = bisect_right(self._lines, self._at)
        return Place(line, self._at - self._lines[line - 1] + 1)


def _name(raw: str) -> str:
    """A key without its quotes."""
    if not raw.startswith('"'):
        return raw.strip("'")
    try:
        [name] = tomllib.loads(f"{raw} = 0")
    except (tomllib.TOMLDecodeError, ValueError):
        return raw.strip('"')
    return name
