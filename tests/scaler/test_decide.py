"""The decision, case by case; the properties stand in `test_decide_properties`."""

from __future__ import annotations

import pytest

from buildyard.contracts.scaling import DecisionCode, PoolObserved, Reading, ScalingPolicy, Trust, WorkerState
from scaler.decide import backoff_seconds, decide
from tests.scaler.observing import crowd, known, observed, unknown, worker

PENDING, IDLE, BUSY = WorkerState.PENDING, WorkerState.IDLE, WorkerState.BUSY
DRAINING, UNRESPONSIVE, EXITED = WorkerState.DRAINING, WorkerState.UNRESPONSIVE, WorkerState.EXITED


def test_a_depth_of_41_starts_five_at_once() -> None:
    plan = decide(observed(ready=41))

    assert plan.start == ("linux-1-1", "linux-2-1", "linux-3-1", "linux-4-1", "linux-5-1")
    assert plan.code is DecisionCode.BURST
    assert plan.reason == "41 jobs wait, more than 40: start 5 (0 pending, 0 of 8 workers present)."


def test_a_burst_counts_the_workers_that_are_pending_already() -> None:
    plan = decide(observed(ready=41, workers=crowd(PENDING, PENDING, BUSY)))

    assert plan.start == ("linux-4-1", "linux-5-1", "linux-6-1")


def test_a_burst_whose_workers_are_all_pending_starts_no_more() -> None:
    plan = decide(observed(ready=500, workers=crowd(*[PENDING] * 5)))

    assert (plan.start, plan.code) == ((), DecisionCode.WORKERS_COMING)


def test_a_burst_goes_on_while_the_first_one_is_busy_up_to_the_maximum() -> None:
    plan = decide(observed(ready=100, workers=crowd(*[BUSY] * 5)))

    assert plan.start == ("linux-6-1", "linux-7-1", "linux-8-1")
    assert plan.reason == (
        "100 jobs wait, more than 40: start 3 instead of 5, up to the maximum (0 pending, 5 of 8 workers present)."
    )


@pytest.mark.parametrize("state", [PENDING, IDLE, BUSY, DRAINING, UNRESPONSIVE])
def test_every_worker_that_lives_counts_towards_the_maximum(state: WorkerState) -> None:
    policy = ScalingPolicy(max_workers=1, burst_size=3)

    plan = decide(observed(ready=100, workers=crowd(state), policy=policy))

    assert (plan.start, plan.code) == ((), DecisionCode.AT_MAXIMUM)


def test_a_pool_with_a_maximum_of_zero_says_so() -> None:
    plan = decide(observed(ready=1, policy=ScalingPolicy(max_workers=0)))

    assert plan.reason == "1 job waits and no worker is there to take one, but 0 of at most 0 workers are present."


@pytest.mark.parametrize("ready", [1, 40])
def test_up_to_forty_jobs_without_a_worker_get_their_first_one(ready: int) -> None:
    plan = decide(observed(ready=ready))

    assert (plan.start, plan.code) == (("linux-1-1",), DecisionCode.FIRST_WORKER)


@pytest.mark.parametrize("state", [DRAINING, UNRESPONSIVE, EXITED])
def test_a_worker_that_takes_no_more_jobs_does_not_keep_the_first_one_away(state: WorkerState) -> None:
    plan = decide(observed(ready=1, workers=crowd(state)))

    assert len(plan.start) == 1


@pytest.mark.parametrize("state", [PENDING, IDLE])
def test_a_worker_on_its_way_to_the_work_is_waited_for(state: WorkerState) -> None:
    plan = decide(observed(ready=3, oldest=60, workers=crowd(BUSY, state)))

    assert (plan.start, plan.code) == ((), DecisionCode.WORKERS_COMING)


def test_busy_workers_may_take_what_has_just_come() -> None:
    plan = decide(observed(ready=3, oldest=4.9, workers=crowd(BUSY)))

    assert (plan.start, plan.code) == ((), DecisionCode.STEADY)


def test_a_job_that_waits_too_long_gets_one_more_worker() -> None:
    plan = decide(observed(ready=3, oldest=5, workers=crowd(BUSY)))

    assert (plan.start, plan.code) == (("linux-2-1",), DecisionCode.WAITED_TOO_LONG)


