"""Values as people read them: nothing unknown is shown as 0, everything is short, states can be told without colour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from buildyard.contracts.agents import AgentState
from buildyard.contracts.builds import BuildState, JobState, Outcome, StageStatus
from buildyard.contracts.scaling import DecisionCode, Trust, WorkerState
from buildyard.contracts.wire import WireEnum
from tui import format as f

NOON = datetime(2026, 11, 21, 12, 0, 5, 250_000, tzinfo=UTC)
FAMILIES: list[tuple[type[WireEnum], f.Kind]] = [
    (BuildState, "build"),
    (JobState, "part"),
    (StageStatus, "part"),
    (Outcome, "part"),
    (AgentState, "agent"),
    (WorkerState, "agent"),
    (Trust, "trust"),
    (DecisionCode, "decision"),
]


def word_of(state: WireEnum) -> str:
    return state.value if isinstance(state, DecisionCode) else state.wire


@pytest.mark.parametrize(("family", "kind"), FAMILIES)
def test_every_state_of_the_api_has_a_sign_of_its_own(family: type[WireEnum], kind: f.Kind) -> None:
    marks = [f.mark(word_of(state), kind) for state in family]
    assert [one.word for one in marks] == [word_of(state) for state in family], "the words are the API's"
    assert len({one.glyph for one in marks}) == len(marks)
    assert len({one.plain for one in marks}) == len(marks)


def test_signs_are_one_cell_wide_and_have_a_twin_in_ascii() -> None:
    for marks in f._BY_KIND.values():
        for one in marks.values():
            assert cell_len(one.glyph) == cell_len(one.plain) == 1
            assert one.plain.isascii()
            assert one.sign(utf8=True) == one.glyph
            assert one.sign(utf8=False) == one.plain


def test_a_state_of_a_newer_server_is_shown_as_it_is_and_cleaned() -> None:
    assert f.mark("Paused\x1b[2J") == f.Mark("?", "?", "Paused", "warning")
    assert f.mark("").word == f.UNKNOWN


def test_stages_become_one_sign_each() -> None:
    bar = f.stage_bar(["Succeeded", "Running", "Pending", "Skipped"], utf8=False)
    assert bar == (("v", "good"), (">", "active"), (".", "waiting"), ("s", "muted"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (float("nan"), "?"),
        (0, "0.0s"),
        (-3, "0.0s"),
        (0.44, "0.4s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00"),
        (242, "4m02"),
        (3 * 3600 + 7 * 60 + 59, "3h07"),
        (86_399.7, "1d00"),
        (5 * 86_400 + 4 * 3600, "5d04"),
        (float("inf"), ">9999d"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert f.duration(seconds) == text


def test_ages_do_not_flicker_and_never_run_ahead() -> None:
    assert [f.age(seconds) for seconds in (None, -1, 0, 0.9, 59.9, 61)] == ["?", "0s", "0s", "0s", "59s", "1m01"]
    assert f.since(None, NOON) == "-"
    assert f.since(NOON, None) == "?"
    assert f.since(NOON - timedelta(minutes=2), NOON) == "2m00"


def test_times_are_shown_in_utc() -> None:
    here = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert f.clock(here) == "12:00:05"
    assert f.clock(here, milliseconds=True) == "12:00:05.250"
    assert f.day_and_clock(here) == "2026-11-21 12:00:05"
    assert f.clock(None) == f.day_and_clock(None) == "-"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "?"),
        (0, "0B"),
        (999, "999B"),
        (1000, "1.0KiB"),
        (1434, "1.4KiB"),
        (327_155_712, "312MiB"),
        (1e30, "9999PiB"),
    ],
)
def test_sizes(count: float | None, text: str) -> None:
    assert f.size(count) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "?"), (0, "0"), (999, "999"), (1000, "1.0k"), (9949, "9.9k"), (98_204, "98k"), (1_234_567, "1.2M")],
)
def test_short_counts(number: float | None, text: str) -> None:
    assert f.short_count(number) == text


def test_what_is_not_known_is_never_shown_as_a_number() -> None:
    shown = (f.duration(None), f.age(None), f.size(None), f.count(None), f.short_count(None), f.rate(None))
    assert set(shown) == {"?"}
    assert f.percent(None) == "?"


def test_rates_counts_and_shares() -> None:
    assert [f.rate(value) for value in (0, 0.04, 0.44, 12.3, 3410)] == ["0/s", "<0.1/s", "0.4/s", "12/s", "3.4k/s"]
    assert f.count(4120) == "4,120"
    assert f.percent(0.254) == "25%"
    assert f.short_id("0192f0c1-2b3c-7d4e-8f50-a1b2c3d4e5f6") == "c3d4e5f6"


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_whatever_the_number_the_text_fits_its_column(number: float) -> None:
    assert len(f.duration(number)) <= 7
    assert len(f.age(number)) <= 7
    assert len(f.size(number)) <= 7
    assert len(f.short_count(number)) <= 5
    assert len(f.rate(number)) <= 7


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_longer_time_is_never_shown_as_a_shorter_one(one: int, other: int) -> None:
    assert (_seconds(f.age(one)) <= _seconds(f.age(other))) or one > other


def _seconds(text: str) -> int:
    if text.startswith(">"):
        return 10**9
    for unit, big, small in (("d", 86_400, 3600), ("h", 3600, 60), ("m", 60, 1)):
        if unit in text:
            first, second = text.split(unit)
            return int(first) * big + int(second) * small
    return int(text.removesuffix("s"))
