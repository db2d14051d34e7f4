"""A simulation as pictures: lines of blocks for a terminal, and an SVG for a page; pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from scaler.simulate import Outcome, Sample

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#%@"
_COLOURS = ("#0b6e99", "#d9730d", "#4f7a28", "#8a4f9e", "#ad1a72")
_WIDTH, _PANEL, _LEFT, _GAP = 860, 150, 60, 46


def peaks(samples: Sequence[Sample], value: int, columns: int, end: float) -> list[int]:
    """The highest value of a sample's field in each of so many equal parts of the time up to `end`."""
    found = [0] * columns
    for place, sample in enumerate(samples):
        until = samples[place + 1].at if place + 1 < len(samples) else end
        first = min(columns - 1, int(sample.at / max(end, 1e-9) * columns))
        last = min(columns - 1, int(until / max(end, 1e-9) * columns))
        for column in range(first, last + 1):
            found[column] = max(found[column], int(sample[value]))
    return found


def terminal(named: Sequence[tuple[str, Outcome]], width: int, *, ascii_only: bool = False) -> list[str]:
    """Two lines for each outcome, jobs waiting and workers present, over the same time and to the same scale."""
    marks = _ASCII if ascii_only else _BLOCKS
    end = _end(named)
    label = max((len(name) for name, _ in named), default=0) + 9
    columns = max(10, width - label - 8)
    lines = []
    for field, what in ((1, "waiting"), (2, "workers")):
        rows = [(name, peaks(outcome.samples, field, columns, end)) for name, outcome in named]
        top = max(1, *(max(row) for _, row in rows))
        for name, row in rows:
            drawn = "".join(marks[0 if not value else 1 + (len(marks) - 2) * (value - 1) // top] for value in row)
            lines.append(f"{name} {what}".ljust(label) + f"{drawn} {max(row):>5}")
    lines.append(" " * label + "0".ljust(columns - len(_time(end))) + _time(end))
    return lines


def svg(named: Sequence[tuple[str, Outcome]], title: str) -> str:
    """Two panels, jobs waiting above and workers present below, a line for each outcome; readable without colours."""
    end = _end(named)
    height = 2 * _PANEL + 2 * _GAP + 54 + 18 * len(named)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"',
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for panel, (field, what) in enumerate(((1, "jobs waiting"), (2, "workers present"))):
        parts += _panel(named, field, what, 48 + panel * (_PANEL + _GAP), end)
    for place, (name, _) in enumerate(named):
        y = 48 + 2 * (_PANEL + _GAP) + 18 * place
        parts.append(f'<line x1="{_LEFT}" y1="{y - 4}" x2="{_LEFT + 30}" y2="{y - 4}" {_stroke(place)}/>')
        parts.append(f'<text x="{_LEFT + 38}" y="{y}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(named: Sequence[tuple[str, Outcome]], field: int, what: str, top: int, end: float) -> list[str]:
    columns = _WIDTH - _LEFT - 20
    rows = [peaks(outcome.samples, field, columns, end) for _, outcome in named]
    highest = max(1, *(max(row) for row in rows))
    bottom = top + _PANEL
    parts = [
        f'<text x="{_LEFT}" y="{top - 4}" fill="#444">{what}</text>',
        f'<line x1="{_LEFT}" y1="{bottom}" x2="{_LEFT + columns}" y2="{bottom}" stroke="#999"/>',
        f'<text x="{_LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{highest}</text>',
        f'<text x="{_LEFT}" y="{bottom + 15}">0</text>',
        f'<text x="{_LEFT + columns}" y="{bottom + 15}" text-anchor="end">{_time(end)}</text>',
    ]
    for place, row in enumerate(rows):
        points = []
        for column, value in enumerate(row):
            if column in {0, len(row) - 1} or value != row[column - 1] or value != row[column + 1]:
                points.append(f"{_LEFT + column},{bottom - value * _PANEL / highest:.1f}")
        parts.append(f'<polyline fill="none" {_stroke(place)} points="{" ".join(points)}"/>')
    return parts


def _stroke(place: int) -> str:
    """Lines differ in their dashes too: colours alone tell not everybody."""
    dashes = ("", "6 3", "2 3", "8 3 2 3", "1 4")[place % 5]
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'stroke="{_COLOURS[place % len(_COLOURS)]}" stroke-width="1.5"{dashed}'


def _end(named: Sequence[tuple[str, Outcome]]) -> float:
    return max((outcome.samples[-1].at for _, outcome in named), default=1.0)


def _time(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - two minutes are still told in seconds
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004 - and two hours in minutes
