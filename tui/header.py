"""The first and the last line: where one is, how the servers are and since when, and the keys that work here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len
from textual import events
from textual.message import Message
from textual.strip import Strip

from tui import format as shown
from tui.commands import Command
from tui.state.events import SourceSeen
from tui.widgets.line_view import LineView

Pieces = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HeaderLine:
    """What the header tells."""

    title: str
    tabs: tuple[tuple[str, str, bool], ...]
    """(key, name, whether one is there)."""
    sources: tuple[SourceSeen, ...]
    now: datetime
    words: tuple[str, ...] = ()
    """Such as `RO`, `paused`, `recording`."""
    utf8: bool = True


def badge(seen: SourceSeen, now: datetime, *, utf8: bool = True) -> tuple[str, shown.Tone]:
    """A source as sign, name, word and age: `● producer 1s`, `◔ scaler STALE 42s`."""
    mark = shown.mark(seen.connection, "source")
    word = "" if seen.connection == "connected" else f" {seen.connection.upper()}"
    age = "" if seen.last_ok is None else f" {shown.since(seen.last_ok, now)}"
    return f"{mark.sign(utf8=utf8)} {seen.source}{word}{age}", mark.tone


def header_pieces(line: HeaderLine, width: int) -> Pieces:
    """The header in `width` cells.

    Where there is little room, tabs become digits, then the title goes, then all badges but the worst, then the tabs.
    """
    order = ["down", "stale", "connecting", "connected"]
    worst = sorted(line.sources, key=lambda one: order.index(one.connection))
    badges = [badge(one, line.now, utf8=line.utf8) for one in line.sources]
    short = [badge(one, line.now, utf8=line.utf8) for one in worst[:1]]
    clock: Pieces = [(f"{word} ", "muted") for word in line.words] + [(shown.clock(line.now)[:5], "plain")]
    for tabs, title, some in (
        (_tabs(line, names=True), line.title, badges),
        (_tabs(line, names=False), line.title, badges),
        (_tabs(line, names=False), "", badges),
        (_tabs(line, names=False), "", short),
        ([], "", short),
    ):
        left: Pieces = [*tabs, *([(f" {title} ", "muted")] if title else [])]
        right: Pieces = [piece for one in some for piece in (one, ("  ", "plain"))] + clock
        room = width - 2 - sum(cell_len(text) for text, _ in (*left, *right))
        if room >= 0:
            return [(" ", "plain"), *left, (" " * room, "plain"), *right, (" ", "plain")]
    return [(" ", "plain"), *short]


def _tabs(line: HeaderLine, *, names: bool) -> Pieces:
    pieces: Pieces = []
    for key, name, here in line.tabs:
        text = f"{key} {name}" if names or here else key
        pieces.append((f"[{text}]" if here else f" {text} ", "strong" if here else "muted"))
    return pieces


class Header(LineView):
    """The first line."""

    DEFAULT_CSS = "Header { height: 1; dock: top; background: $panel; }"

    class TabChosen(Message):
        """A tab was clicked; `key` is what opens its screen."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self) -> None:
        super().__init__()
        self._line: HeaderLine | None = None
        self._pieces: Pieces = []

    def show(self, line: HeaderLine) -> None:
        """Show this; drawn only where a letter differs."""
        self._line = line
        pieces = header_pieces(line, self.size.width)
        if pieces != self._pieces:
            self._pieces = pieces
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        """A click on a tab opens its screen."""
        at = 0
        names = {f"{key} {name}": key for key, name, _ in self._line.tabs} if self._line else {}
        for text, _ in self._pieces:
            at += cell_len(text)
            if event.x < at:
                word = text.strip(" []")
                key = names.get(word, word)
                if key in names.values():
                    self.post_message(self.TabChosen(key))
                return

    def on_resize(self) -> None:
        """Lay out for the new width."""
        if self._line is not None:
            self._pieces = header_pieces(self._line, self.size.width)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line."""
        return self.runs_strip(self._pieces if y == 0 else [], self.size.width)


def footer_pieces(keys: Sequence[tuple[str, Command]], width: int) -> Pieces:
    """Keys and what they do, as many as fit; the last one, help, always."""
    pieces: list[Pieces] = [[(f" {key}", "strong"), (f" {command.title.lower()} ", "plain")] for key, command in keys]

    def cells(some: list[Pieces]) -> int:
        return sum(cell_len(text) for one in some for text, _ in one)

    while len(pieces) > 1 and cells(pieces) > width:
        pieces.pop(-2)
    return [piece for one in pieces for piece in one]


class Footer(LineView):
    """The last line."""

    DEFAULT_CSS = "Footer { height: 1; dock: bottom; background: $panel; }"

    def __init__(self) -> None:
        super().__init__()
        self._keys: tuple[tuple[str, Command], ...] = ()

    def show(self, keys: Sequence[tuple[str, Command]]) -> None:
        """Show these keys."""
        if tuple(keys) != self._keys:
            self._keys = tuple(keys)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line."""
        return self.runs_strip(footer_pieces(self._keys, self.size.width) if y == 0 else [], self.size.width)
