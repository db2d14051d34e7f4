"""Depth, unacknowledged and workers over one time axis, with the decisions that moved them."""

from __future__ import annotations

from textual.strip import Strip

from tui.widgets.chart_cells import Chart, Panel, Runs, lay_out
from tui.widgets.line_view import LineView

PANELS = (
    Panel("ready", "waiting"),
    Panel("unacked", "active"),
    Panel("workers", "good", line=3, line_name="wanted"),
)
"""The panels of a pool; a sample's values are (ready, unacked, workers actual, workers wanted)."""


class TimeChart(LineView):
    """Draws a `Chart` at whatever size it gets."""

    def __init__(self, *, utf8: bool = True, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.utf8 = utf8
        self._chart: Chart | None = None
        self._rows: list[Runs] = []

    def show(self, chart: Chart) -> None:
        """Show this chart; drawn with the next repaint."""
        self._chart = chart
        self.soon()

    def flush(self) -> None:
        """Lay out and draw anew where a cell differs."""
        rows = self._laid_out()
        if rows != self._rows:
            self._rows = rows
            self.refresh()

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self._rows = self._laid_out()
        self.refresh()

    def _laid_out(self) -> list[Runs]:
        width, height = self.size
        if self._chart is None or width < 1:
            return []
        return lay_out(self._chart, width, height, ascii_only=not self.utf8)

    def render_line(self, y: int) -> Strip:
        """One row of cells."""
        return self.runs_strip(self._rows[y] if y < len(self._rows) else [], self.size.width)
