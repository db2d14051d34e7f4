"""Repaints stay few: many changes are drawn together, and none later than told."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from tests.tui.widgets.apps import OneWidget
from tui.widgets.line_view import LineView

PURE = (
    "filter_terms",
    "row_order",
    "columns",
    "text_cells",
    "log_ring",
    "log_reader",
    "log_levels",
    "log_cells",
    "chart_cells",
    "queue_cells",
)


class Counted(LineView):
    def __init__(self) -> None:
        super().__init__()
        self.flushes = 0
        self.flushed = asyncio.Event()

    def flush(self) -> None:
        self.flushes += 1
        self.flushed.set()


async def test_a_thousand_changes_are_one_repaint_and_the_next_change_is_another() -> None:
    widget = Counted()
    async with OneWidget(widget).run_test() as pilot:
        for expected in (1, 2):
            for _ in range(1000):
                widget.soon()
            await asyncio.wait_for(widget.flushed.wait(), 60)
            widget.flushed.clear()
            assert widget.flushes == expected
        widget.slow_seconds = 3600.0
        widget.soon()
        await pilot.pause(0.3)
        assert widget.flushes == 2


async def test_a_change_told_before_the_widget_is_there_is_no_crash() -> None:
    Counted().soon()


def test_what_decides_needs_no_textual() -> None:
    names = ", ".join(f"tui.widgets.{name}" for name in PURE)
    code = f"import sys, {names}; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
