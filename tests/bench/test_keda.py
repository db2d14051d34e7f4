"""The model of KEDA's strategies does what their formulas say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.keda import Strategy, simulate_scaled_job
from scaler.simulate import Job

NAMES = st.sampled_from(["default", "accurate", "eager"])
JOBS = st.lists(st.builds(Job, st.floats(0, 300), st.floats(1, 100)), min_size=1, max_size=30).map(sorted)


def test_default_takes_jobs_that_are_there_off_the_count() -> None:
    assert Strategy("default", total=True).creates(queue=10, running=4, pending=1, most=100) == 6


def test_accurate_takes_only_pending_jobs_off_the_count_below_the_maximum() -> None:
    accurate = Strategy("accurate", total=False)

    assert accurate.creates(queue=10, running=4, pending=1, most=100) == 9
    assert accurate.creates(queue=10, running=4, pending=1, most=12) == 8


def test_eager_takes_pending_jobs_off_twice() -> None:
    assert Strategy("eager", total=False).creates(queue=100, running=6, pending=4, most=20) == 10


@given(NAMES, st.integers(0, 500), st.integers(0, 100), st.integers(0, 100), st.integers(1, 100))
def test_no_strategy_goes_beyond_the_maximum_or_the_queue(
    name: str, queue: int, running: int, pending: int, most: int
) -> None:
    created = Strategy(name, total=False).creates(queue, running, min(pending, running), most)

    assert 0 <= created <= queue
    assert running + created <= max(running, most)


@given(JOBS, NAMES, st.booleans(), st.integers(1, 10))
def test_every_message_is_taken_once_whatever_the_strategy(load: list[Job], name: str, total: bool, most: int) -> None:
    outcome = simulate_scaled_job(load, Strategy(name, total, 5.0), (3.0, 30.0), most)

    assert len(outcome.waits) == outcome.used == len(load) <= outcome.started
    assert outcome.peak <= most
    assert outcome.end >= outcome.ideal_end - 1e-6


def test_counting_what_is_in_hand_twice_starts_jobs_that_find_nothing() -> None:
    load = [Job(number * 4.0, 60.0) for number in range(100)]

    right = simulate_scaled_job(load, Strategy("accurate", total=False, poll_seconds=5.0), (5.0, 10.0), 100)
    wrong = simulate_scaled_job(load, Strategy("accurate", total=True, poll_seconds=5.0), (5.0, 10.0), 100)

    assert right.started == len(load)
    assert wrong.started_per_used > 5
