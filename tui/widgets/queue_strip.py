"""The queues at a glance: one line each, the worst first, with what they held lately where there is room."""

from __future__ import annotations

from collections.abc import Iterable

from textual.strip import Strip

from tui.format import Tone
from tui.widgets.line_view import LineView
from tui.widgets.queue_cells import QueueLine, queue_rows, worst_first


class QueueStrip(LineView):
    """Draws as many queues as fit; the last line then tells how many more there are."""

    DEFAULT_CSS = "QueueStrip { height: 4; }"

    def __init__(
        self,
        *,
        empty: str = "No queues yet.",
        utf8: bool = True,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self.empty = empty
        self.utf8 = utf8
        self._queues: list[QueueLine] = []
        self._rows: list[list[tuple[str, Tone]]] = []

    def show(self, queues: Iterable[QueueLine]) -> None:
        """Show these queues; drawn with the next repaint."""
        self._queues = worst_first(queues)
        self.soon()

    def flush(self) -> None:
        """Lay out and draw anew where a word or a bar differs."""
        rows = self._laid_out()
        before, self._rows = self._rows, rows
        self.refresh_differing(before, rows)

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self._rows = self._laid_out()
        self.refresh()

    def _laid_out(self) -> list[list[tuple[str, Tone]]]:
        width, height = self.size
        tall = 2 * len(self._queues) <= height
        each = [queue_rows(queue, width, tall=tall, utf8=self.utf8) for queue in self._queues]
        rows = [row for one in each for row in one]
        if not rows:
            return [[(self.empty, "muted")]]
        if len(rows) > height:
            rows = [*rows[: max(0, height - 1)], [(f"and {len(rows) - height + 1} more queues", "muted")]]
        return rows

    def render_line(self, y: int) -> Strip:
        """One line."""
        return self.runs_strip(self._rows[y] if y < len(self._rows) else [], self.size.width)
