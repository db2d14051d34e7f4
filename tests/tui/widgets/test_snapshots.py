"""What the widgets look like. `pytest tests/tui/widgets/test_snapshots.py --snapshot-update` accepts a new look."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget

from tests.tui.widgets.rows import build_columns, some_builds
from tui.widgets.chart_cells import Chart, Mark, Sample
from tui.widgets.columns import Layout
from tui.widgets.line_view import LineView
from tui.widgets.log_pane import LogPane
from tui.widgets.log_ring import LogEntry
from tui.widgets.queue_cells import QueueLine
from tui.widgets.queue_strip import QueueStrip
from tui.widgets.stage_bar import StageBar, StageMark
from tui.widgets.time_chart import PANELS, TimeChart
from tui.widgets.virtual_table import VirtualTable

SIZES = [(60, 15), (80, 24), (160, 45)]
LOOKS = ["textual-dark", "textual-light", "no-colour"]
Compare = Callable[..., bool]


class Board(App[None]):
    """One widget of each kind, without anything that moves by itself."""

    CSS = """
    QueueStrip { height: 3; }
    TimeChart { height: 25%; }
    VirtualTable { height: 1fr; }
    LogPane { height: 1fr; }
    """

    def __init__(self, look: str) -> None:
        super().__init__()
        self.look = look

    def compose(self) -> ComposeResult:
        self.table = VirtualTable(some_builds(200), build_columns(), layout=Layout(sort="wait", descending=True))
        self.log_pane = LogPane()
        self.queues, self.stages, self.chart = QueueStrip(), StageBar(), TimeChart()
        yield from (self.queues, self.stages, self.chart, self.table, self.log_pane)

    def on_mount(self) -> None:
        if self.look != "no-colour":
            self.theme = self.look
        history = [(n % 17, n % 5) for n in range(60)]
        self.queues.show(
            [
                QueueLine("linux", 412, 25, 3.4, 2.9, 242.0, 25, history=[*history, None, (None, 2)]),
                QueueLine("windows", None, 0, None, None, None, 2, "stale 42s", "warning"),
            ]
        )
        stages = [("Fetch", "Succeeded", 1.2), ("Restore", "Succeeded", 14.0), ("Build", "Failed", 65.0)]
        self.stages.show(
            [*(StageMark(*one) for one in stages), StageMark("Test", "Skipped"), StageMark("Publish", "Skipped")]
        )
        samples = [Sample(t, (t // 40 % 60, t // 100 % 20, t // 500, t // 400 + 1)) for t in range(300, 3500, 30)]
        samples += [Sample(3550, (None, None, 7, 9))]
        marks = [Mark(900, "⇈", "active"), Mark(1800, "↥", "warning"), Mark(2700, "↓", "active")]
        self.chart.show(Chart(0, 3600, PANELS, samples, marks, every=30))
        log = [LogEntry(f"step {n} \x1b[32mok\x1b[0m of lib/[x]", n * 0.25, "linux-7c9f") for n in range(40)]
        log[31:33] = [LogEntry("Program.cs(3,1): error CS1002: ; expected", 7.75), LogEntry("warn: slow disk", 8.0)]
        self.log_pane.extend(log)
        self.log_pane.seam("agent restarted, 14 lines are missing", missing=14)
        self.log_pane.action_stamps()
        self.log_pane.action_labels()


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have asked for none."""
    monkeypatch.delenv("NO_COLOR", raising=False)


async def prepared(pilot: Pilot[None]) -> None:
    """Mark, filter and find something; then have every widget draw what it was told."""
    app = pilot.app
    assert isinstance(app, Board)
    await pilot.pause()
    app.table.focus()
    app.table.action_scroll_home()
    app.table.action_mark()
    app.log_pane.set_filter("step !ok|fine")
    app.log_pane.set_filter("error|slow")
    app.log_pane.reader.only = True
    app.log_pane.action_only()
    app.log_pane.action_next_match()
    for widget in app.screen.children:
        if isinstance(widget, LineView):
            widget.flush()
    await pilot.pause()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_all_widgets_on_one_screen(
    snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], look: str
) -> None:
    if look == "no-colour":
        monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(Board(look), terminal_size=size, run_before=prepared)


@pytest.mark.parametrize("widget", [VirtualTable, LogPane, QueueStrip])
def test_widgets_with_nothing_to_show(snap_compare: Compare, widget: type[Widget]) -> None:
    class Empty(App[None]):
        def compose(self) -> ComposeResult:
            if widget is VirtualTable:
                yield VirtualTable(some_builds(0), build_columns(), empty="No builds yet. buildyard submit sends one.")
            else:
                yield widget()

    assert snap_compare(Empty(), terminal_size=(60, 15))
