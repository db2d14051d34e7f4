"""The only way text from outside becomes something that is drawn.

Logs, branch names, project names, reasons and error sentences are written by whoever sends a build. A terminal obeys
control sequences in them: they set titles, write the clipboard, move the cursor, hide text. So everything that this
program did not write itself passes through here first:

    clean(text, limit=8192) -> Cleaned(runs, cells, removed)   a line with its colours: for logs
    plain(text, limit=200)  -> str                             one line without colours: for names and sentences

What comes out holds no control character, no invisible or direction-changing character and no lone surrogate; it is
one line of at most `limit` characters. Of all control sequences only SGR (colours, bold ...) survives, as the `Style`
of a run. Nothing is dropped silently: `removed` counts it by kind. The result is not markup: draw it as segments
(`rich.segment.Segment`, `textual.strip.Strip`) or as `Text`, never as a string that is parsed for `[tags]`.

Pure, linear in the length of the text, and bounded: what lies far beyond `limit` is not even looked at.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from rich.cells import get_character_cell_size

from tui.sgr import PLAIN, Style, restyled

__all__ = ["LINE_LIMIT", "MOST_MARKS", "NOTHING", "PLAIN", "Cleaned", "Removed", "Run", "Style", "clean", "plain"]

LINE_LIMIT = 8192
"""Characters of a log line that are kept for display."""
MOST_MARKS = 3
"""Combining marks kept on one character; more only cover the lines around."""


class Run(NamedTuple):
    """Text of one style; never empty."""

    text: str
    style: Style


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken out of a text, in characters, but for `sequences`, which counts whole sequences."""

    sequences: int = 0
    """Control sequences other than SGR: OSC, CSI, DCS, APC ... with what they hold."""
    controls: int = 0
    """Single control characters; a line break inside became a space."""
    invisible: int = 0
    """Characters that nobody sees, or that turn the direction of reading: bidi, zero width, tags, surrogates."""
    marks: int = 0
    """Combining marks beyond MOST_MARKS on one character, or on none."""
    overwritten: int = 0
    """What a carriage return had overwritten, as progress bars do; the last state is shown."""
    cut: int = 0
    """Characters beyond the limit."""

    def plus(self, other: Removed) -> Removed:
        """Both together."""
        return Removed(
            self.sequences + other.sequences,
            self.controls + other.controls,
            self.invisible + other.invisible,
            self.marks + other.marks,
            self.overwritten + other.overwritten,
            self.cut + other.cut,
        )

    @property
    def sanitised(self) -> bool:
        """Whether anything but length was taken away: something in the text tried to be more than text."""
        return bool(self.sequences or self.controls or self.invisible or self.marks)


NOTHING = Removed()


class Cleaned(NamedTuple):
    """A line that is safe to draw: its runs in order, its width in terminal cells, and what was removed."""

    runs: tuple[Run, ...]
    cells: int
    removed: Removed

    @property
    def text(self) -> str:
        """The line without styles."""
        return self.runs[0].text if len(self.runs) == 1 else "".join(run.text for run in self.runs)


def clean(text: str, *, limit: int = LINE_LIMIT, tab: int = 8) -> Cleaned:
    """Make one line of foreign text safe to draw.

    Args:
        text: anything; of several lines one is made.
        limit: the most characters that come out, tabs counted as the spaces they become.
        tab: cells between tab stops, counted from the line's start.
    """
    if len(text) <= limit and _is_narrow(text):
        return Cleaned((Run(text, PLAIN),) if text else (), len(text), NOTHING)
    return _only_coloured(text, limit) or _Cleaner(limit, tab).clean(text)


def plain(text: str, *, limit: int = 200) -> str:
    """Foreign text as one line without styles; `…` at its end tells that it was cut."""
    if len(text) <= limit and _is_narrow(text):
        return text
    cleaned = clean(text, limit=limit)
    return f"{cleaned.text[: max(0, limit - 1)]}…" if cleaned.removed.cut else cleaned.text


