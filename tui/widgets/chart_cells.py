"""A chart as rows of cells: panels of bars over one time axis, and a row of marks for decisions.

Each column of cells stands for the same span of time in every panel, so that what lies above each other happened
together. A bar shows the greatest value of its span: a peak is never averaged away. A span for which there is no
reading is drawn as a gap, one whose reading was unknown as `?`; neither looks like 0, which is an empty column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tui.format import short_count

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ASCII = " __==####"
GAP, UNKNOWN, WANTED = "·", "?", "─"
LABEL = 13
"""Cells to the left of the plot: the panel's name and the top of its scale."""
_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True)
class Sample:
    """What was read at one moment (seconds); None where the count was unknown."""

    at: float
    values: tuple[int | None, ...]
    """One for each panel, in the panels' order, then one for each panel's line, where it has one."""


@dataclass(frozen=True)
class Panel:
    """One row of bars. `line` is the index among a sample's values of what is drawn as a line over the bars.

    A panel one row high has no room for the line: it would hide the bars.
    """

    name: str
    tone: str = "plain"
    line: int | None = None
    line_name: str = ""


@dataclass(frozen=True)
class Mark:
    """Something that happened: one glyph in the row of marks. The later of two in one column is shown."""

    at: float
    glyph: str
    tone: str = "plain"


@dataclass(frozen=True)
class Chart:
    """What to draw: samples sorted by time, from `start` to `end` in seconds."""

    start: float
    end: float
    panels: tuple[Panel, ...]
    samples: Sequence[Sample] = ()
    marks: Sequence[Mark] = ()
    every: float = 0.0
    """Seconds between two samples as a rule: a value stands for twice as long, and then becomes a gap."""


Runs = tuple[tuple[str, str], ...]
"""One row: (text, tone) pieces from left to right."""


@dataclass
class _Columns:
    """The samples of one value, gathered by column: `top` None where unknown; absent where nothing was read."""

    top: dict[int, int | None] = field(default_factory=dict)

    def take(self, column: int, value: int | None) -> None:
        if value is None:
            self.top.setdefault(column, None)
        else:
            self.top[column] = max(value, self.top.get(column) or 0)


def lay_out(chart: Chart, width: int, height: int, *, ascii_only: bool = False) -> list[Runs]:
    """The chart as exactly `height` rows of exactly `width` cells.

    Where there is little height the marks go first, then the axis, then the last panels.
    """
    plot = max(1, width - LABEL)
    extras = [row for row, least in (("axis", 2), ("marks", 4)) if height >= least]
    room = max(0, height - len(extras))
    panels = chart.panels[: max(1, room)] if room else ()
    gathered = _gather(chart, plot)
    rows: list[Runs] = []
    for index, panel in enumerate(panels):
        tall = room // len(panels) + (index < room % len(panels))
        rows += _panel(panel, gathered, index, plot, tall, ascii_only=ascii_only)
    if "marks" in extras:
        rows.append(((f"{'decisions':<{LABEL}}", "muted"), *_marks(chart, plot)))
    if "axis" in extras:
        rows.append(((" " * LABEL, "muted"), (axis(chart.end - chart.start, plot), "muted")))
    rows = rows[:height] + [((" " * width, "plain"),)] * (height - len(rows))
    return [_clipped(row, width) for row in rows]


def column_of(at: float, chart: Chart, plot: int) -> int | None:
    """The column in which a moment lies, or None where it lies outside the chart."""
    if not chart.start <= at <= chart.end or chart.end <= chart.start:
        return None
    return min(plot - 1, int((at - chart.start) / (chart.end - chart.start) * plot))


def scale_top(values: Sequence[int | None]) -> int:
    """The top of a scale: the least of 1, 2, 5, 10, 20, 50 ... that no value exceeds."""
    most = max((value for value in values if value is not None), default=0)
    if most <= 1:
        return 1
    power = int(10 ** (len(str(most)) - 1))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def axis(seconds: float, plot: int) -> str:
    """The time axis as text of `plot` cells: how long ago, `now` at the right end."""
    line = [" "] * plot
    _put(line, plot - 3, "now")
    for share in (0.0, 0.25, 0.5, 0.75):
        label = f"-{_ago(seconds * (1 - share))}"
        start = round(share * plot)
        if all(cell == " " for cell in line[max(0, start - 1) : start + len(label) + 1]):
            _put(line, start, label)
    return "".join(line)


