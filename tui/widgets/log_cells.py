"""One row of a log as pieces: what stands before the line, and the line's own text with its styles and finds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import pairwise

from tui.safe_text import PLAIN, Run, Style, plain
from tui.widgets.log_levels import Level
from tui.widgets.log_reader import LogReader, Stamps
from tui.widgets.log_ring import Account, KeptLine
from tui.widgets.text_cells import fit

LEVEL_SIGNS = {Level.ERROR: ("E", "bad"), Level.WARNING: ("W", "warning")}
"""A letter, so that a level is seen without colours; the line's own words say it too."""
GUTTER = 3
"""Cells before a line: cursor, level, space."""
_DAY, _HOUR, _MINUTE = 86_400, 3600, 60
_STAMP_CELLS = {Stamps.NONE: 0, Stamps.TIME: 13, Stamps.DELTA: 10}
_LONGEST_DELTA = 99_999


class Labels(Enum):
    """How much of a line's source stands before it, in cells."""

    NONE = 0
    SHORT = 6
    FULL = 20

    @property
    def following(self) -> Labels:
        """The next in turn."""
        return {Labels.NONE: Labels.SHORT, Labels.SHORT: Labels.FULL, Labels.FULL: Labels.NONE}[self]


@dataclass(frozen=True)
class Before:
    """What stands before every line, and how many cells it takes."""

    stamps: Stamps = Stamps.NONE
    labels: Labels = Labels.NONE

    @property
    def cells(self) -> int:
        """The width of it, the gutter included."""
        return GUTTER + _STAMP_CELLS[self.stamps] + (self.labels.value + 1 if self.labels.value else 0)

    def text(self, line: KeptLine, previous: KeptLine | None) -> str:
        """Stamp and label of a line, without the gutter."""
        stamp = ""
        if self.stamps is Stamps.TIME:
            stamp = f"{time_of_day(line.at):<12} "
        elif self.stamps is Stamps.DELTA:
            stamp = f"{delta(line.at, previous.at if previous else None):>9} "
        return f"{stamp}{label(line.source, self.labels.value)} " if self.labels.value else stamp


def time_of_day(at: float | None) -> str:
    """UTC to the millisecond; `?` where the moment is not known."""
    if at is None or not math.isfinite(at):
        return "?"
    milliseconds = int(at * 1000) % (_DAY * 1000)
    seconds = milliseconds // 1000
    minutes = seconds % _HOUR // _MINUTE
    return f"{seconds // _HOUR:02}:{minutes:02}:{seconds % _MINUTE:02}.{milliseconds % 1000:03}"


def delta(at: float | None, previous: float | None) -> str:
    """Seconds since the line before; empty for the first line, `?` where a moment is not known."""
    if at is None:
        return "?"
    if previous is None:
        return ""
    between = at - previous
    return f"{between:+.3f}" if abs(between) < _LONGEST_DELTA else ">1d" if between > 0 else "<-1d"


@lru_cache(maxsize=4096)
def label(source: str, cells: int) -> str:
    """A source in so many cells. Of a long name the end is kept: agents of one pool begin alike."""
    safe = plain(source)
    return fit(safe if len(safe) <= cells else f"…{safe[-(cells - 1) :]}", cells)


def styled(
    line: KeptLine, start: int, end: int, lit: Sequence[tuple[int, int, str]] = ()
) -> list[tuple[str, Style, str]]:
    """Characters `start` to `end` of a line as (text, style, light) pieces.

    `lit` are (start, end, name of the light) in characters, of which the last at a place counts.
    """
    edges = {start, end}
    runs = list(_run_edges(line.runs or (Run(line.text, PLAIN),)))
    for first, last, _ in (*runs, *lit):
        edges.update(edge for edge in (first, last) if start < edge < end)
    pieces = []
    for first, last in pairwise(sorted(edges)):
        style = next((style for begin, stop, style in runs if begin <= first < stop), PLAIN)
        light = next((name for begin, stop, name in reversed(lit) if begin <= first < stop), "")
        pieces.append((line.text[first:last], style, light))
    return pieces


def _run_edges(runs: Iterable[Run]) -> Iterable[tuple[int, int, Style]]:
    at = 0
    for run in runs:
        yield at, at + len(run.text), run.style
        at += len(run.text)


# ---------------------------------------------------------------- the lines above the log


def status(reader: LogReader, account: Account, width: int, note: str = "") -> list[tuple[str, str]]:
    """Whether it follows, how much is shown, and what is not there, as (text, tone) pieces for `width` cells.

    Where there is little room, counts of nothing are left out, but never that of dropped lines.
    """
    if reader.follow:
        state = [("▾ follow", "active")]
    else:
        state = [("‖ paused", "warning"), (f" +{reader.new:,} new", "strong" if reader.new else "muted")]
    kept = len(reader.ring)
    shown = f"{kept:,}" if reader.count == kept else f"{reader.count:,}/{kept:,}"
    parts = [*state, (f"  {shown} lines", "plain")]
    if note:
        parts.append((f"  {note}", "strong"))
    lost = account.dropped + account.missing
    counts = [("dropped", lost), ("cut", account.cut), ("sanitised", account.sanitised)]
    roomy = sum(len(text) for text, _ in parts) + sum(len(f"  {name} {n:,}") for name, n in counts) <= width
    for name, number in counts:
        if number or roomy or name == "dropped":
            parts.append((f"  {name} {number:,}", "warning" if number else "muted"))
    return parts


def chips(reader: LogReader) -> list[tuple[str, str]]:
    """What hides or marks lines now, as (text, tone) pieces; empty where nothing does."""
    parts: list[tuple[str, str]] = []
    if reader.filter:
        parts += [("only" if reader.only else "mark", "head")]
        parts += [(f" [{chip}]", "active") for chip in reader.filter.chips]
        parts += [(f" {reader.matches:,} match", "muted")]
    if reader.minimum > Level.DEBUG:
        parts += [(f"{'  ' if parts else ''}level {reader.minimum.word} and above", "warning")]
    return parts