# ---------------------------------------------------------------- control sequences

# Possessive, and no string goes past another control character: linear whatever comes. A string without its
# terminator loses only its introducer, so that nobody can hide the rest of a line.
_CONTROL = re.compile(
    r"""
      (?:\x1b\[|\x9b) (?P<params>[0-?]*+) (?P<middle>[ -/]*+) (?P<final>[@-~]?+)
    | (?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f]) [^\x00-\x1f\x7f-\x9f]*+ (?:\x07|\x1b\\|\x9c)
    | \x1b [\]PX^_]
    | \x1b [ -/]*+ [0-~]?+
    | [\x00-\x1f\x7f-\x9f]
    """,
    re.VERBOSE,
)
_SGR = re.compile(r"\x1b\[([\d;:]{0,64}+)m", re.ASCII)
_SGR_PARAMS = re.compile(r"[\d;:]{0,64}", re.ASCII)
_SEQUENCE_STARTS = frozenset("\x1b\x90\x98\x9b\x9d\x9e\x9f")
_RAW_PER_CHARACTER = 16
_RAW_MORE = 4096
"""Of a text are read at most `limit` times the first plus the second: colours may take more room than letters."""


def _most_raw(limit: int) -> int:
    return limit * _RAW_PER_CHARACTER + _RAW_MORE


def _only_coloured(text: str, limit: int) -> Cleaned | None:
    """The line when nothing but narrow characters and colours is in it; None otherwise. Most lines are of this kind."""
    if "\x1b" not in text or len(text) > _most_raw(limit):
        return None
    texts_and_codes = _SGR.split(text)
    shown = "".join(texts_and_codes[::2])
    if len(shown) > limit or not _is_narrow(shown):
        return None
    runs: list[tuple[str, Style]] = []
    style = PLAIN
    for index, part in enumerate(texts_and_codes):
        if index % 2:
            style = restyled(style, part)
        elif part:
            runs.append((part, style))
    return Cleaned(_merged(runs), len(shown), NOTHING)


class _Cleaner:
    """The work on one line."""

    def __init__(self, limit: int, tab: int) -> None:
        self._limit = limit
        self._tab = max(1, tab)
        self._runs: list[tuple[str, Style]] = []
        self._length = self._cells = 0
        self._sequences = self._controls = self._invisible = self._marks = self._cut = 0
        self._marked = MOST_MARKS  # nothing is there yet that a mark could stand on

    def clean(self, text: str) -> Cleaned:
        """Clean it; once only."""
        text, overwritten = _last_state(text)
        most = _most_raw(self._limit)
        self._cut = max(0, len(text) - most)
        text = text[:most]
        style, at = PLAIN, 0
        for match in _CONTROL.finditer(text):
            start = match.start()
            if start > at:
                self._add(text[at:start], style)
            at = match.end()
            style = self._control(match, style)
        if at < len(text):
            self._add(text[at:], style)
        removed = Removed(self._sequences, self._controls, self._invisible, self._marks, overwritten, self._cut)
        return Cleaned(_merged(self._runs), self._cells, removed)

    def _control(self, match: re.Match[str], style: Style) -> Style:
        """Take in one control sequence or character; gives the style from there on."""
        sequence = match[0]
        if sequence == "\t":
            stop = self._tab - self._cells % self._tab
            self._take(" " * stop, style)
        elif sequence[0] not in _SEQUENCE_STARTS:
            self._controls += 1
            if sequence in "\n\v\f\x85":
                self._take(" ", style)
        elif match["final"] == "m" and not match["middle"] and _SGR_PARAMS.fullmatch(match["params"]):
            return restyled(style, match["params"])
        else:
            self._sequences += 1
        return style

    def _add(self, piece: str, style: Style) -> None:
        """Take in text without control characters."""
        room = self._limit - self._length
        if not _is_narrow(piece):
            # Only as much is looked at as could be shown, were each character followed by one that is not.
            seen = piece[: 2 * room + MOST_MARKS]
            self._cut += len(piece) - len(seen)
            piece = self._visible(seen)
        elif piece:
            self._marked = 0
        self._take(piece, style)

    def _take(self, piece: str, style: Style) -> None:
        """Append what there is room for."""
        room = self._limit - self._length
        if len(piece) > room:
            self._cut += len(piece) - room
            piece = piece[:room]
        if piece:
            self._runs.append((piece, style))
            self._length += len(piece)
            self._cells += len(piece) if _is_narrow(piece) else sum(map(get_character_cell_size, piece))

    def _visible(self, piece: str) -> str:
        """Without invisible characters and with few marks on each character."""
        if all(_kind(character) is _Kind.LETTER for character in set(piece)):
            self._marked = 0
            return piece
        return "".join(self._seen(piece))

    def _seen(self, piece: str) -> Iterator[str]:
        for character in piece:
            kind = _kind(character)
            if kind is _Kind.LETTER:
                self._marked = 0
                yield character
            elif kind is _Kind.SPACE:
                self._marked = 0
                yield " "
            elif kind is _Kind.INVISIBLE:
                self._invisible += 1
            elif self._marked < MOST_MARKS:
                self._marked += 1
                yield character
            else:
                self._marks += 1


