"""Columns of a table: what they show, which of them fit, and the user's choice as a value that can be kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from tui.format import Tone

Row = TypeVar("Row")

NARROWEST, WIDEST = 2, 200
GAP = 1
"""Cells between two columns."""


@dataclass(frozen=True)
class Cell:
    """What stands in one cell: text (from outside: any text), and what it means."""

    text: str
    tone: Tone = "plain"
    parts: tuple[tuple[str, Tone], ...] = ()
    """(text, tone) pairs that make up `text`, where one cell has several tones."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column. `name` is the word in filters (`name:value`) and in the kept layout; widths are in cells.

    A column with `grow` takes what room is left. Where room is short, columns of the lowest `priority` go first.
    `sort` gives a comparable value or None for a missing one; without it the column sorts by its text.
    """

    name: str
    title: str
    cell: Callable[[Row], Cell]
    width: int
    grow: bool = False
    priority: int = 5
    right: bool = False
    sort: Callable[[Row], Any] | None = None

    def sort_value(self, row: Row) -> Any:
        """What rows are sorted by in this column; a missing text is a missing value."""
        if self.sort is not None:
            return self.sort(row)
        return self.cell(row).text.lower() or None


@dataclass(frozen=True)
class Layout:
    """The user's choice for one table: which columns in which order, their widths, and the sort.

    `shown` empty means all; `widths` holds only columns that the user has changed.
    """

    shown: tuple[str, ...] = ()
    widths: Mapping[str, int] = field(default_factory=dict)
    sort: str = ""
    descending: bool = False

    def as_data(self) -> dict[str, Any]:
        """Plain values for a configuration file."""
        return {
            "shown": list(self.shown),
            "widths": dict(self.widths),
            "sort": self.sort,
            "descending": self.descending,
        }

    @classmethod
    def from_data(cls, data: object) -> Layout:
        """Read what `as_data` gave; whatever is not as it should be (a hand edited file) is left out."""
        if not isinstance(data, Mapping):
            return cls()
        shown, widths = data.get("shown"), data.get("widths")
        sort, descending = data.get("sort"), data.get("descending")
        kept = {
            name: _bounded(width)
            for name, width in (widths.items() if isinstance(widths, Mapping) else ())
            if isinstance(name, str) and isinstance(width, int) and not isinstance(width, bool)
        }
        names = [name for name in shown if isinstance(name, str)] if isinstance(shown, list | tuple) else []
        return cls(
            shown=tuple(dict.fromkeys(names)),
            widths=kept,
            sort=sort if isinstance(sort, str) else "",
            descending=descending is True,
        )

    def resized(self, name: str, width: int) -> Layout:
        """With another width for a column."""
        return replace(self, widths={**self.widths, name: _bounded(width)})

    def sorted_by(self, name: str) -> Layout:
        """Sorted by a column; by the same again: the other way round; once more: in natural order."""
        if self.sort != name:
            return replace(self, sort=name, descending=False)
        return replace(self, sort="" if self.descending else name, descending=not self.descending)

    def toggled(self, name: str, every: Sequence[str]) -> Layout:
        """With a column hidden or shown again; the last one stays."""
        shown = list(self.shown or every)
        if name not in shown:
            return replace(self, shown=tuple(one for one in every if one in shown or one == name))
        rest = tuple(one for one in shown if one != name)
        return replace(self, shown=rest) if rest else self


@dataclass(frozen=True)
class Placed:
    """Where a column is drawn: its place in the table's list of columns, first cell, and width."""

    index: int
    x: int
    width: int


def place(columns: Sequence[Column[Any]], layout: Layout, room: int) -> tuple[Placed, ...]:
    """Fit the chosen columns into `room` cells, from left to right; at least one column is placed.

    Columns of low priority are left out first (of two the right one); room that is left goes to those that grow.
    """
    by_name = {column.name: index for index, column in enumerate(columns)}
    chosen = [by_name[name] for name in layout.shown if name in by_name] or list(range(len(columns)))
    widths = {index: layout.widths.get(columns[index].name, columns[index].width) for index in chosen}
    while len(chosen) > 1 and sum(widths[index] + GAP for index in chosen) - GAP > room:
        least = min(reversed(chosen), key=lambda index: columns[index].priority)
        chosen.remove(least)
    spare = room - (sum(widths[index] + GAP for index in chosen) - GAP)
    growing = [index for index in chosen if columns[index].grow and columns[index].name not in layout.widths]
    for place_in_line, index in enumerate(growing):
        if spare > 0:
            share = spare // (len(growing) - place_in_line)
            widths[index] += share
            spare -= share
    placed, x = [], 0
    for index in chosen:
        width = max(1, min(widths[index], room - x))
        placed.append(Placed(index, x, width))
        x += width + GAP
    return tuple(placed)


def _bounded(width: int) -> int:
    return max(NARROWEST, min(width, WIDEST))
