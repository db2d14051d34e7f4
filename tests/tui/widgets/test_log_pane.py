"""The log pane follows until somebody scrolls, and says what it does not show."""

from __future__ import annotations

from textual.geometry import Offset
from textual.selection import Selection

from tests.tui.widgets.apps import OneWidget, lines, settle
from tui.widgets.log_levels import Level
from tui.widgets.log_pane import LogPane
from tui.widgets.log_ring import LogEntry, LogRing


def some_lines(first: int, count: int) -> list[LogEntry]:
    words = ("restoring", "error CS1002: ; expected", "warning CS0168: never used", "Build succeeded.")
    return [
        LogEntry(f"{n} {words[n % 4]}", 1_000.0 + n / 8, f"linux-{n % 2}", "Build") for n in range(first, first + count)
    ]


async def test_it_follows_stops_on_scroll_tells_what_is_new_and_follows_again() -> None:
    pane = LogPane()
    app = OneWidget(pane)
    async with app.run_test(size=(80, 12)) as pilot:
        assert lines(pane)[1] == "No lines yet."
        pane.extend(some_lines(0, 100))
        await settle(pilot, pane)
        assert lines(pane)[0] == "▾ follow  100 lines  dropped 0  cut 0  sanitised 0"
        assert lines(pane)[-1].endswith("99 Build succeeded.")
        await pilot.press("pageup")
        shown = lines(pane)[1:]
        pane.extend(some_lines(100, 30))
        await settle(pilot, pane)
        assert lines(pane)[1:] == shown
        assert lines(pane)[0].startswith("‖ paused +30 new  130 lines")
        await pilot.press("end")
        assert lines(pane)[-1].endswith("129 error CS1002: ; expected")
        assert [message.follow for message in app.heard if isinstance(message, LogPane.FollowChanged)] == [False, True]


async def test_the_wheel_scrolls_and_stops_following() -> None:
    pane = LogPane()
    pane.extend(some_lines(0, 100))
    async with OneWidget(pane).run_test(size=(80, 12)) as pilot:
        await settle(pilot, pane)
        await pilot._post_mouse_events([_wheel_up()], pane, (5, 5))
        await pilot.pause()
        assert not pane.reader.follow
        assert lines(pane)[-1].endswith("96 restoring")


def _wheel_up() -> type:
    from textual.events import MouseScrollUp

    return MouseScrollUp


async def test_filter_context_matches_and_errors_are_reached_by_keys() -> None:
    pane = LogPane()
    pane.extend(some_lines(0, 40))
    async with OneWidget(pane).run_test(size=(80, 12)) as pilot:
        pane.set_filter("warning !agent:linux-1")
        await settle(pilot, pane)
        head = lines(pane)
        assert head[0].startswith("▾ follow  10/40 lines")
        assert head[1] == "only [warning] [!agent:linux-1] 10 match"
        pane.action_only()
        assert lines(pane)[1].startswith("mark [warning]")
        pane.action_next_match(backwards=True)
        assert "match 10/10" in lines(pane)[0]
        assert pane.line == "38 warning CS0168: never used"
        pane.action_next_match()
        assert pane.line == "2 warning CS0168: never used"
        assert [line[:3] for line in lines(pane) if line.startswith(">")] == [">W "]
        pane.set_filter("")
        pane.action_next_error()
        assert pane.line == "5 error CS1002: ; expected"
        pane.action_next_error(backwards=True)
        assert pane.line.startswith("1 error")
        pane.action_only()
        pane.set_filter("nothing such")
        await pilot.pause()
        assert lines(pane)[2] == "No line matches."


