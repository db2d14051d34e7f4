"""What is known of one thing as labelled lines: values from anywhere, wrapped to the width there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from textual.geometry import Size
from textual.strip import Strip

from tui.format import Tone
from tui.safe_text import plain
from tui.widgets.line_view import LineView
from tui.widgets.text_cells import fit, wrapped

LABEL_CELLS = 10
MOST_CHARACTERS = 2_000
"""Of one value; more is told by an ellipsis."""


class Fact(NamedTuple):
    """One line: a label, what is said, and its tone. With `heading` the label stands alone."""

    label: str
    text: str
    tone: Tone = "plain"
    heading: bool = False


def heading(title: str) -> Fact:
    """A line above others."""
    return Fact(title, "", heading=True)


Row = tuple[tuple[str, str], ...]
"""(text, tone) pieces of one row of cells."""


def laid_out(facts: Iterable[Fact], width: int) -> list[Row]:
    """Facts as rows of at most `width` cells: labels to the left, long values wrapped between words."""
    rows: list[Row] = []
    for fact in facts:
        if fact.heading:
            rows.append(((fit(fact.label, width), "head"),))
            continue
        label = fit(fact.label, LABEL_CELLS) if fact.label else ""
        room = max(4, width - len(label) - 1)
        for number, text in enumerate(wrapped(plain(fact.text, limit=MOST_CHARACTERS), room)):
            rows.append(((f"{label if number == 0 else ' ' * len(label)} ", "muted"), (text, fact.tone)))
    return rows


class FactsView(LineView, can_focus=True):
    """Shows facts, and scrolls where there are more than fit."""

    DEFAULT_CSS = """
    FactsView { overflow: hidden auto; scrollbar-size-vertical: 1; padding: 0 0 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.facts: tuple[Fact, ...] = ()
        self._rows: list[Row] = []

    def show(self, facts: Sequence[Fact]) -> None:
        """Show these; drawn with the next repaint."""
        if tuple(facts) != self.facts:
            self.facts = tuple(facts)
            self.soon()

    @property
    def text(self) -> str:
        """All that is said, line by line: for copying."""
        labelled = (f"{fact.label.strip()}: {fact.text}" if fact.label.strip() else fact.text for fact in self.facts)
        said = (plain(text.removesuffix(": "), limit=MOST_CHARACTERS) for text in labelled)
        return "\n".join(said)

    def commands(self) -> Mapping[str, Callable[[], object]]:
        """What commands of the registry do in here."""
        return {
            "move.down": lambda: self._scroll_by(1),
            "move.up": lambda: self._scroll_by(-1),
            "move.page_down": lambda: self._scroll_by(max(1, self.size.height - 1)),
            "move.page_up": lambda: self._scroll_by(-max(1, self.size.height - 1)),
            "move.top": lambda: self._scroll_by(-len(self._rows)),
            "move.bottom": lambda: self._scroll_by(len(self._rows)),
        }

    def _scroll_by(self, rows: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False, immediate=True)

    def flush(self) -> None:
        """Lay out anew, and draw where a word differs."""
        width = self.scrollable_content_region.width
        rows = laid_out(self.facts, width) if width > 0 else []
        self.virtual_size = Size(width, len(rows))
        if rows != self._rows:
            self._rows = rows
            self.refresh()

    def on_resize(self) -> None:
        """Wrap for the new width."""
        self.flush()

    def render_line(self, y: int) -> Strip:
        """One row."""
        at = self.scroll_offset.y + y
        return self.runs_strip(self._rows[at] if at < len(self._rows) else [], self.scrollable_content_region.width)
