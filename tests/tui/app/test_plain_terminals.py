"""Terminals without colours, without UTF-8, or that go away."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.tui.app.test_terminal import Terminal, group_is_empty, in_terminal
from tui.plain_terminals import in_ascii
from tui.terminals import shows_colours, shows_utf8

COLOURED = re.compile(rb"\x1b\[(?:[\d;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[\d;]*)?m")
REVERSED = re.compile(rb"\x1b\[(?:[\d;]*;)?7(?:;[\d;]*)?m")


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


@pytest.mark.parametrize("controlling", [True, False], ids=["with a signal", "without one"])
def test_a_terminal_that_is_closed_ends_the_dashboard_and_leaves_nothing(tmp_path: Path, controlling: bool) -> None:
    with in_terminal(tmp_path, "--demo", controlling=controlling, stays=False) as terminal:
        terminal.read(b"Attention")
        terminal.hang_up()
        assert terminal.process.wait(60) in {0, 129}
        assert group_is_empty(terminal.process.pid)