async def test_levels_hide_stamps_and_labels_stand_before_lines() -> None:
    pane = LogPane()
    pane.extend(some_lines(0, 8))
    async with OneWidget(pane).run_test(size=(80, 12)) as pilot:
        for _ in range(3):
            pane.action_level()
        assert pane.reader.minimum is Level.ERROR
        assert [line[:4] for line in lines(pane)[2:4]] == [" E 1", " E 5"]
        assert lines(pane)[1] == "level error and above"
        pane.action_stamps()
        pane.action_labels()
        assert lines(pane)[2] == " E 00:16:40.125 …nux-1 1 error CS1002: ; expected"
        pane.action_stamps()
        pane.action_labels()
        await pilot.pause()
        assert lines(pane)[3] == f" E    +0.500 {'linux-1':<20} 5 error CS1002: ; expected"


async def test_long_lines_wrap_or_are_moved_sideways() -> None:
    pane = LogPane()
    pane.extend([LogEntry("".join(str(n % 10) for n in range(100)))])
    async with OneWidget(pane).run_test(size=(60, 15)) as pilot:
        assert len([line for line in lines(pane)[1:] if line]) == 1
        await pilot.press("right")
        assert lines(pane)[1].strip().startswith("8901")
        pane.action_wrap()
        await pilot.press("right")
        rows = [line.strip() for line in lines(pane)[1:] if line]
        assert [len(row) for row in rows] == [57, 43]
        await pilot.resize_terminal(40, 15)
        assert [len(line.strip()) for line in lines(pane)[1:] if line] == [37, 37, 26]


async def test_seams_show_where_lines_are_missing_and_the_count_has_them() -> None:
    pane = LogPane(LogRing(most_lines=20))
    pane.extend(some_lines(0, 30))
    pane.seam("agent restarted, 14 lines may be missing", missing=14)
    async with OneWidget(pane).run_test(size=(80, 12)) as pilot:
        await settle(pilot, pane)
        assert lines(pane)[-1] == "──── agent restarted, 14 lines may be missing"
        assert "dropped 25" in lines(pane)[0]
        pane.show(LogRing())
        await pilot.pause()
        assert lines(pane)[1] == "No lines yet."


async def test_lines_that_leave_under_the_reader_are_no_crash() -> None:
    pane = LogPane(LogRing(most_lines=50))
    pane.extend(some_lines(0, 50))
    async with OneWidget(pane).run_test(size=(80, 12)) as pilot:
        await settle(pilot, pane)
        await pilot.press("home", "down")
        pane.reader.ring.extend(some_lines(50, 500))
        lines(pane)  # drawn before the next flush
        assert pane.line == "549 error CS1002: ; expected"
        await settle(pilot, pane)
        assert lines(pane)[1].strip().startswith("500 ")
        assert len(list(pane.lines())) == 50


async def test_selected_text_is_of_lines_without_stamps() -> None:
    pane = LogPane()
    pane.extend(some_lines(0, 5))
    async with OneWidget(pane).run_test(size=(80, 12)) as pilot:
        pane.action_stamps()
        await settle(pilot, pane)
        assert pane.get_selection(Selection(Offset(2, 1), Offset(4, 2))) == ("error CS1002: ; expected\n2 wa", "\n")
        assert pane.get_selection(Selection(None, None)) == ("\n".join(pane.lines()), "\n")
        await pilot.mouse_down(pane, offset=(18, 2))
        await pilot.hover(pane, offset=(22, 2))
        await pilot.mouse_up(pane, offset=(22, 2))
        assert pane.screen.get_selected_text() == "error"


async def test_a_fast_log_is_drawn_less_often_than_a_slow_one() -> None:
    pane = LogPane()
    async with OneWidget(pane).run_test(size=(80, 12)) as pilot:
        await settle(pilot, pane)
        pane.extend(some_lines(0, 2))
        pane.flush()
        slow = pane.repaint_seconds
        pane.extend(some_lines(2, 2000))
        pane.flush()
        assert slow < pane.repaint_seconds


async def test_lines_that_came_before_the_first_frame_are_in_it() -> None:
    pane = LogPane()
    pane.extend(some_lines(0, 3))
    async with OneWidget(pane).run_test(size=(80, 12)) as pilot:
        await pilot.pause()
        assert [line.strip()[:1] for line in lines(pane)[1:4]] == ["0", "E", "W"]
