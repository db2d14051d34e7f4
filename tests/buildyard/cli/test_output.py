"""What is shown: never a control code of others, numbers for people, states as glyph and word."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.cli.output import Output, duration, log_line, printable, size, word

_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_STEERING = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_HOSTILE = st.text(st.sampled_from("a[]0;m\x1b\x07\x9b\x9d\r\n\t\u202e") | st.characters())


@given(_HOSTILE)
def test_no_text_can_steer_a_terminal(text: str) -> None:
    assert not _STEERING.search(printable(text))
    assert not _STEERING.search(log_line(text, colours=False))


@given(_HOSTILE)
def test_a_log_line_keeps_nothing_but_colours_and_ends_them(text: str) -> None:
    shown = log_line(text, colours=True)
    assert not _STEERING.search(_SGR.sub("", shown))
    assert not _SGR.search(shown) or shown.endswith("\x1b[0m")


def test_colours_of_a_log_stay_only_where_they_are_wanted() -> None:
    assert log_line("\x1b[31mred\x1b[m\tx", colours=True) == "\x1b[31mred\x1b[m\tx\x1b[0m"
    assert log_line("\x1b[31mred\x1b[m\tx", colours=False) == "red\tx"
    assert log_line("\x1b]0;title\x07ok\x1b[2J", colours=True) == "]0;titleok[2J"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0.0s"), (4.21, "4.2s"), (9.99, "10s"), (59.6, "1m00s"), (75, "1m15s"), (7300, "2h01m")],
)
def test_durations_are_for_people(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (2048, "2.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.0 GiB")]
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("state", "shown"), [("TimedOut", "x TimedOut"), ("timed_out", "x timed_out"), ("Odd", "  Odd")]
)
def test_a_state_is_a_glyph_and_a_word(state: str, shown: str) -> None:
    assert word(state).plain == shown


def test_markup_of_others_is_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(("A", "B"), [("[bold]x[/y]", ":smile:")])
    Output().line("[/z]")
    assert capsys.readouterr().out == "A            B\n[bold]x[/y]  :smile:\n[/z]\n"


def test_a_pipe_loses_no_column_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(("A", "B", "C"), [("x" * 300, "y" * 300, "z")])
    assert "y" * 300 + "  z" in capsys.readouterr().out
