"""A table of any number of live rows: it asks for those on the screen, and draws again only cells that changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from tui.safe_text import plain
from tui.widgets.columns import Column, Layout
from tui.widgets.filter_terms import Filter, parse
from tui.widgets.line_view import LineView
from tui.widgets.row_order import RowOrder, Rows
from tui.widgets.table_painter import TablePainter
from tui.widgets.text_cells import wrapped

Row = TypeVar("Row")

HEAD = 1
"""Lines above the first row."""


class VirtualTable(LineView, Generic[Row], can_focus=True):
    """Rows of a provider in columns, with a cursor, marks, a sort and a filter.

    The owner calls `changed` for rows that came, changed or went, as often as it likes. The cursor is a row, not a
    line: it keeps its row, and where it can its place on the screen, whatever comes above it.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--head", "table--cursor", "table--cursor-away", "table--marked"}
    DEFAULT_CSS = """
    VirtualTable {
        overflow: hidden auto;
        scrollbar-size-vertical: 1;
        & > .table--head { background: $panel; color: $foreground; text-style: bold; }
        & > .table--cursor { background: $primary 40%; color: $foreground; text-style: bold; }
        & > .table--cursor-away { background: $primary 15%; color: $foreground; }
        & > .table--marked { background: $warning 15%; color: $foreground; }
    }
    """

    class Opened(Message):
        """Enter or a second click on a row."""

        def __init__(self, table: VirtualTable[Any], key: str) -> None:
            super().__init__()
            self.table, self.key = table, key

    class CursorMoved(Message):
        """The cursor is on another row, or (None) on none."""

        def __init__(self, table: VirtualTable[Any], key: str | None) -> None:
            super().__init__()
            self.table, self.key = table, key

    class LayoutChanged(Message):
        """The user changed columns, widths or sort: `layout.as_data()` is worth keeping."""

        def __init__(self, table: VirtualTable[Any], layout: Layout) -> None:
            super().__init__()
            self.table, self.layout = table, layout

    def __init__(
        self,
        rows: Rows[Row],
        columns: Sequence[Column[Row]],
        *,
        layout: Layout | None = None,
        empty: str = "",
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.rows = rows
        self.columns = tuple(columns)
        self.empty = empty
        """The sentence shown where there are no rows."""
        self.marked: set[str] = set()
        """Keys of marked rows, also of those that the filter hides."""
        self._chosen = layout or Layout()
        self._filter = Filter()
        self._order = RowOrder()
        self._cursor: str | None = None
        self._cursor_index = 0
        self._painter = TablePainter(self, columns)
        self._texts: dict[str, tuple[object, str]] = {}
        self._changed: dict[str, None] = {}
        self._gone: dict[str, None] = {}

    # ---------------------------------------------------------------- for the owner

    @property
    def cursor(self) -> str | None:
        """The key of the row under the cursor."""
        return self._cursor

    @property
    def chosen(self) -> Layout:
        """The user's columns, widths and sort."""
        return self._chosen

    @property
    def shown(self) -> int:
        """How many rows the filter lets through."""
        return len(self._order)

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self._order.total

    @property
    def filter(self) -> Filter:
        """What is filtered by."""
        return self._filter

    def marked_and_hidden(self) -> set[str]:
        """Marked rows that the filter hides: an action on marks reaches them too, and has to say so."""
        return {key for key in self.marked if self._order.index_of(key) is None}

    def reload(self, rows: Rows[Row] | None = None) -> None:
        """Read all keys anew, after the provider as a whole has changed."""
        self.rows = self.rows if rows is None else rows
        self._changed.clear()
        self._gone.clear()
        self._texts.clear()
        self.drop_drawn()
        self._arrange()
        self.marked.intersection_update(self.rows.keys())

    def changed(self, keys: Iterable[str], gone: Iterable[str] = ()) -> None:
        """Rows came or changed, or are gone; drawn with the next repaint."""
        for key in keys:
            self._gone.pop(key, None)
            self._changed[key] = None
        for key in gone:
            self._changed.pop(key, None)
            self._gone[key] = None
        self.soon()

    def set_filter(self, wanted: Filter | str) -> None:
        """Show only rows that match; a column's name is the key of a term."""
        self._filter = parse(wanted, [column.name for column in self.columns]) if isinstance(wanted, str) else wanted
        self._arrange()

    def set_layout(self, layout: Layout) -> None:
        """Take another choice of columns, widths and sort, and tell of it."""
        resort = (layout.sort, layout.descending) != (self._chosen.sort, self._chosen.descending)
        self._chosen = layout
        self._place_columns()
        if resort:
            self._arrange()
        self.post_message(self.LayoutChanged(self, layout))

    def go_to(self, key: str) -> bool:
        """Put the cursor on a row; False where it is not shown."""
        index = self._order.index_of(key)
        if index is None:
            return False
        self._move_to(index)
        return True

    def visible_keys(self) -> list[str]:
        """The keys of the rows on the screen."""
        top = self.scroll_offset.y
        return self._order.between(top, top + self._page)

    def shown_keys(self) -> list[str]:
        """The keys of all rows that the filter lets through."""
        return self._order.between()

    # ---------------------------------------------------------------- order

    def _arrange(self) -> None:
        column = next((one for one in self.columns if one.name == self._chosen.sort), None)
        self._order.arrange(
            self.rows.keys(),
            sort_key=None if column is None else lambda key: column.sort_value(self.rows.row(key)),
            descending=self._chosen.descending and column is not None,
            accepts=self._accepts if self._filter else None,
        )
        self._settle(self._cursor_index - self.scroll_offset.y)
        self.refresh()

    def _accepts(self, key: str) -> bool:
        return self._filter.matches(lambda name: self._field(key, name) if name else self._text(key))

    def _text(self, key: str) -> str:
        """All that a row says, in all columns, shown or not."""
        version = self.rows.version(key)
        known = self._texts.get(key)
        if known is None or known[0] != version:
            row = self.rows.row(key)
            known = (version, "\n".join(column.cell(row).text for column in self.columns))
            self._texts[key] = known
        return known[1]

    def _field(self, key: str, name: str) -> str:
        row = self.rows.row(key)
        return next((column.cell(row).text for column in self.columns if column.name == name), "")

    def _settle(self, line: int) -> None:
        """After the order changed: size, cursor on its row (else its line), and that row on the screen line it had."""
        self._fit_rows()
        index = self._order.index_of(self._cursor)
        if index is None:
            index = max(0, min(self._cursor_index, len(self._order) - 1))
        elif index != self._cursor_index and 0 <= line < self._page:
            self.scroll_to(y=max(0, index - line), animate=False, immediate=True)
        self._set_cursor(index)

    def flush(self) -> None:
        """Take in the changes told, and draw what of them is on the screen."""
        gone = [*self._gone]
        changed = []
        for key in self._changed:
            try:
                self.rows.version(key)
            except KeyError:
                gone.append(key)
            else:
                changed.append(key)
        self._changed.clear()
        self._gone.clear()
        for key in gone:
            self._texts.pop(key, None)
            self.marked.discard(key)
        line = self._cursor_index - self.scroll_offset.y
        if self._order.update(changed, gone):
            self._settle(line)
            self.refresh()
            return
        on_screen = {key: y for y, key in enumerate(self.visible_keys(), HEAD)}
        for key in changed:
            y = on_screen.get(key)
            if y is not None:
                self._refresh_cells(key, y)

    def _refresh_cells(self, key: str, y: int) -> None:
        cells = self._painter.changes(self.rows, key)
        for x, width in [(0, self.size.width)] if cells is None else cells:
            self.refresh(Region(x, y, width, 1))

    # ---------------------------------------------------------------- cursor and marks

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height - HEAD)

    def _set_cursor(self, index: int) -> None:
        key = self._order.key_at(index) if 0 <= index < len(self._order) else None
        self._cursor_index = max(0, index)
        if key != self._cursor:
            self._cursor = key
            self.post_message(self.CursorMoved(self, key))

    def _move_to(self, index: int) -> None:
        if not len(self._order):
            return
        top = self.scroll_offset.y
        old = self._cursor_index
        index = max(0, min(index, len(self._order) - 1))
        self._set_cursor(index)
        if index < top:
            self.scroll_to(y=index, animate=False, immediate=True)
        elif index >= top + self._page:
            self.scroll_to(y=index - self._page + 1, animate=False, immediate=True)
        else:
            self._refresh_row(old)
            self._refresh_row(index)

    def _refresh_row(self, index: int) -> None:
        self.refresh(Region(0, index - self.scroll_offset.y + HEAD, self.size.width, 1))

    def action_scroll_up(self) -> None:
        """One row up."""
        self._move_to(self._cursor_index - 1)

    def action_scroll_down(self) -> None:
        """One row down."""
        self._move_to(self._cursor_index + 1)

    def action_page_up(self) -> None:
        """One screen up."""
        self._move_to(self._cursor_index - self._page)

    def action_page_down(self) -> None:
        """One screen down."""
        self._move_to(self._cursor_index + self._page)

    def action_scroll_home(self) -> None:
        """To the first row."""
        self._move_to(0)

    def action_scroll_end(self) -> None:
        """To the last row."""
        self._move_to(len(self._order) - 1)

    def action_open(self) -> None:
        """Tell that the row under the cursor was chosen."""
        if self._cursor is not None:
            self.post_message(self.Opened(self, self._cursor))

    def action_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away, and go one down."""
        if self._cursor is not None:
            self.marked ^= {self._cursor}
            self._refresh_row(self._cursor_index)
            self.action_scroll_down()

    def action_unmark_all(self) -> None:
        """Take all marks away."""
        self.marked.clear()
        self.refresh()

    def action_sort(self, name: str) -> None:
        """Sort by a column, or turn its sort round, or end it."""
        self.set_layout(self._chosen.sorted_by(name))

    def action_resize(self, name: str, by: int) -> None:
        """Make a column wider or narrower."""
        placed = self._painter.placed
        width = next((one.width for one in placed if self.columns[one.index].name == name), None)
        if width is not None:
            self.set_layout(self._chosen.resized(name, width + by))

    def action_toggle_column(self, name: str) -> None:
        """Hide a column or show it again."""
        self.set_layout(self._chosen.toggled(name, [column.name for column in self.columns]))

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on a row, a second opens it; on a title it sorts."""
        place = event.get_content_offset(self)
        if place is None:
            return
        if place.y < HEAD:
            column = self._painter.column_at(place.x)
            if column is not None:
                self.action_sort(column.name)
            return
        index = self.scroll_offset.y + place.y - HEAD
        if index < len(self._order):
            self._move_to(index)
            if event.chain > 1:
                self.action_open()

    # ---------------------------------------------------------------- drawing

    def on_mount(self) -> None:
        """Read the rows there are."""
        self._place_columns()
        self._arrange()

    def on_resize(self) -> None:
        """Fit the columns anew; the cursor stays on the screen."""
        self._fit_rows()
        self._place_columns()
        self._move_to(self._cursor_index)

    def on_focus(self) -> None:
        """The cursor's row is lit."""
        self._refresh_row(self._cursor_index)

    def on_blur(self) -> None:
        """The cursor's row is dimmed."""
        self._refresh_row(self._cursor_index)

    def drop_drawn(self) -> None:
        """Forget strips: the theme has changed."""
        self._painter.forget()

    def _fit_rows(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._order) + HEAD)

    def _place_columns(self) -> None:
        self._painter.place(self._chosen, self.scrollable_content_region.width)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the screen: titles first, then rows."""
        width = self.scrollable_content_region.width
        if y < HEAD:
            return self._painter.head(self._chosen, width)
        index = self.scroll_offset.y + y - HEAD
        if index >= len(self._order):
            said = wrapped(self._nothing(), max(1, width - 2)) if not len(self._order) else []
            return self.runs_strip([(f"  {said[index]}", "muted")] if index < len(said) else [], width)
        key = self._order.key_at(index)
        light = ("table--cursor" if self.has_focus else "table--cursor-away") if key == self._cursor else ""
        try:
            return self._painter.line(self.rows, key, width, cursor=light, marked=key in self.marked)
        except KeyError:  # it went after the last flush; the next one takes its line away
            return self.runs_strip([], width)

    def _nothing(self) -> str:
        return plain(f"Nothing matches {self._filter}") if self._order.total and self._filter else self.empty
