"""Estimates: bounded by the past they rest on, and never later with more agents or fewer jobs ahead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.estimating import (
    NEWEST,
    Estimate,
    Kind,
    Success,
    estimate,
    expected_seconds,
    remaining_seconds,
    seconds_until_start,
)
from tests.orchestrator.world import START

seconds = st.floats(0.1, 1e5)
words = st.sampled_from(["", "a", "b"])
successes = st.builds(Success, seconds, words, words, st.none() | st.integers(1, 10**6))
kinds = st.builds(Kind, words, words, st.none())
free_times = st.lists(st.floats(0, 1000), min_size=1, max_size=30)


def all_of(*taken: float) -> list[Success]:
    return [Success(one, "python", "Release") for one in taken]


@given(kinds, st.lists(successes, max_size=30), st.lists(successes, max_size=30))
def test_a_duration_lies_within_the_past_it_rests_on(
    kind: Kind, of_project: list[Success], of_farm: list[Success]
) -> None:
    expected = expected_seconds(kind, of_project, of_farm)
    past = [success.seconds for success in of_project or of_farm]

    if past:
        assert expected is not None
        assert min(past) <= expected <= max(past)
    else:
        assert expected is None


@given(st.lists(seconds, min_size=NEWEST, max_size=40), st.lists(seconds, max_size=20))
def test_only_the_newest_of_a_long_past_count(newest: list[float], older: list[float]) -> None:
    assert expected_seconds(Kind(), all_of(*newest, *older), ()) == median(newest[:NEWEST])


def test_builds_of_the_same_kind_count_before_others_once_there_are_enough() -> None:
    debug = [Success(100, "python", "Debug")] * 3
    past = [*all_of(1, 2, 3), *debug]

    assert expected_seconds(Kind(configuration="Debug"), past, ()) == 100
    assert expected_seconds(Kind(configuration="Debug"), past[:-1], ()) == median([1, 2, 3, 100, 100])
    assert expected_seconds(Kind("make", "Release"), [*past, *[Success(7, "make", "Release")] * 3], ()) == 7


def test_one_odd_build_changes_little() -> None:
    assert expected_seconds(Kind(), all_of(10, 11, 5000, 10, 9), ()) == 10


def test_a_batch_is_measured_by_its_rows() -> None:
    past = [Success(10, rows=100), Success(40, rows=400), Success(5, rows=50)]

    assert expected_seconds(Kind(rows=1000), past, ()) == pytest.approx(100)
    assert expected_seconds(Kind(), past, ()) == 10
    assert expected_seconds(Kind(rows=1000), all_of(7), ()) == 7


def test_a_new_project_takes_what_builds_of_the_farm_take() -> None:
    assert expected_seconds(Kind(), (), all_of(3, 4, 5)) == 4


@given(seconds, st.floats(0, 1e6))
def test_what_runs_late_is_never_over(expected: float, elapsed: float) -> None:
    left = remaining_seconds(expected, elapsed)

    assert 0 < left <= expected or left == pytest.approx(expected)
    assert left >= expected - elapsed


def served_one_by_one(position: int, free_in: Sequence[float], job_seconds: float) -> float:
    """The model without any shortcut."""
    free = list(free_in)
    for _ in range(position):
        agent = free.index(min(free))
        free[agent] += job_seconds
    return min(free)


@given(st.integers(0, 100), free_times, seconds)
def test_a_short_queue_is_served_by_whoever_is_free_first(position: int, free: list[float], job: float) -> None:
    assert seconds_until_start(position, free, job) == pytest.approx(served_one_by_one(position, free, job))


@given(st.integers(0, 2000), free_times, seconds, st.floats(0, 1000))
def test_a_start_is_never_later_with_fewer_ahead_or_one_agent_more(
    position: int, free: list[float], job: float, other: float
) -> None:
    start = seconds_until_start(position, free, job)
    rounding = 1e-9 * (1000 + job * (position + 1))

    assert min(free) <= start + rounding
    assert start <= max(free) + job * position + rounding
    assert seconds_until_start(position + 1, free, job) >= start - rounding
    assert seconds_until_start(position, [*free, other], job) <= start + (rounding if position <= 100 else job)


@given(st.integers(101, 400), free_times, seconds)
def test_a_long_queue_is_off_by_one_job_at_most(position: int, free: list[float], job: float) -> None:
    ideal = served_one_by_one(position, free, job)

    assert seconds_until_start(position, free, job) == pytest.approx(ideal, abs=job)


def test_without_an_agent_one_is_expected_to_come() -> None:
    assert seconds_until_start(3, (), 10) == 30


def test_without_a_past_only_the_next_in_line_is_told_when_it_begins() -> None:
    assert estimate(0, (), None, None, START) == Estimate(START, None)
    assert estimate(0, (0.0, 5.0), None, None, START) == Estimate(START, None)
    assert estimate(1, (), None, None, START) == Estimate(None, None)
    assert estimate(2, (4.0, 0.0), 10, 7, START) == Estimate(START + timedelta(seconds=10), 7)