def test_new_workers_take_the_lowest_free_slots_and_a_generation_of_their_own() -> None:
    workers = (worker(2, BUSY, 4), worker(3, EXITED, 9))

    plan = decide(observed(ready=41, workers=workers, generations={1: 3, 2: 4, 3: 2}))

    assert plan.start == ("linux-1-4", "linux-3-10", "linux-4-1", "linux-5-1", "linux-6-1")


def test_unknown_ready_jobs_start_nothing_even_when_tickets_are_seen() -> None:
    plan = decide(observed(ready=unknown("The producer at home cannot be reached."), queue_ready=99))

    assert (plan.start, plan.drain, plan.code) == ((), (), DecisionCode.UNKNOWN_COUNT)
    assert "The producer at home cannot be reached" in plan.reason


def test_a_broker_that_cannot_count_does_not_keep_work_from_its_workers() -> None:
    plan = decide(observed(ready=41, queue_ready=unknown(), queue_unacked=unknown(), queue_total=unknown()))

    assert len(plan.start) == 5


def test_a_stale_count_starts_workers_and_says_so() -> None:
    plan = decide(observed(ready=known(41, Trust.STALE)))

    assert len(plan.start) == 5
    assert "stale" in plan.reason


def test_workers_that_cannot_be_seen_freeze_the_pool() -> None:
    plan = decide(observed(ready=500, workers=None))

    assert (plan.start, plan.drain, plan.code) == ((), (), DecisionCode.EXECUTOR_UNREACHABLE)
    assert "The folder is gone" in plan.reason


def quiet(**changes: Reading | int) -> PoolObserved:
    return observed(workers=crowd(IDLE, BUSY, IDLE, PENDING), quiet_seconds=30, **changes)  # type: ignore[arg-type] # one kind of keyword is passed


def test_a_pool_quiet_for_thirty_seconds_drains_every_idle_worker_and_no_other() -> None:
    plan = decide(quiet())

    assert plan.drain == ("linux-1-1", "linux-3-1")
    assert plan.code is DecisionCode.SCALE_TO_ZERO


def test_a_pool_that_has_not_been_quiet_for_long_enough_waits() -> None:
    plan = decide(observed(workers=crowd(IDLE), quiet_seconds=29.9))

    assert (plan.drain, plan.code) == ((), DecisionCode.IDLE_WAIT)
    assert plan.reason == "All has been quiet for 29 s of 30 s (1 idle, 1 workers present)."


@pytest.mark.parametrize("count", ["ready", "leases", "queue_ready", "queue_unacked", "queue_total"])
@pytest.mark.parametrize("reading", [unknown(), known(0, Trust.STALE)])
def test_one_count_that_cannot_be_trusted_keeps_all_workers(count: str, reading: Reading) -> None:
    plan = decide(quiet(**{count: reading}))

    assert (plan.drain, plan.code) == ((), DecisionCode.UNKNOWN_COUNT)


@pytest.mark.parametrize("count", ["leases", "queue_ready", "queue_unacked", "queue_total"])
def test_one_count_that_is_not_zero_keeps_all_workers(count: str) -> None:
    plan = decide(quiet(**{count: 1}))

    assert (plan.drain, plan.code) == ((), DecisionCode.STEADY)


def test_an_empty_quiet_pool_has_nothing_to_do() -> None:
    assert decide(observed(quiet_seconds=99)).code is DecisionCode.NOTHING_TO_DO


def test_a_quiet_pool_without_idle_workers_drains_nobody() -> None:
    plan = decide(observed(workers=crowd(PENDING, UNRESPONSIVE), quiet_seconds=99))

    assert (plan.drain, plan.code) == ((), DecisionCode.STEADY)


def test_workers_that_end_without_joining_slow_the_starts_down() -> None:
    plan = decide(observed(ready=41, failed_starts=3, since_failed=7.9))

    assert (plan.start, plan.code) == ((), DecisionCode.START_BACKOFF)
    assert "3 workers in a row ended without joining: the next one starts 8 s after the last" in plan.reason
    assert len(decide(observed(ready=41, failed_starts=3, since_failed=8)).start) == 5


def test_the_back_off_doubles_up_to_a_minute() -> None:
    assert [backoff_seconds(n) for n in (0, 1, 2, 3, 5, 6, 10_000)] == [0, 2, 4, 8, 32, 60, 60]
