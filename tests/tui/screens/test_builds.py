"""The screens of builds, with keys."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from tests.tui.app.coverage import covers
from tests.tui.app.farms import Told, dashboard, dashboard_of, ready, screen_text
from tests.tui.samples import at, identifier, summary
from tests.tui.screens.builds_farm import (
    FAILED,
    NOW,
    QUEUED,
    RUNNING,
    attempt,
    connected,
    failed_build,
    farm,
    stages,
    whole,
)
from tui.app import FarmApp
from tui.screens.builds import BuildsScreen
from tui.screens.builds_detail import BuildScreen
from tui.screens.menus import Menu
from tui.screens.queues_detail import QueueScreen
from tui.state import Ref
from tui.state.events import BuildSeen, BuildsSeen, LogLine, LogSeen, log_of_build

HOSTILE = "\x1b]52;c;aGk=\x07\x1b[2J[/x][red]\u202eevil\x9b31m"


async def builds(pilot: Pilot[None]) -> tuple[FarmApp, BuildsScreen]:
    """The list of builds, drawn."""
    app = await ready(pilot)
    app.open_screen("builds")
    await pilot.pause()
    await ready(pilot)
    screen = app.farm_screen
    assert isinstance(screen, BuildsScreen)
    return app, screen


async def build(pilot: Pilot[None], number: int) -> tuple[FarmApp, BuildScreen]:
    """The screen of one build, drawn."""
    app = await ready(pilot)
    app.go_to(Ref("build", identifier(number)))
    await pilot.pause()
    await ready(pilot)
    screen = app.farm_screen
    assert isinstance(screen, BuildScreen)
    return app, screen


# ---------------------------------------------------------------- the list


async def test_the_newest_build_stands_first_and_all_of_the_demo_are_there() -> None:
    async with dashboard().run_test(size=(80, 24)) as pilot:
        app, screen = await builds(pilot)
        newest = max(app.store.builds.values(), key=lambda row: row.created_at or at(0))
        assert screen.table.cursor is not None
        assert app.store.builds[screen.table.cursor].created_at == newest.created_at
        assert screen.table.total == len(app.store.builds) > 200
        assert f"Builds {screen.table.total:,}" in screen_text(app)


async def test_without_builds_the_list_says_what_to_do_and_with_a_filter_what_it_hides() -> None:
    async with dashboard_of(*connected(), BuildsSeen(at(1), ()), now=NOW).run_test(size=(60, 15)) as pilot:
        app, screen = await builds(pilot)
        assert "No builds yet." in screen_text(app)
        assert screen.cursor_ref() is None
        source = app.source
        assert isinstance(source, Told)
        source.tell(BuildsSeen(at(2), (summary(1),)))
        await ready(pilot)
        screen.table.set_filter("state:failed")
        await ready(pilot)
        assert "Nothing matches state:failed" in screen_text(app)
        await pilot.press("escape")
        await ready(pilot)
        assert "project-1" in screen_text(app)


async def test_a_row_tells_state_project_stage_times_agent_and_reason() -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(150, 24)) as pilot:
        app, _ = await builds(pilot)
        text = screen_text(app)
        [failed] = [line for line in text.splitlines() if "project-1" in line]
        for word in ("✗ Failed", "High", "✓✓✓✗", "Test", "1m30", "40s", "linux-9-1", "2 of 214 tests failed."):
            assert word in failed
        [queued] = [line for line in text.splitlines() if "project-3" in line]
        assert "· Queued" in queued
        assert "The one agent of pool linux is busy." in queued


async def test_a_new_build_and_one_that_is_gone_change_the_list_and_the_cursor_stays() -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(80, 24)) as pilot:
        app, screen = await builds(pilot)
        screen.table.go_to(identifier(RUNNING))
        source = app.source
        assert isinstance(source, Told)
        source.tell(BuildsSeen(at(80), (summary(9).model_copy(update={"created_at": at(70)}),)))
        await ready(pilot)
        assert screen.table.total == 4
        assert screen.table.cursor == identifier(RUNNING)


async def test_what_builds_say_of_themselves_is_shown_and_never_obeyed() -> None:
    evil = summary(1, "Failed").model_copy(update={"project_name": HOSTILE, "reason": HOSTILE, "priority": HOSTILE})
    status = failed_build(project_name=HOSTILE, reason=HOSTILE, warnings=(HOSTILE,), metadata={"[/x]": HOSTILE})
    lines = tuple(LogLine(HOSTILE + "error: [/x]", n, 1.0, HOSTILE, 1) for n in range(1, 4))
    told = (
        *farm(),
        BuildsSeen(at(70), (evil,)),
        BuildSeen(at(71), status),
        LogSeen(log_of_build(identifier(1)), lines),
    )
    async with dashboard_of(*told, now=NOW).run_test(size=(160, 45)) as pilot:
        for opened in (builds(pilot), build(pilot, FAILED)):
            app, screen = await opened
            screen.show_ref(Ref("build", identifier(FAILED)))
            await ready(pilot)
            text = screen_text(app)
            assert "[/x][red]" in text
            assert not [
                one for one in text if one != "\n" and (ord(one) < 32 or 127 <= ord(one) < 160 or one == "\u202e")
            ]
            assert not any(panel.failure for panel in screen.all_panels())


async def test_where_there_is_room_stages_and_log_of_the_build_stand_beside_the_list() -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(160, 45)) as pilot:
        app, screen = await builds(pilot)
        source = app.source
        assert isinstance(source, Told)
        screen.show_ref(Ref("build", identifier(FAILED)))
        await ready(pilot)
        assert "Case12 expected 4, got 5" in screen_text(app)
        screen.watch_anew()
        assert source.interest.builds == {identifier(FAILED)}
        await pilot.press("tab", "tab")
        assert screen.panel is screen.log_panel
        await pilot.resize_terminal(100, 30)
        await ready(pilot)
        assert screen.panel is screen.list_panel
        assert screen.all_panels() == [screen.list_panel]
        assert "Case12" not in screen_text(app)
        screen.watch_anew()
        assert not source.interest.builds


# ---------------------------------------------------------------- one build


@covers("look.details", "move.open")
@pytest.mark.parametrize("key", ["enter", "d"])
async def test_a_failed_build_opens_at_the_stage_that_failed_with_the_first_error_chosen(key: str) -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(80, 24)) as pilot:
        app, screen = await builds(pilot)
        screen.show_ref(Ref("build", identifier(FAILED)))
        await pilot.press(key)
        await pilot.pause()
        await ready(pilot)
        opened = app.farm_screen
        assert isinstance(opened, BuildScreen)
        assert opened.parts.tree.cursor == "stage Test"
        assert len(opened.parts.log.reader.ring) == 30
        assert opened.parts.log.line == "error: Case12 expected 4, got 5"
        text = screen_text(app)
        assert ">E error: Case12 expected 4, got 5" in text
        assert "Test failed" in text
        assert "2 of 214 tests failed." in text


async def test_the_log_is_that_of_the_stage_under_the_cursor() -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(80, 24)) as pilot:
        app, screen = await build(pilot, FAILED)
        await pilot.press("k")
        await ready(pilot)
        assert screen.parts.tree.cursor == "stage Build"
        assert "Log of Build" in screen_text(app)
        assert "Part30.dll" in screen_text(app)
        assert "Passed Part" not in screen_text(app)
        await pilot.press("g")
        await ready(pilot)
        assert len(screen.parts.log.reader.ring) == 60
        source = app.source
        assert isinstance(source, Told)
        source.tell(LogSeen(log_of_build(identifier(FAILED)), (LogLine("one more", 61, 99.0, "Test", 2),)))
        await ready(pilot)
        assert len(screen.parts.log.reader.ring) == 61
        assert screen.parts.tree.cursor == "whole"


async def test_a_running_build_is_followed_from_stage_to_stage_until_the_reader_chooses() -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(80, 24)) as pilot:
        app, screen = await build(pilot, RUNNING)
        source = app.source
        assert isinstance(source, Told)
        assert screen.parts.tree.cursor == "stage Restore"
        rest = ["Pending"] * 3
        source.tell(BuildSeen(at(70), whole(RUNNING, "Running", stages("Succeeded", "Succeeded", "Running", *rest))))
        await ready(pilot)
        assert screen.parts.tree.cursor == "stage Build"
        await pilot.press("up")
        source.tell(
            BuildSeen(
                at(75), whole(RUNNING, "Running", stages("Succeeded", "Succeeded", "Succeeded", "Running", *rest[1:]))
            )
        )
        await ready(pilot)
        assert screen.parts.tree.cursor == "stage Restore"


async def test_the_first_error_is_chosen_when_it_comes_unless_the_reader_has_scrolled() -> None:
    log = log_of_build(identifier(FAILED))
    without_log = [event for event in farm() if not isinstance(event, LogSeen)]
    for scrolled in (False, True):
        async with dashboard_of(*without_log, now=NOW).run_test(size=(80, 24)) as pilot:
            app, screen = await build(pilot, FAILED)
            source = app.source
            assert isinstance(source, Told)
            source.tell(LogSeen(log, tuple(LogLine(f"line {n}", n, 1.0, "Test", 2) for n in range(1, 40))))
            await ready(pilot)
            if scrolled:
                await pilot.press("l", "k", "k")
                await pilot.pause()
            source.tell(LogSeen(log, (LogLine("error: late", 40, 2.0, "Test", 2),)))
            await ready(pilot)
            assert (screen.parts.log.line == "error: late") != scrolled


async def test_a_build_that_nobody_knows_says_so() -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(80, 24)) as pilot:
        app, screen = await build(pilot, 99)
        assert "Nothing is known of a build" in screen_text(app)
        assert not any(panel.failure for panel in screen.all_panels())
        await pilot.press("escape")


async def test_another_store_begins_the_build_anew() -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(80, 24)) as pilot:
        app, screen = await build(pilot, FAILED)
        app._forget(app.known)
        app.draw()
        await pilot.pause()
        assert len(screen.parts.log.reader.ring) == 0
        for event in farm():
            app._take(event, app.known)
        await ready(pilot)
        assert screen.parts.log.line == "error: Case12 expected 4, got 5"


# ---------------------------------------------------------------- keys


@covers("look.logs")
async def test_l_goes_to_the_log_beside_the_stages() -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(80, 24)) as pilot:
        _, screen = await build(pilot, FAILED)
        await pilot.press("l")
        assert screen.panel is screen.log_panel
        await pilot.press("shift+tab", "shift+tab", "enter")
        assert screen.panel is screen.log_panel


async def test_facts_scroll_by_the_keys_of_the_registry() -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(80, 24)) as pilot:
        _, screen = await build(pilot, FAILED)
        await pilot.press("tab")
        assert screen.panel is screen.facts_panel
        places = []
        for key in ("j", "G", "ctrl+u", "ctrl+d", "k", "g"):
            await pilot.press(key)
            await pilot.pause()
            places.append(screen.facts.scroll_offset.y)
        assert places[0] == 1
        assert places[1] == max(places) > 5
        assert places[2] < places[1]
        assert places[3] == places[1]
        assert places[4] == places[3] - 1
        assert places[5] == 0


@covers("look.related")
async def test_one_key_leads_from_a_build_to_what_it_hangs_together_with() -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(80, 24)) as pilot:
        app, screen = await builds(pilot)
        screen.show_ref(Ref("build", identifier(RUNNING)))
        await pilot.press("J")
        await pilot.pause()
        assert isinstance(app.screen, Menu)
        shown = screen_text(app)
        assert "pool linux" in shown
        await pilot.press("escape")
        app.go_to(Ref("pool", "linux"))
        await pilot.pause()
        assert isinstance(app.farm_screen, QueueScreen)


async def test_on_a_job_of_several_the_cursor_is_that_job() -> None:
    several = (attempt(1, "Succeeded"), attempt(1, "Lost").model_copy(update={"job_id": identifier(5000)}))
    told = (*farm(), BuildSeen(at(70), failed_build(attempts=several)))
    async with dashboard_of(*told, now=NOW).run_test(size=(80, 24)) as pilot:
        app, screen = await build(pilot, FAILED)
        await pilot.press("G")
        assert screen.cursor_ref() == Ref("job", identifier(5000))
        await pilot.press("g")
        assert screen.cursor_ref() == Ref("build", identifier(FAILED))
        app.go_to(Ref("job", identifier(5000)))
        await ready(pilot)
        assert screen.build_id == identifier(FAILED)


async def test_a_waiting_build_says_why_on_its_screen() -> None:
    async with dashboard_of(*farm(), now=NOW).run_test(size=(60, 15)) as pilot:
        app, _ = await build(pilot, QUEUED)
        await pilot.press("tab")
        await ready(pilot)
        assert "The one agent of pool linux is busy." in screen_text(app)
        await pilot.press("tab")
        await ready(pilot)
        assert "It has not begun: there is no log yet." in screen_text(app)
