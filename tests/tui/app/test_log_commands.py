"""Commands of a log, on a screen with nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.app import ComposeResult
from textual.pilot import Pilot

from tests.tui.app.coverage import covers
from tests.tui.app.farms import dashboard, ready
from tui.panels import Panel
from tui.screens.base import FarmScreen
from tui.widgets.log_pane import LogPane
from tui.widgets.log_ring import LogEntry


class PaneScreen(FarmScreen):
    """A log of 200 lines: an error at 50 and 150, each wider than the screen."""

    name_ = "logs"

    def panels(self) -> ComposeResult:
        self.pane = LogPane()
        self.pane.extend(
            [
                LogEntry(f"{'error: bad' if n % 100 == 50 else 'line'} {n} {'x' * 100}", float(n), "w")
                for n in range(200)
            ]
        )
        yield Panel("Log", self.pane, kind="log", update=lambda _: None)


@asynccontextmanager
async def a_log() -> AsyncIterator[tuple[Pilot[None], LogPane]]:
    async with dashboard().run_test(size=(80, 24)) as pilot:
        app = await ready(pilot)
        screen = PaneScreen()
        app._opened["logs"] = screen
        app.install_screen(screen, "a-log")
        app.open_screen("logs")
        await ready(pilot)
        yield pilot, screen.pane


@covers("log.follow", "move.top", "move.bottom")
async def test_a_log_follows_until_one_goes_up() -> None:
    async with a_log() as (pilot, pane):
        assert pane.reader.follow
        await pilot.press("g")
        assert not pane.reader.follow
        assert pane.line.startswith("line 0 ")
        await pilot.press("f")
        assert pane.reader.follow
        await pilot.press("k", "G")
        assert pane.reader.follow


@covers("log.wrap", "move.left", "move.right")
async def test_long_lines_are_wrapped_or_moved_sideways() -> None:
    async with a_log() as (pilot, pane):
        await pilot.press("right")
        assert pane._sideways > 0
        await pilot.press("left")
        assert pane._sideways == 0
        wrapped = pane.reader.wrap
        await pilot.press("w")
        assert pane.reader.wrap != wrapped


@covers("log.timestamps", "log.labels", "log.level")
async def test_times_names_and_the_least_level_are_chosen() -> None:
    async with a_log() as (pilot, pane):
        before = (pane.before.stamps, pane.before.labels)
        await pilot.press("t", "c")
        assert pane.before.stamps != before[0]
        assert pane.before.labels != before[1]
        await pilot.press("L", "L", "L")
        assert pane.reader.count == 2


@covers("log.previous_error", "log.next_error")
async def test_errors_are_gone_to_one_by_one() -> None:
    async with a_log() as (pilot, pane):
        await pilot.press("[")
        assert "bad 150 " in pane.line
        await pilot.press("[")
        assert "bad 50 " in pane.line
        await pilot.press("]")
        assert "bad 150 " in pane.line


@covers("look.next_match", "look.previous_match", "look.only_matching", "look.filter", "look.copy")
async def test_matches_are_found_alone_and_among_the_rest() -> None:
    async with a_log() as (pilot, pane):
        await pilot.press("/", *"bad", "enter")
        assert pane.reader.count == 2
        await pilot.press("x")
        assert pane.reader.count == 200
        await pilot.press("N")
        assert "bad 150 " in pane.line
        await pilot.press("N", "n")
        assert "bad 150 " in pane.line
        await pilot.press("y")
        assert pilot.app.clipboard == pane.line
        await pilot.press("escape")
        assert not pane.reader.filter
