"""What is taken out of the dashboard: into a pager, into files, and the past that can be gone back to."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TypeGuard

import pytest
from textual.pilot import Pilot

from buildyard.clock import SystemClock
from buildyard.errors import InvalidSettings
from tests.tui.app.coverage import covers
from tests.tui.app.farms import Told, dashboard, ready, screen_text, story, toasts, words
from tests.tui.app.test_log_commands import a_log
from tui.app import FarmApp
from tui.exporting import Exported, pager_command, written
from tui.recording import opened
from tui.screens.menus import Menu, Page
from tui.source import Source
from tui.source import replay as replaying
from tui.source.replay import Replay
from tui.state.events import DecisionsSeen
from tui.widgets.log_ring import LogEntry

WIDE = (160, 45)
PATIENCE = 90.0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class StillClock(SystemClock):
    """A tape under it stays where it is put, however long the machine takes."""

    def monotonic(self) -> float:
        return 0.0


async def the_only_file(pilot: Pilot[None], folder: Path, pattern: str) -> Path:
    await pilot.pause()
    (file,) = folder.glob(pattern)
    assert file.stat().st_mode & 0o077 == 0
    assert str(file) in toasts(pilot.app)  # type: ignore[arg-type]
    return file


@covers("look.save")
async def test_a_log_is_saved_as_a_whole_or_as_the_filter_shows_it(folder: Path) -> None:
    async with a_log() as (pilot, _):
        await pilot.press("S")
        file = await the_only_file(pilot, folder, "*.log")
        assert len(file.read_text().splitlines()) == 200
        file.unlink()
        await pilot.press("/", *"bad", "enter", "S")
        assert isinstance(pilot.app.screen, Menu)
        assert "what the filter shows: 2 lines" in words(pilot.app)  # type: ignore[arg-type]
        await pilot.press("enter")
        file = await the_only_file(pilot, folder, "*.log")
        assert [line.split()[2] for line in file.read_text().splitlines()] == ["50", "150"]


async def test_what_is_known_of_a_build_is_saved_as_json(folder: Path) -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        await ready(pilot)
        await pilot.press("tab", "tab", "g", "S")
        file = await the_only_file(pilot, folder, "*.json")
        assert json.loads(file.read_text())["id"] in file.name


def test_a_name_of_a_file_is_one_whatever_it_is_made_of(folder: Path) -> None:
    path = written(folder, Exported("../../etc/x [/red] " + "y" * 300, ".log", "", ""), "text", "now")
    assert path.parent == folder
    assert path.read_text() == "text\n"
    with pytest.raises(FileExistsError):
        written(folder, Exported("../../etc/x [/red] " + "y" * 300, ".log", "", ""), "text", "now")


async def test_where_nothing_can_be_written_a_sentence_says_so(folder: Path) -> None:
    (folder / "gone").mkdir()
    async with a_log() as (pilot, _):
        assert isinstance(pilot.app, FarmApp)
        pilot.app.stamp = lambda: "no/such/folder"  # type: ignore[method-assign]
        await pilot.press("S")
        await pilot.pause()
        assert "cannot be saved here: No such file or directory" in toasts(pilot.app)


@covers("look.pager")
async def test_without_a_terminal_to_give_away_a_pager_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAGER", "head -n 1")
    async with a_log() as (pilot, _):
        await pilot.press("ctrl+o")
        async with asyncio.timeout(PATIENCE):
            while "There is no terminal here to give to a pager" not in toasts(pilot.app):  # type: ignore[arg-type]
                await pilot.pause(0.02)


def test_the_pager_is_the_users_own() -> None:
    assert pager_command({"PAGER": "head -n 1"}) == ["head", "-n", "1"]
    assert pager_command({"PAGER": "head", "BUILDYARD_PAGER": "tail -f"}) == ["tail", "-f"]


@covers("log.expand")
async def test_a_line_is_shown_whole_in_a_window() -> None:
    async with a_log() as (pilot, pane):
        pane.extend([LogEntry('{"level": "info", "text": "[/red] \\u001b[2J"}', 300.0, "w")])
        pane.flush()
        await pilot.press("G", "e")
        assert isinstance(pilot.app.screen, Page)
        assert '"level": "info",' in words(pilot.app)  # type: ignore[arg-type]
        assert "[/red]" in words(pilot.app)  # type: ignore[arg-type]
        await pilot.press("y", "escape")
        assert json.loads(pilot.app.clipboard)["level"] == "info"


# ---------------------------------------------------------------- the past


@covers("time.save")
async def test_an_incident_is_saved_and_opened_elsewhere(folder: Path) -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        app = await ready(pilot)
        await pilot.press("W")
        file = await the_only_file(pilot, folder, "*.farm")
        known = {row.id: row.status for row in app.store.builds.values() if row.status == "Running"}
    replay = Replay(opened(file))
    replay.seek(replay.span[1])
    elsewhere = FarmApp(replay)
    async with elsewhere.run_test(size=WIDE) as pilot, asyncio.timeout(PATIENCE):
        while not known.items() <= {row.id: row.status for row in elsewhere.store.builds.values()}.items():
            await pilot.pause(0.02)
        elsewhere.tell_time()
        await pilot.pause()
        assert "replay" in screen_text(elsewhere)


@covers("time.back", "time.forward", "time.live")
async def test_one_looks_back_while_the_farm_goes_on_and_comes_back_to_what_is_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replaying, "SystemClock", StillClock)
    async with dashboard(seconds=20).run_test(size=WIDE) as pilot, asyncio.timeout(4 * PATIENCE):
        app = await ready(pilot)
        live = app.source
        assert isinstance(live, Told)
        for second in range(21, 41):
            live._now, taken = story(second)[1], live.taken
            live.tell(*story(second)[0][len(story(second - 1)[0]) :])
            while live.taken == taken:
                await pilot.pause(0.01)
        newest = max(app.store.decisions)

        await pilot.press("<")
        assert isinstance(app.source, Replay)
        assert app.looks_back
        while not app.store.decisions or max(app.store.decisions) < newest // 2:
            await pilot.pause(0.02)
        assert max(app.store.decisions) < newest
        assert (live.now() - app.source.now()).total_seconds() == pytest.approx(10)
        app.tell_time()
        assert "past" in screen_text(app)
        assert not app.acting.allowed
        assert "V shows what is now" in app.acting.why_not()

        await pilot.press("<")
        assert (live.now() - app.source.now()).total_seconds() == pytest.approx(20)
        await pilot.press(">")
        live._now = story(45)[1]
        live.tell(*story(45)[0][len(story(40)[0]) :])
        while not live.all_taken:
            await pilot.pause(0.02)
        assert max(app.store.decisions, default=0) <= newest

        await pilot.press("V")
        assert app.source is live
        assert not app.looks_back
        assert max(app.store.decisions) > newest
        app.tell_time()
        await pilot.pause()
        assert "past" not in screen_text(app)


async def test_back_to_live_in_a_recording_is_its_end(folder: Path) -> None:
    replay = await recorded(folder)
    async with FarmApp(replay).run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press("V")
        assert replay.now() == replay.span[1]
        assert "end of the recording" in toasts(pilot.app)  # type: ignore[arg-type]


async def recorded(folder: Path) -> Replay:
    """A recording of what the demo told, which stands still at its beginning."""
    async with dashboard().run_test(size=WIDE) as pilot:
        await ready(pilot)
        await pilot.press("W")
        file = await the_only_file(pilot, folder, "*.farm")
    replay = Replay(opened(file))
    replay.pause(paused=True)
    return replay


@covers("time.live")
async def test_from_a_recording_one_comes_to_the_farm_as_it_is_now(folder: Path) -> None:
    events, now = story(41)
    farm = Told(events, now)
    app = FarmApp(await recorded(folder), live=lambda: farm)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        app.tell_time()
        await pilot.pause()
        assert "replay 0s/" in screen_text(app)
        assert not app.black_box
        await pilot.press("V")
        await ready(pilot)
        assert app.source is app.present is farm
        assert "replay" not in screen_text(app)
        assert "as it is now" in toasts(app)
        assert max(app.store.decisions) == max(event.decisions[-1].number for event in events if has_decisions(event))
        await pilot.press("<")
        assert app.looks_back, "its last minutes are kept like those of any farm"


def has_decisions(event: object) -> TypeGuard[DecisionsSeen]:
    return isinstance(event, DecisionsSeen) and bool(event.decisions)


async def test_a_farm_that_cannot_be_named_leaves_the_recording_on_the_screen(folder: Path) -> None:
    def nowhere() -> Source:
        raise InvalidSettings("'ftp://x' is not an address of an API.", remedy="Give another one.")

    replay = await recorded(folder)
    app = FarmApp(replay, live=nowhere)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press("V")
        await pilot.pause()
        assert app.source is replay
        assert "'ftp://x' is not an address of an API. Give another one." in toasts(app)


@covers("time.far_back", "time.far_forward", "look.pause")
async def test_a_tape_is_held_and_moved_in_by_five_minutes_and_ends_where_it_ends(folder: Path) -> None:
    replay = await recorded(folder)
    first, last = replay.span
    app = FarmApp(replay)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press("}")
        assert replay.now() == last
        await pilot.press("{")
        assert replay.now() == first
        await pilot.press("p")
        assert not replay.paused
        await pilot.press("p")
        assert replay.paused
        assert not app.paused
        app.tell_time()
        await pilot.pause()
        assert "paused" in screen_text(app)