def _last_state(text: str) -> tuple[str, int]:
    """The line as it stands after its carriage returns, and how many characters they overwrote."""
    end = len(text)
    while end and text[end - 1] in "\r\n":
        end -= 1
    start = text.rfind("\r", 0, end) + 1
    return (text[start:end], start) if start or end < len(text) else (text, 0)


def _merged(runs: list[tuple[str, Style]]) -> tuple[Run, ...]:
    if len(runs) == 1:
        return (Run(*runs[0]),)
    merged: list[Run] = []
    texts: list[str] = []
    for number, (text, style) in enumerate(runs):
        texts.append(text)
        if number + 1 == len(runs) or runs[number + 1][1] != style:
            merged.append(Run("".join(texts), style))
            texts.clear()
    return tuple(merged)


# ---------------------------------------------------------------- characters


_NARROW = frozenset(
    chr(code)
    for first, last in (
        (0x20, 0x7E),  # Latin
        (0xA1, 0xAC),
        (0xAE, 0x2FF),
        (0x384, 0x386),  # Greek and Cyrillic
        (0x3A3, 0x482),
        (0x2010, 0x2027),  # punctuation
        (0x2030, 0x205E),
        (0x2190, 0x21FF),  # arrows
        (0x2500, 0x25FC),  # boxes, bars and shapes
        (0x2713, 0x2718),  # ticks and crosses
        (0x2801, 0x28FF),  # braille
    )
    for code in range(first, last + 1)
)
"""Characters that are one cell wide and nothing else; not all of them, but those of most lines."""


def _is_narrow(text: str) -> bool:
    return text.isprintable() if text.isascii() else _NARROW.issuperset(text)


class _Kind(Enum):
    LETTER = 1
    SPACE = 2
    INVISIBLE = 3
    MARK = 4


_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SELECTORS = range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)
"""Variation selectors: terminals do not agree on how wide they make the character before."""
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
"""Letters and marks by category, but nothing is seen of them: names could look alike."""


@lru_cache(maxsize=4096)
def _kind(character: str) -> _Kind:
    category = unicodedata.category(character)
    if (
        category in _INVISIBLE_CATEGORIES
        or character in _BLANKS
        or any(ord(character) in selectors for selectors in _SELECTORS)
    ):
        return _Kind.INVISIBLE
    if category in {"Mn", "Me"} or get_character_cell_size(character) == 0:
        return _Kind.MARK
    return _Kind.SPACE if category == "Zs" else _Kind.LETTER
