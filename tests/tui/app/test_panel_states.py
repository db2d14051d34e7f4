from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from textual.pilot import Pilot
from textual.strip import Strip

from tests.tui.app.coverage import covers
from tests.tui.app.farms import Told, dashboard, dashboard_of, ready, screen_text, seen, story, toasts
from tui.app import FarmApp
from tui.panels import Panel, panel_state
from tui.screens.overview import OverviewScreen
from tui.source.demo.source import START
from tui.state.events import BuildsSeen, SourceName


async def test_before_anything_came_a_panel_says_that_it_loads() -> None:
    async with dashboard_of(seen("producer", "connecting", START, silent=None)).run_test() as pilot:
        text = screen_text(await ready(pilot))
        assert "loading … 0s" in text
        assert "No builds yet" not in text


async def test_a_list_that_was_read_and_is_empty_says_what_to_do_next() -> None:
    async with dashboard_of(seen("producer", "connected", START), BuildsSeen(START, ())).run_test() as pilot:
        assert "No builds yet. `buildyard submit` sends one." in screen_text(await ready(pilot))


async def test_a_producer_that_never_answered_is_shown_with_its_address_and_a_remedy() -> None:
    event = seen("producer", "down", START, silent=None, retry=2.0)
    async with dashboard_of(event).run_test(size=(120, 40)) as pilot:
        text = screen_text(await ready(pilot))
        assert "nobody listens there" in text
        assert "Asked: http://127.0.0.1:8000" in text
        assert "buildyard local" in text
        assert "again in 2s, R now" in text


async def test_stale_data_stay_and_are_dimmed_with_their_age() -> None:
    now = story()[1]
    async with dashboard(seen("producer", "stale", now, silent=42.0)).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        text = screen_text(app)
        assert "STALE 42s" in text
        assert "linux" in text
        assert app.screen.query_one("#queues", Panel).has_class("-dim")


async def test_data_of_a_server_that_is_down_stay_with_cause_and_countdown() -> None:
    now = story()[1]
    async with dashboard(seen("producer", "down", now, silent=125.0, retry=3.0)).run_test(size=(160, 45)) as pilot:
        text = screen_text(await ready(pilot))
        assert "DOWN 2m05 · again in 3s, R now · The producer at" in text
        assert "✗ producer DOWN 2m05" in text
        assert "unacked" in text


async def test_a_panel_that_fails_says_so_alone_and_can_be_tried_again() -> None:
    async with dashboard().run_test(size=(160, 45)) as pilot:
        app = await ready(pilot)
        screen = app.screen
        assert isinstance(screen, OverviewScreen)
        panel = screen.query_one("#work", Panel)
        well = panel._update

        def broken(_: object) -> None:
            raise ValueError("[/x] is no number")

        panel._update = broken
        screen.refresh_changed(None)
        await pilot.pause()
        text = screen_text(app)
        assert "This panel failed: ValueError: [/x] is no number" in text
        assert "unacked" in text
        panel._update = well
        await pilot.press("R")
        await ready(pilot)
        assert "This panel failed" not in screen_text(app)


@covers("app.report")
async def test_a_widget_that_cannot_draw_is_a_state_of_its_panel_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with dashboard().run_test(size=(160, 45)) as pilot:
        app = await ready(pilot)
        screen = app.screen
        assert isinstance(screen, OverviewScreen)

        def broken(_: int) -> Strip:
            raise KeyError("[/x]\x1b[2J")

        with monkeypatch.context() as patch:
            patch.setattr(screen.work, "render_line", broken)
            screen.work.refresh()
            await pilot.pause()
            await ready(pilot)
            text = screen_text(app)
            assert "FAILED" in text
            assert "This panel failed: KeyError: '[/x]" in text
            assert "unacked" in text, "the others go on"
            await pilot.press(":", *"app.report", "enter")
            await pilot.pause()
            report = screen_text(app)
            assert "Buildyard" in report
            assert "the panel Workers and scaler" in report
            assert "Traceback" in report
            await pilot.press("y")
            assert "KeyError" in app.clipboard
            assert "\x1b" not in app.clipboard
            await pilot.press("escape", "R")
            await ready(pilot)
            assert "This panel failed" in screen_text(app), "it was tried again"
        await pilot.press("R")
        await ready(pilot)
        assert "This panel failed" not in screen_text(app)
        assert len(app.faults) == 1


async def test_a_widget_whose_repaint_fails_and_a_command_that_fails_end_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no")

    async with dashboard().run_test(size=(160, 45)) as pilot:
        app = await ready(pilot)
        screen = app.screen
        assert isinstance(screen, OverviewScreen)
        monkeypatch.setattr(screen.queues, "flush", broken)
        screen.queues._flush_now()
        await ready_but_flushed(pilot)
        assert "This panel failed: ValueError: no" in screen_text(app)
        monkeypatch.setattr(app, "do_look_pause", broken)
        await pilot.press("p")
        await pilot.pause()
        assert "Pause display failed: ValueError: no" in toasts(app)
        assert app.is_running


async def ready_but_flushed(pilot: Pilot[None]) -> None:
    """Until what was posted is drawn, without flushing widgets from here."""
    for _ in range(3):
        await pilot.pause()


async def test_an_event_that_cannot_be_taken_in_does_not_end_the_dashboard() -> None:
    async with dashboard().run_test() as pilot:
        app = await ready(pilot)
        assert isinstance(app.source, Told)
        app.source.tell(replace(seen("producer", "connected", START), at="no time"))  # type: ignore[arg-type]
        app.source.tell(seen("scaler", "stale", story()[1] + timedelta(seconds=1), silent=9.0))
        await ready(pilot)
        assert "scaler STALE" in screen_text(app)


async def test_hostile_names_are_drawn_as_text() -> None:
    events, now = story()
    builds = next(event for event in reversed(events) if isinstance(event, BuildsSeen))
    evil = builds.builds[0].model_copy(update={"project_name": "[/x]\x1b]52;c;AAAA\x07 \u202eevil[red]"})
    app = FarmApp(Told((*events, BuildsSeen(now, (evil, *builds.builds[1:]))), now))
    async with app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        text = screen_text(app)
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_a_source_not_heard_of_yet_is_loading_and_the_worst_one_counts() -> None:
    well, stale = seen("producer", "connected", START), seen("scaler", "stale", START, silent=4.0)
    only: tuple[SourceName, ...] = ("producer",)
    assert panel_state(only, {}, START).condition == "loading"
    assert panel_state(only, {"producer": well}, START).condition == "well"
    both = panel_state(("producer", "scaler"), {"producer": well, "scaler": stale}, START)
    assert (both.condition, both.word) == ("stale", "STALE 4s")


async def test_a_screen_that_has_no_panels_yet_is_left_alone_by_the_timers() -> None:
    async with dashboard().run_test(size=(160, 45)) as pilot:
        app = await ready(pilot)
        for name in ("scaler", "builds", "queues", "agents", "logs"):
            app.open_screen(name)
            assert app.farm_screen is not None
            assert not app.farm_screen.is_mounted, "the moment that this is about"
            app.tell_time()
            app.draw()
            await ready(pilot)
        assert len(app.faults) == 0
