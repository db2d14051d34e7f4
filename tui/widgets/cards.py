"""Figures of the whole farm, side by side: a label over a number, or before it where there is one line only."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from tui.widgets.line_view import LineView
from tui.widgets.text_cells import fit


class Cards(LineView):
    """The figures, each in an equal share of the width."""

    DEFAULT_CSS = "Cards { height: 2; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._cards: tuple[tuple[str, str], ...] = ()

    def show(self, cards: Sequence[tuple[str, str]]) -> None:
        """Show these (label, number); drawn where one differs."""
        if tuple(cards) != self._cards:
            self._cards = tuple(cards)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Labels, then numbers; or both in one line."""
        width = self.scrollable_content_region.width
        if not self._cards or width < len(self._cards):
            return self.runs_strip([], width)
        share = width // len(self._cards)
        runs: list[tuple[str, str]] = []
        for label, number in self._cards:
            if self.size.height > 1:
                runs.append((fit(label, share), "muted") if y == 0 else (fit(number, share), "strong"))
            else:
                runs += [(f"{number} ", "strong"), (fit(label, max(0, share - len(number) - 1)), "muted")]
        return self.runs_strip(runs if y < 2 else [], width)  # noqa: PLR2004 - a label and a number
