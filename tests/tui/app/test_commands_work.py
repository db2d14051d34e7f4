"""Commands that work on every screen, each by its key."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

import tests.tui.app
import tests.tui.screens
from tests.tui.app.coverage import covers
from tests.tui.app.farms import Told, dashboard, ready, screen_text, story
from tests.tui.app.key_table import PAGE, key_table, shown_commands, with_keys
from tui.app import FarmApp
from tui.configuration import Configuration
from tui.recording import opened
from tui.screens.base import FarmScreen
from tui.screens.menus import Menu, Page, Palette, Prompt
from tui.screens.overview import OverviewScreen

WIDE = (160, 45)


async def overview(pilot: Pilot[None]) -> OverviewScreen:
    screen = (await ready(pilot)).screen
    assert isinstance(screen, OverviewScreen)
    return screen


@covers("move.next_panel", "move.previous_panel")
async def test_tab_goes_round_the_panels_and_shift_tab_back() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        screen = await overview(pilot)
        seen = []
        for _ in screen.all_panels():
            seen.append(screen.panel)
            await pilot.press("tab")
        assert len(set(seen)) == 4
        assert screen.panel is seen[0]
        await pilot.press("shift+tab")
        assert screen.panel is seen[-1]
        assert screen.panel is not None
        assert screen.panel.content.has_focus


@covers("move.down", "move.up", "move.top", "move.bottom", "move.page_down", "move.page_up")
async def test_the_cursor_moves_by_row_page_and_to_the_ends() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        screen = await overview(pilot)
        await pilot.press("tab", "tab")
        assert screen.panel is not None
        assert screen.panel.id == "last"
        keys = screen.builds.rows.keys()
        await pilot.press("g")
        assert screen.builds.cursor == keys[0]
        await pilot.press("j", "down", "k")
        assert screen.builds.cursor == keys[1]
        await pilot.press("G")
        assert screen.builds.cursor == keys[-1]
        await pilot.press("ctrl+u")
        assert screen.builds.cursor != keys[-1]
        await pilot.press("ctrl+d")
        assert screen.builds.cursor == keys[-1]


@covers("look.filter", "move.back")
async def test_a_filter_counts_as_it_is_typed_and_escape_takes_it_away() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        screen = await overview(pilot)
        await pilot.press("tab", "tab", "/", *"state:succeeded")
        assert isinstance(pilot.app.screen, Prompt)
        assert 0 < screen.builds.shown < screen.builds.total
        await pilot.press("enter")
        assert pilot.app.screen is screen
        assert str(screen.builds.filter) == "state:succeeded"
        await pilot.press("/", *" nonsense", "escape")
        assert str(screen.builds.filter) == "state:succeeded"
        await pilot.press("escape")
        assert screen.builds.shown == screen.builds.total


@covers("table.sort", "table.columns")
async def test_sort_and_columns_are_chosen_from_lists_and_kept(tmp_path: Path) -> None:
    configuration = Configuration(tables_file=tmp_path / "buildyard" / "tui-tables.json")
    async with dashboard(configuration=configuration).run_test(size=WIDE) as pilot:
        screen = await overview(pilot)
        await pilot.press("tab", "tab", "s")
        assert isinstance(pilot.app.screen, Menu)
        await pilot.press("down", "enter")
        await pilot.pause()
        assert screen.builds.chosen.sort == "build"
        await pilot.press("o", "enter")
        await pilot.pause()
        assert "state" not in screen.builds.chosen.shown
    kept = json.loads((tmp_path / "buildyard" / "tui-tables.json").read_text())
    assert kept["overview.last-builds"]["sort"] == "build"


@covers("table.mark", "table.mark_all")
async def test_rows_are_marked_one_by_one_or_all() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        screen = await overview(pilot)
        await pilot.press("tab", "tab", "g", "space")
        assert screen.builds.marked == {screen.builds.rows.keys()[0]}
        await pilot.press("*")
        assert not screen.builds.marked
        await pilot.press("*")
        assert screen.builds.marked == set(screen.builds.rows.keys())


@covers("look.copy", "look.copy_json")
async def test_a_row_is_copied_as_text_or_json() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        screen = await overview(pilot)
        await pilot.press("tab", "tab", "g", "y")
        assert pilot.app.clipboard.split("\t")[0].endswith("Running")
        await pilot.press("Y")
        assert json.loads(pilot.app.clipboard)["id"] == screen.builds.cursor


@covers("look.zoom")
async def test_zoom_gives_a_panel_the_screen_and_escape_takes_it_back() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        screen = await overview(pilot)
        await pilot.press("z")
        assert [panel.id for panel in screen.all_panels() if panel.region.height] == ["attention"]
        await pilot.press("escape")
        assert all(panel.region.height for panel in screen.all_panels())


@covers("look.pause")
async def test_a_held_display_goes_on_with_all_that_came_meanwhile() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        app = await ready(pilot)
        await pilot.press("p")
        assert app.paused
        assert "paused" in screen_text(app)
        await pilot.press("p")
        assert not app.paused


@covers("look.related", "look.details", "look.logs", "move.open")
async def test_one_key_leads_from_a_build_to_what_hangs_together_with_it() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        app = await ready(pilot)
        await pilot.press("tab", "tab", "g", "J")
        assert isinstance(app.screen, (Menu, OverviewScreen))
        if isinstance(app.screen, Menu):
            await pilot.press("escape")
        for key, kinds in (("enter", {"build", "builds"}), ("d", {"build", "builds"}), ("l", {"logs"})):
            wanted = kinds & set(app.there)
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(app.screen, FarmScreen)
            assert app.screen.name_ in (wanted or {"overview"})
            if app.screen.name_ != "overview":
                await pilot.press("1")
                await pilot.pause()


@covers("go.palette")
async def test_the_palette_jumps_and_runs_commands() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        app = await ready(pilot)
        await pilot.press(":")
        assert isinstance(app.screen, Palette)
        await pilot.press(*"zoom", "enter")
        await pilot.pause()
        assert isinstance(app.screen, OverviewScreen)
        assert app.screen.zoomed
        await pilot.press("ctrl+p", *"linux")
        assert app.screen.query_one(OptionList).option_count > 0
        await pilot.press("escape")
        assert isinstance(app.screen, OverviewScreen)


@covers("app.help")
async def test_help_lists_exactly_what_works_here() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        app = await ready(pilot)
        offered = {command.title for _, command in app.offered()}
        await pilot.press("?")
        assert isinstance(app.screen, Page)
        text = screen_text(app)
        assert "Screens" in text
        assert "Cancel build" not in offered
        await pilot.press("escape")
        assert isinstance(app.screen, OverviewScreen)


@covers("app.reconnect")
async def test_a_key_asks_the_servers_at_once() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        app = await ready(pilot)
        await pilot.press("R")
        assert isinstance(app.source, Told)
        assert app.source.retries == 1


@covers("app.mouse")
async def test_the_mouse_is_given_to_the_terminal_and_taken_back() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        app = await ready(pilot)
        await pilot.press("m")
        assert app.mouse_freed
        await pilot.press("m")
        assert not app.mouse_freed


@covers("app.theme", "app.keys")
async def test_themes_and_keys_are_found_by_name() -> None:
    async with dashboard(configuration=Configuration(keys={"look.zoom": "y"})).run_test(size=WIDE) as pilot:
        app = await ready(pilot)
        await pilot.press(":", *"app.theme", "enter", "down", "enter")
        await pilot.pause()
        assert app.theme == "light"
        await pilot.press(":", *"app.keys", "enter")
        await pilot.pause()
        assert "now means 'Zoom'" in screen_text(app)


@covers("app.quit")
async def test_q_ends_the_dashboard_and_escape_does_not() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        app = await ready(pilot)
        await pilot.press("escape", "escape")
        assert app.is_running
        await pilot.press("q")
        await pilot.pause()
        assert not app._running or app._exit


@covers("time.record")
async def test_what_happens_is_recorded_and_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with dashboard().run_test(size=WIDE) as pilot:
        app = await ready(pilot)
        await pilot.press("r")
        assert isinstance(app.source, Told)
        app.source.tell(*story(41)[0][-20:])
        await ready(pilot)
        await pilot.press("r")
    (file,) = tmp_path.glob("*.farm")
    assert file.stat().st_mode & 0o077 == 0
    assert list(opened(file).since(0))


@covers("time.back", "time.forward")
async def test_a_recording_is_moved_in_by_ten_seconds(tmp_path: Path) -> None:
    from tui.recording import Recorder
    from tui.source.demo.source import START
    from tui.source.replay import Replay

    path = tmp_path / "a.farm"
    with path.open("wb") as file, Recorder(file, START) as recorder:
        for event in story()[0]:
            recorder.add(event, getattr(event, "at", START))
    replay = await Replay.of(path)
    replay.pause(paused=True)
    async with FarmApp(replay).run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press(">", ">")
        assert round((replay.now() - START).total_seconds()) == 20
        await pilot.press("<")
        assert round((replay.now() - START).total_seconds()) == 10
        assert replay.generation == 1


@covers(*(f"go.{name}" for name in ("overview", "builds", "queues", "agents", "scaler", "logs")))
async def test_digits_open_the_screens_that_there_are_and_escape_goes_back() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        app = await ready(pilot)
        for key, name in enumerate(("overview", "builds", "queues", "agents", "scaler", "logs"), 1):
            await pilot.press(str(key))
            await ready(pilot)
            assert app.farm_screen is not None
            if name in app.there:
                assert app.farm_screen.name_ == name
            assert f"{key} {name.title()}" in screen_text(app) or name not in app.there
        if app.farm_screen is not None and app.farm_screen.name_ != "overview":
            await pilot.press("escape")
            await pilot.pause()
            assert app.farm_screen is not None


async def test_a_key_of_the_users_own_works_and_a_typed_letter_is_no_command() -> None:
    async with dashboard(configuration=Configuration(keys={"look.zoom": "f2"})).run_test(size=WIDE) as pilot:
        screen = await overview(pilot)
        await pilot.press("z")
        assert not screen.zoomed
        await pilot.press("f2")
        assert screen.zoomed
        await pilot.press("/", "q")
        assert pilot.app.screen.query_one(Input).value == "q"


async def test_every_command_that_is_shown_has_a_pilot_test_and_stands_in_the_table_of_keys() -> None:
    covered: set[str] = set()
    for package in (tests.tui.app, tests.tui.screens):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.name.rpartition(".")[2].startswith("test_"):
                for test in vars(importlib.import_module(module.name)).values():
                    covered |= set(getattr(test, "covers", ()))
    shown = await shown_commands()
    assert shown
    assert shown - covered == set()
    assert with_keys(PAGE.read_text(), key_table(shown)) == PAGE.read_text(), "run: python -m tests.tui.app.key_table"