def bar(value: int, top: int, tall: int, *, ascii_only: bool = False) -> str:
    """One bar as `tall` cells from the bottom up; whatever is above 0 is seen."""
    eighths = _ASCII if ascii_only else _EIGHTHS
    filled = 0 if value <= 0 else max(1, round(min(value, top) / top * tall * 8))
    return "".join(eighths[max(0, min(8, filled - 8 * level))] for level in range(tall))


def _gather(chart: Chart, plot: int) -> list[_Columns]:
    gathered = [_Columns() for _ in range(max((len(sample.values) for sample in chart.samples), default=0))]
    span = (chart.end - chart.start) / plot
    carried: list[tuple[int, Sample]] = []
    for sample in chart.samples:
        column = column_of(sample.at, chart, plot)
        if column is None:
            continue
        for values, value in zip(gathered, sample.values, strict=False):
            values.take(column, value)
        carried.append((column, sample))
    for (column, sample), (following, _) in pairwise([*carried, (plot, Sample(chart.end, ()))]):
        stands = int((2 * chart.every + sample.at - chart.start) / span) if chart.every else column
        for later in range(column + 1, min(following, stands + 1)):
            for values, value in zip(gathered, sample.values, strict=False):
                values.take(later, value)
    return gathered


def _panel(panel: Panel, gathered: list[_Columns], index: int, plot: int, tall: int, *, ascii_only: bool) -> list[Runs]:
    bars = gathered[index].top if index < len(gathered) else {}
    line = gathered[panel.line].top if panel.line is not None and panel.line < len(gathered) else {}
    top = scale_top([*bars.values(), *line.values()])
    columns = [_column(bars, column, top, tall, ascii_only=ascii_only) for column in range(plot)]
    heights = {column: _level(value, top, tall) for column, value in line.items() if value is not None and tall > 1}
    rows: list[Runs] = []
    for level in range(tall - 1, -1, -1):
        cells = [column[level] for column in columns]
        tones = [panel.tone] * plot
        for column, at in heights.items():
            if at == level:
                cells[column] = "-" if ascii_only else WANTED
                tones[column] = "strong"
        rows.append(((_label(panel, level, tall, top, ascii_only=ascii_only), "muted"), *_runs(cells, tones)))
    return rows


def _column(bars: dict[int, int | None], column: int, top: int, tall: int, *, ascii_only: bool) -> str:
    if column not in bars:
        return ("." if ascii_only else GAP) + " " * (tall - 1)
    value = bars[column]
    return UNKNOWN + " " * (tall - 1) if value is None else bar(value, top, tall, ascii_only=ascii_only)


def _level(value: int, top: int, tall: int) -> int:
    """The row, counted from the bottom, in which a line of this value is drawn."""
    return max(0, min(tall - 1, math.ceil(value / top * tall) - 1))


def _label(panel: Panel, level: int, tall: int, top: int, *, ascii_only: bool) -> str:
    """Name in the top row with the scale's end; the line's name below it."""
    if level == tall - 1:
        scale = short_count(top)
        return f"{panel.name[: LABEL - 2 - len(scale)]:<{LABEL - 1 - len(scale)}}{scale} "[:LABEL]
    if level == tall - 2 and panel.line_name:
        return f"{'-' if ascii_only else WANTED}{panel.line_name[: LABEL - 2]:<{LABEL - 1}}"
    return " " * LABEL


def _marks(chart: Chart, plot: int) -> Runs:
    cells, tones = [" "] * plot, ["plain"] * plot
    for mark in chart.marks:
        column = column_of(mark.at, chart, plot)
        if column is not None:
            cells[column], tones[column] = mark.glyph[:1] or " ", mark.tone
    return _runs(cells, tones)


def _runs(cells: Sequence[str], tones: Sequence[str]) -> Runs:
    runs: list[tuple[str, str]] = []
    start = 0
    for place in range(1, len(cells) + 1):
        if place == len(cells) or tones[place] != tones[start]:
            runs.append(("".join(cells[start:place]), tones[start]))
            start = place
    return tuple(runs)


def _clipped(row: Runs, width: int) -> Runs:
    left, kept = width, []
    for text, tone in row:
        if left > 0 and text:
            kept.append((text[:left], tone))
            left -= len(text[:left])
    if left:
        kept.append((" " * left, "plain"))
    return tuple(kept)


def _put(line: list[str], start: int, text: str) -> None:
    for place, letter in enumerate(text, start):
        if 0 <= place < len(line):
            line[place] = letter


def _ago(seconds: float) -> str:
    whole = round(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 2 * _HOUR:
        return f"{round(whole / _MINUTE)}m"
    return f"{round(whole / _HOUR)}h"
