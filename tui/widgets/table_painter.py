"""How a table's rows are drawn: strips kept for each version of a row, and which cells changed since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.strip import Strip

from tui.widgets.columns import Cell, Column, Layout, Placed, place
from tui.widgets.line_view import LineView, cell_segments
from tui.widgets.row_order import Rows
from tui.widgets.text_cells import fit

Row = TypeVar("Row")

CURSOR, MARKED = ">", "*"
GUTTER = 2
"""Cells before the first column: cursor and mark, which are to be seen without colours too."""
_KEPT = 1024


@dataclass
class _Drawn:
    """A row as it was drawn: for which version, what each cell said, and its strips by state and width."""

    version: object
    cells: tuple[Cell, ...]
    strips: dict[tuple[str, bool, int], Strip] = field(default_factory=dict)


class TablePainter(Generic[Row]):
    """Draws for one table, with its tones and its component styles `table--*`."""

    def __init__(self, view: LineView, columns: Sequence[Column[Row]]) -> None:
        self._view = view
        self.columns = tuple(columns)
        self.placed: tuple[Placed, ...] = ()
        self._drawn: LRUCache[str, _Drawn] = LRUCache(_KEPT)
        self._bases: dict[str, Style] = {}

    def forget(self) -> None:
        """Theme or columns have changed."""
        self._drawn.clear()
        self._bases.clear()

    def place(self, layout: Layout, width: int) -> None:
        """Fit the chosen columns into a table of `width` cells."""
        placed = place(self.columns, layout, max(1, width - GUTTER))
        if placed != self.placed:
            self.placed = placed
            self.forget()

    def column_at(self, x: int) -> Column[Row] | None:
        """The column drawn at a cell of the line, or None between columns."""
        inside = (one for one in self.placed if one.x <= x - GUTTER < one.x + one.width)
        return next((self.columns[one.index] for one in inside), None)

    def changes(self, rows: Rows[Row], key: str) -> list[tuple[int, int]] | None:
        """Draw a row anew; (x, width) of each cell that says something else now, or None where it was not drawn."""
        before = self._drawn.get(key)
        after = self._row(rows, key)
        if before is None or len(before.cells) != len(after.cells):
            return None
        pairs = zip(self.placed, before.cells, after.cells, strict=True)
        return [(GUTTER + placed.x, placed.width) for placed, old, new in pairs if old != new]

    def line(self, rows: Rows[Row], key: str, width: int, *, cursor: str = "", marked: bool = False) -> Strip:
        """One row; `cursor` is the component style of its light where the cursor is on it. KeyError if it is gone."""
        drawn = self._row(rows, key)
        state = (cursor, marked, width)
        strip = drawn.strips.get(state)
        if strip is None:
            strip = drawn.strips[state] = self._line(drawn.cells, width, cursor=cursor, marked=marked)
        return strip

    def head(self, layout: Layout, width: int) -> Strip:
        """The titles, with an arrow at the one that is sorted by."""
        text, x = " " * GUTTER, 0
        for one in self.placed:
            column = self.columns[one.index]
            arrow = ("▼" if layout.descending else "▲") if column.name == layout.sort else ""
            title = fit(column.title, min(len(column.title), one.width - len(arrow))) + arrow
            text += " " * (one.x - x) + fit(title, one.width, right=column.right)
            x = one.x + one.width
        return self._view.lit(Strip([Segment(text)]), width, self._base("table--head"))

    def _row(self, rows: Rows[Row], key: str) -> _Drawn:
        version = rows.version(key)
        drawn = self._drawn.get(key)
        if drawn is None or drawn.version != version:
            row = rows.row(key)
            drawn = _Drawn(version, tuple(self.columns[one.index].cell(row) for one in self.placed))
            self._drawn[key] = drawn
        return drawn

    def _line(self, cells: Sequence[Cell], width: int, *, cursor: str, marked: bool) -> Strip:
        ink = self._view.ink
        segments = [Segment(f"{CURSOR if cursor else ' '}{MARKED if marked else ' '}", ink("strong"))]
        x = 0
        for one, cell in zip(self.placed, cells, strict=True):
            if one.x > x:
                segments.append(Segment(" " * (one.x - x)))
            parts = cell.parts or ((cell.text, cell.tone),)
            inked = [(text, ink(tone)) for text, tone in parts]
            segments += cell_segments(inked, one.width, right=self.columns[one.index].right)
            x = one.x + one.width
        name = cursor or ("table--marked" if marked else "")
        return self._view.lit(Strip(segments, GUTTER + x), width, self._base(name) if name else None)

    def _base(self, name: str) -> Style:
        if name not in self._bases:
            self._bases[name] = self._view.get_component_rich_style(name)
        return self._bases[name]
