"""A log that follows its end until somebody scrolls, over a ring of the newest lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.cache import LRUCache
from textual.geometry import Region
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip

from tui.widgets.filter_terms import Filter, parse, spans
from tui.widgets.line_view import LineView, log_style
from tui.widgets.log_cells import LEVEL_SIGNS, Before, chips, status, styled
from tui.widgets.log_levels import Level
from tui.widgets.log_reader import FILTER_KEYS, LogReader, ShownRow
from tui.widgets.log_ring import LogEntry, LogRing
from tui.widgets.text_cells import wrapped

_WHEEL_ROWS = 3
_SIDEWAYS = 8
_BUSY_LINES = 10
"""New lines between two repaints above which repaints become fewer: their cost is what a fast log costs."""


class LogPane(LineView, can_focus=True):
    """Lines of a log under a status line; a second line tells the filter where there is one.

    Scrolling up or finding something stops following; `action_follow` and the end key start it again.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--cursor", "log--match", "log--seam", "log--head"}
    DEFAULT_CSS = """
    LogPane {
        & > .log--head { background: $panel; color: $foreground; }
        & > .log--cursor { background: $primary 30%; color: $foreground; }
        & > .log--match { background: $warning; color: $background; text-style: bold underline; }
        & > .log--seam { color: $text-warning; text-style: bold; }
    }
    """

    class FollowChanged(Message):
        """The pane began or stopped following its end."""

        def __init__(self, pane: LogPane, *, follow: bool) -> None:
            super().__init__()
            self.pane, self.follow = pane, follow

    def __init__(
        self,
        ring: LogRing | None = None,
        *,
        empty: str = "No lines yet.",
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.reader = LogReader(LogRing() if ring is None else ring)  # an empty ring is false
        self.before = Before()
        self.empty = empty
        """The sentence shown where there are no lines."""
        self._note = ""
        self._sideways = 0
        self._window: list[ShownRow] | None = None
        self._kept: LRUCache[tuple[int, int, int], Strip] = LRUCache(2048)
        self._lights: dict[str, Style] = {}
        self._followed = True

    # ---------------------------------------------------------------- for the owner

    def extend(self, entries: Sequence[LogEntry]) -> None:
        """Append lines; drawn with the next repaint."""
        self.reader.ring.extend(entries)
        self.soon()

    def seam(self, text: str, *, at: float | None = None, missing: int = 0) -> None:
        """Mark a restart, a reconnect or a gap; `missing` lines never came."""
        self.reader.ring.seam(text, at=at, missing=missing)
        self.soon()

    def show(self, ring: LogRing) -> None:
        """Show another log, from its end, with the same filter and level."""
        old, self.reader = self.reader, LogReader(ring)
        self.reader.wrap, self.reader.minimum = old.wrap, old.minimum
        self.reader.set_filter(old.filter, only=old.only)
        self._note, self._sideways = "", 0
        self._fit_text()

    def set_filter(self, wanted: Filter | str) -> None:
        """Show only lines that match, or mark them (`action_only` changes between the two)."""
        self.reader.set_filter(parse(wanted, FILTER_KEYS) if isinstance(wanted, str) else wanted)
        self._note = ""
        self._fit_text()

    def set_minimum(self, level: Level) -> None:
        """Hide lines that are less grave."""
        self.reader.set_minimum(level)
        self._fit_text()

    @property
    def line(self) -> str:
        """The line under the cursor (else the newest), as text without styles."""
        reader, number = self.reader, self.reader.cursor
        if number is None or number < reader.ring.first:
            number = reader.number_at(reader.count - 1) if reader.count else -1
        return reader.ring[number].text if number >= reader.ring.first else ""

    def lines(self) -> Iterator[str]:
        """All lines that the filter and the least level let through, as text."""
        reader = self.reader
        for index in range(reader.count):
            number = reader.number_at(index)
            if number >= reader.ring.first:
                yield reader.ring[number].text

    def all_lines(self) -> Iterator[str]:
        """All lines that are kept, as text."""
        return (line.text for _, line in self.reader.ring.since(0))

    # ---------------------------------------------------------------- actions

    def action_follow(self) -> None:
        """Follow the end, or stop."""
        self._moved(self.reader.stop if self.reader.follow else self.reader.resume)

    def action_scroll_up(self) -> None:
        """Cursor one line up."""
        self._moved(lambda: self.reader.move(-1))

    def action_scroll_down(self) -> None:
        """Cursor one line down."""
        self._moved(lambda: self.reader.move(1))

    def action_page_up(self) -> None:
        """One screen up."""
        self._moved(lambda: self.reader.scroll(1 - self.reader.height))

    def action_page_down(self) -> None:
        """One screen down."""
        self._moved(lambda: self.reader.scroll(self.reader.height - 1))

    def action_scroll_home(self) -> None:
        """To the oldest line."""
        self._moved(self.reader.to_start)

    def action_scroll_end(self) -> None:
        """To the newest line, and follow."""
        self._moved(self.reader.resume)

    def action_scroll_left(self) -> None:
        """Show more of the left."""
        self._sideways = max(0, self._sideways - _SIDEWAYS)
        self.refresh()

    def action_scroll_right(self) -> None:
        """Show more of the right."""
        self._sideways += 0 if self.reader.wrap else _SIDEWAYS
        self.refresh()

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them at the edge."""
        self.reader.wrap, self._sideways = not self.reader.wrap, 0
        self._fit_text()

    def action_stamps(self) -> None:
        """No time, the time, or the time since the line before."""
        self.before = Before(self.before.stamps.following, self.before.labels)
        self._fit_text()

    def action_labels(self) -> None:
        """No source, a short or a long one before each line."""
        self.before = Before(self.before.stamps, self.before.labels.following)
        self._fit_text()

    def action_level(self) -> None:
        """Hide less grave lines: all, info, warning, error, and all again."""
        self.set_minimum(Level((self.reader.minimum + 1) % len(Level)))

    def action_only(self) -> None:
        """Only what matches the filter, or all with the matches marked."""
        self.reader.set_filter(self.reader.filter, only=not self.reader.only)
        self._fit_text()

    def action_next_match(self, backwards: bool = False) -> None:  # noqa: FBT001, FBT002 - an action's argument
        """To the next line that matches the filter."""
        self._find(lambda: self._told("match", self.reader.next_match(backwards=backwards)))

    def action_next_error(self, backwards: bool = False) -> None:  # noqa: FBT001, FBT002 - an action's argument
        """To the next line that tells of an error."""
        self._find(lambda: "" if self.reader.next_error(backwards=backwards) else "no errors")

    def _told(self, what: str, found: tuple[int, int] | None) -> str:
        return f"no {what}" if found is None else f"{what} {found[0]:,}/{found[1]:,}"

    def _find(self, find: Callable[[], str]) -> None:
        self.reader.catch_up()
        self._note = find()
        self._moved(lambda: None)

    def _moved(self, move: Callable[[], None]) -> None:
        self.reader.catch_up()
        move()
        self._redraw()

    # ---------------------------------------------------------------- events

    def on_resize(self) -> None:
        """The place is kept: it is a line."""
        self._fit_text()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three rows up."""
        event.stop()
        event.prevent_default()
        self._moved(lambda: self.reader.scroll(-_WHEEL_ROWS))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three rows down."""
        event.stop()
        event.prevent_default()
        self._moved(lambda: self.reader.scroll(_WHEEL_ROWS))

    def flush(self) -> None:
        """Take in new lines; nothing but the status is drawn while a reader stands elsewhere."""
        reader = self.reader
        fresh = reader.catch_up()
        busy = 0.2 if fresh > _BUSY_LINES else 0.1
        unseen = 0.5 if not self.app.app_focus else 0.0
        self.repaint_seconds = max(busy, unseen)
        if reader.follow:
            self._window = None
            self.refresh()
        elif reader.window() != self._window:
            self._redraw()
        else:
            self.refresh(Region(0, 0, self.size.width, self._head_rows))

    # ---------------------------------------------------------------- drawing

    @property
    def _head_rows(self) -> int:
        return 1 + bool(self.reader.filter or self.reader.minimum > Level.DEBUG)

    def _fit_text(self) -> None:
        self.reader.width = max(1, self.size.width - self.before.cells)
        self.reader.height = max(1, self.size.height - self._head_rows)
        self.drop_drawn()
        self._redraw()

    def _redraw(self) -> None:
        self.reader.catch_up()
        self._window = None
        if self._followed != self.reader.follow:
            self._followed = self.reader.follow
            self.post_message(self.FollowChanged(self, follow=self._followed))
        self.refresh()

    def drop_drawn(self) -> None:
        """Forget strips: theme, filter or what stands before lines has changed."""
        self._kept.clear()
        self._lights.clear()

    def selection_updated(self, selection: Selection | None) -> None:
        """The mouse selects."""
        self._kept.clear()
        super().selection_updated(selection)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Selected text: characters of lines, without stamps, labels and wrapping."""
        reader, picked = self.reader, []
        for index in range(reader.count):
            number = reader.number_at(index)
            span = selection.get_span(number)
            if span is not None and number >= reader.ring.first:
                text = reader.ring[number].text
                picked.append(text[span[0] : len(text) if span[1] < 0 else span[1]])
        return ("\n".join(picked), "\n") if picked else None

    def render_line(self, y: int) -> Strip:
        """Status, filter, then rows of the log."""
        width = self.size.width
        if y < self._head_rows:
            reader = self.reader
            parts = status(reader, reader.ring.account, width, self._note) if y == 0 else chips(reader)
            return self._head(parts, width)
        if self._window is None:
            self._window = self.reader.window()
        place = y - self._head_rows
        if place >= len(self._window):
            said = [] if self._window else wrapped(self._nothing(), max(1, width))
            return self.runs_strip([(said[place], "muted")] if place < len(said) else [], width)
        row = self._window[place]
        if not self.reader.ring.first <= row.number < self.reader.ring.end:
            return self.runs_strip([], width)  # it went after the last flush; the next one moves on
        return self._row(row, width)

    def _nothing(self) -> str:
        return "No line matches." if len(self.reader.ring) else self.empty

    def _head(self, parts: list[tuple[str, str]], width: int) -> Strip:
        segments = [Segment(text, self.ink(tone)) for text, tone in parts]
        return self.lit(Strip(segments), width, self._light("log--head"))

    def _row(self, row: ShownRow, width: int) -> Strip:
        key = (row.number, row.part, self._sideways)
        cursor = row.number == self.reader.cursor
        strip = None if cursor else self._kept.get(key)
        if strip is None:
            strip = self._draw(row, width, cursor=cursor)
            if not cursor:
                self._kept[key] = strip
        return strip

    def _draw(self, row: ShownRow, width: int, *, cursor: bool) -> Strip:
        ring = self.reader.ring
        line = ring[row.number]
        if line.seam:
            text = f"──── {line.text} " if row.part == 0 else line.text[row.start : row.end]
            seam = Strip([Segment(text, self._letters("log--seam"))])
            return self.lit(seam, width, self._light("log--cursor") if cursor else None)
        lit = [(start, end, "log--match") for start, end in spans(line.text, self.reader.filter.words())]
        chosen = self.text_selection.get_span(row.number) if self.text_selection is not None else None
        if chosen is not None:
            lit.append((chosen[0], len(line.text) if chosen[1] < 0 else chosen[1], "selection"))
        pieces = styled(line, row.start, row.end, lit)
        words = Strip([Segment(text, log_style(style) + self._light(light)) for text, style, light in pieces])
        seen = words.crop(self._sideways, self._sideways + width - self.before.cells)
        placed = seen.apply_offsets(row.start + self._sideways, row.number)  # so that the mouse selects characters
        strip = Strip.join([Strip(self._prefix(row, cursor=cursor)), placed])
        return self.lit(strip, width, self._light("log--cursor") if cursor else None)

    def _prefix(self, row: ShownRow, *, cursor: bool) -> list[Segment]:
        ring = self.reader.ring
        if row.part:
            return [Segment(" " * self.before.cells)]
        line = ring[row.number]
        sign, tone = LEVEL_SIGNS.get(ring.level(row.number), (" ", "plain"))
        index = self.reader.index_of(row.number)
        earlier = self.reader.number_at(index - 1) if index else -1
        previous = ring[earlier] if earlier >= ring.first else None
        marked = ">" if cursor else "·" if not self.reader.only and self.reader.is_match(row.number) else " "
        return [
            Segment(marked, self.ink("strong")),
            Segment(sign, self.ink(tone)),
            Segment(f" {self.before.text(line, previous)}", self.ink("muted")),
        ]

    def _light(self, name: str) -> Style:
        if not name:
            return Style.null()
        if name == "selection":
            return self.screen.get_component_rich_style("screen--selection")
        if name not in self._lights:
            self._lights[name] = self.get_component_rich_style(name)
        return self._lights[name]

    def _letters(self, name: str) -> Style:
        whole = self._light(name)
        return Style(color=whole.color, bold=whole.bold)
