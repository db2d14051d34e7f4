"""No widget draws anything but letters, whatever text it is given, and none stumbles over it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from rich.cells import cell_len
from textual.widget import Widget

from tests.tui.test_safe_text import HOSTILE
from tests.tui.widgets.apps import OneWidget, settle
from tests.tui.widgets.rows import BuildRow, BuildRows, build_columns
from tui.widgets.chart_cells import Chart, Mark, Panel, Sample
from tui.widgets.log_pane import LogPane
from tui.widgets.log_ring import LogEntry
from tui.widgets.queue_cells import QueueLine
from tui.widgets.queue_strip import QueueStrip
from tui.widgets.stage_bar import StageBar, StageMark
from tui.widgets.time_chart import TimeChart
from tui.widgets.virtual_table import VirtualTable

LONG = "x" * 100_000_000
SIZES = [(60, 15), (80, 24)]
NEVER = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
OWN_OUTPUT = re.compile(r"\x1b\[[\d;]*m")


def filled_table() -> VirtualTable[BuildRow]:
    rows = BuildRows([BuildRow(text, text, text, 1.0, (text, "Failed")) for text in HOSTILE])
    return VirtualTable(rows, build_columns(), empty=HOSTILE[0])


def filled_log() -> LogPane:
    pane = LogPane(empty=HOSTILE[0])
    pane.extend([LogEntry(text, 0.0, text, text) for text in HOSTILE])
    for text in HOSTILE[:3]:
        pane.seam(text)
    pane.action_labels()
    pane.set_filter("a|b|e")
    pane.reader.only = False
    return pane


def filled_queues() -> QueueStrip:
    strip = QueueStrip(empty=HOSTILE[0])
    strip.show([QueueLine(text, 1, 1, state=text) for text in HOSTILE])
    return strip


def filled_stages() -> StageBar:
    bar = StageBar()
    bar.show([StageMark(text, text) for text in HOSTILE])
    return bar


def filled_chart() -> TimeChart:
    chart = TimeChart()
    panels = tuple(Panel(text, line=0, line_name=text) for text in HOSTILE[:4])
    samples = [Sample(float(at), (at, None, 3, 4)) for at in range(20)]
    chart.show(Chart(0, 20, panels, samples, [Mark(float(at), text) for at, text in enumerate(HOSTILE[:15])]))
    return chart


def written(app: OneWidget) -> Iterator[str]:
    """What the compositor would write for the whole screen, line by line, with our own styles taken out."""
    for strip in app.screen._compositor.render_strips():
        yield OWN_OUTPUT.sub("", strip.render(app.console))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [filled_table, filled_log, filled_queues, filled_stages, filled_chart])
async def test_only_letters_and_our_own_styles_are_written(make: type[Widget], size: tuple[int, int]) -> None:
    widget = make()
    app = OneWidget(widget)
    async with app.run_test(size=size) as pilot:
        await settle(pilot, widget)
        seen = 0
        for _ in range(8):
            for line in written(app):
                assert not NEVER.search(line), repr(line)
                seen += bool(line.strip())
            for y in range(widget.size.height):
                strip, width = widget.render_line(y), widget.scrollable_content_region.width
                assert strip.cell_length == cell_len(strip.text) == width
            await pilot.press("pagedown" if make is filled_table else "pageup")
        assert seen


async def test_text_that_looks_like_markup_is_shown_as_it_is() -> None:
    name = "fix/[red]x[/red] [/x]"
    table = VirtualTable(BuildRows([BuildRow("b-1", "Queued", name, None)]), build_columns())
    async with OneWidget(table).run_test(size=(100, 5)) as pilot:
        await pilot.pause()
        assert name in table.render_line(1).text
        table.set_filter("[/x]")
        assert table.shown == 1


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (10, 3)])
@pytest.mark.parametrize("make", [filled_table, filled_log, filled_queues, filled_stages, filled_chart])
async def test_a_screen_of_hardly_any_size_is_no_crash(make: type[Widget], size: tuple[int, int]) -> None:
    widget = make()
    async with OneWidget(widget).run_test(size=size) as pilot:
        await settle(pilot, widget)
        await pilot.press("down", "pagedown", "end", "up", "home")


async def test_a_line_of_a_hundred_megabytes_is_cut_and_counted_everywhere() -> None:
    pane = LogPane()
    pane.extend([LogEntry(LONG, 0.0, LONG, LONG)])
    rows = BuildRows([BuildRow(LONG, LONG, LONG, None, (LONG,))])
    queues, stages = QueueStrip(), StageBar()
    queues.show([QueueLine(LONG, 1, 1, state=LONG)])
    stages.show([StageMark(LONG, LONG)])
    for widget in (pane, VirtualTable(rows, build_columns()), queues, stages):
        async with OneWidget(widget).run_test(size=(80, 6)) as pilot:
            await settle(pilot, widget)
            for y in range(6):
                assert cell_len(widget.render_line(y).text) == 80
    assert pane.reader.ring.account.cut == 1
