"""Terminals without colours, without UTF-8, that change their size all the time, or go away; and slow links."""

from __future__ import annotations

import base64
import os
import re
import signal
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.widgets import Input

from tests.tui.app.farms import Told, dashboard, ready, story
from tests.tui.app.test_terminal import MOUSE_OFF, Terminal, group_is_empty, in_terminal
from tui.app import FarmApp
from tui.plain_terminals import in_ascii
from tui.screens.base import FarmScreen
from tui.terminals import shows_colours, shows_utf8
from tui.widgets.line_view import LineView

COLOURED = re.compile(rb"\x1b\[(?:[\d;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[\d;]*)?m")
REVERSED = re.compile(rb"\x1b\[(?:[\d;]*;)?7(?:;[\d;]*)?m")
MOUSE_ON = b"\x1b[?1000h"


def press(terminal: Terminal, keys: str, wanted: bytes) -> None:
    """Press keys and wait for what they bring onto the screen."""
    terminal.written = b""
    os.write(terminal.master, keys.encode())
    terminal.read(wanted)


def seen_and_left(terminal: Terminal) -> bytes:
    """The first screen, and the end; all that was written."""
    terminal.read(b"Attention")
    os.write(terminal.master, b"q")
    assert terminal.end() == 0
    return terminal.written


def test_a_terminal_without_utf8_gets_ascii_alone(tmp_path: Path) -> None:
    with in_terminal(tmp_path, "--demo", LC_ALL="C") as terminal:
        assert [byte for byte in seen_and_left(terminal) if byte > 0x7F] == []


def test_a_terminal_without_colours_gets_none(tmp_path: Path) -> None:
    with in_terminal(tmp_path, "--demo", TERM="vt100", COLORTERM="") as terminal:
        written = seen_and_left(terminal)
    assert COLOURED.findall(written) == []
    assert REVERSED.search(written), "what has the focus stands out all the same"


async def test_no_screen_and_no_window_needs_more_than_ascii_or_a_colour() -> None:
    events, now = story()
    app = FarmApp(Told(events, now), utf8=False, colours=False)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        for keys in ("1", "2", "3", "4", "5", "6", "?", ":"):
            await pilot.press("escape", keys)
            await pilot.pause()
            for strip in app.screen._compositor.render_strips():
                assert strip.text.isascii(), strip.text
                assert not [one for one in strip if one.style and (one.style.color or one.style.bgcolor)]


def test_no_color_takes_all_colours_away(tmp_path: Path) -> None:
    with in_terminal(tmp_path, "--demo", NO_COLOR="1") as terminal:
        assert COLOURED.findall(seen_and_left(terminal)) == []


def test_what_the_system_tells_of_a_terminal() -> None:
    assert shows_utf8("utf-8", {})
    assert shows_utf8("UTF8", {"LC_ALL": "C.UTF-8"})
    assert not shows_utf8("utf-8", {"LC_ALL": "C"})
    assert not shows_utf8("iso8859-15", {})
    with Path(os.devnull).open("rb") as nothing:
        assert shows_colours({"TERM": "xterm-256color"}, nothing.fileno())
        assert shows_colours({"TERM": "no-such-terminal"}, nothing.fileno())
        assert shows_colours({"TERM": "vt100", "COLORTERM": "truecolor"}, nothing.fileno())
        assert not shows_colours({"TERM": "xterm-256color", "NO_COLOR": "1"}, nothing.fileno())


@given(st.text(max_size=40))
def test_ascii_takes_as_many_cells(text: str) -> None:
    shown = in_ascii(text)
    assert shown.isascii()
    if text.isprintable():
        assert cell_len(shown) == sum(map(cell_len, text)) or cell_len(shown) == cell_len(text)


def test_a_terminal_whose_size_changes_all_the_time_is_drawn_right_in_the_end(tmp_path: Path) -> None:
    with in_terminal(tmp_path, "--demo") as terminal:
        terminal.read(b"Attention")
        for number in range(200):
            rows, columns = (1 + number * 7 % 60, 1 + number * 13 % 220)
            termios.tcsetwinsize(terminal.master, (rows, columns))
            terminal.process.send_signal(signal.SIGWINCH)
            if number % 20 == 0:
                os.write(terminal.master, str(1 + number // 20 % 6).encode())
                terminal.drain()
        termios.tcsetwinsize(terminal.master, (24, 80))
        terminal.process.send_signal(signal.SIGWINCH)
        press(terminal, "4", b"Log of ")
        press(terminal, "?", b"Keys that work here")
        os.write(terminal.master, b"\x03")  # wherever one is
        assert terminal.end() == 0


@pytest.mark.parametrize("controlling", [True, False], ids=["with a signal", "without one"])
def test_a_terminal_that_is_closed_ends_the_dashboard_and_leaves_nothing(tmp_path: Path, controlling: bool) -> None:
    with in_terminal(tmp_path, "--demo", controlling=controlling, stays=False) as terminal:
        terminal.read(b"Attention")
        terminal.hang_up()
        assert terminal.process.wait(60) in {0, 129}
        assert group_is_empty(terminal.process.pid)


def test_the_mouse_and_the_clipboard_are_those_of_the_terminal(tmp_path: Path) -> None:
    with in_terminal(tmp_path, "--demo") as terminal:
        terminal.read(b"Attention")
        press(terminal, "m", MOUSE_OFF)
        press(terminal, "m", MOUSE_ON)
        press(terminal, "2", b"Builds 10,")
        press(terminal, "gY", b"\x1b]52;c;")
        terminal.read(b"\x07")
        (copied,) = re.findall(rb"\x1b\]52;c;([A-Za-z0-9+/=]+)\x07", terminal.written)
        assert b'"id": "' in base64.b64decode(copied)
        os.write(terminal.master, b"q")
        assert terminal.end() == 0


async def test_on_a_slow_link_everything_is_drawn_once_a_second_at_most() -> None:
    events, now = story()
    app = FarmApp(Told(events, now), slow=True)
    async with app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        assert [timer._interval for timer in app._timers if timer._callback == app.draw] == [1.0]
        for name in app.there:
            app.open_screen(name)
            await ready(pilot)
            assert app.farm_screen is not None
            paces = {max(view.repaint_seconds, view.slow_seconds) for view in app.farm_screen.query(LineView)}
            assert min(paces) >= 1.0


async def test_nothing_moves_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "full")
    app = dashboard()
    async with app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        assert app.animation_level == "none"
        for name in app.there:
            app.open_screen(name)
            await ready(pilot)
            await pilot.press("G", "ctrl+u", "tab", "G", "z")
            assert not app.animator._animations
        for key in ("/", ":"):
            await pilot.press("1", key)
            await pilot.pause()
            for line in app.screen.query(Input):
                assert not line.cursor_blink
                assert line._blink_timer is None or not line._blink_timer._active.is_set()
            await pilot.press("escape")
        assert isinstance(app.screen, FarmScreen)
