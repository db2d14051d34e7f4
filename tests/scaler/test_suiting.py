"""What jobs need decides with whom they count: idle workers that lack it are no help, and one is tried for them."""

from __future__ import annotations

import pytest

from buildyard.contracts.scaling import DecisionCode, PoolObserved, ScalingPolicy, WorkerState
from scaler.decide import decide, wanted
from tests.scaler.observing import crowd, observed, shared, suits, unknown

PENDING, IDLE, BUSY = WorkerState.PENDING, WorkerState.IDLE, WorkerState.BUSY
LACKING = suits(idle=1)


@pytest.mark.parametrize("name", ["burst", "elastic"])
def test_an_idle_worker_that_lacks_what_is_needed_does_not_keep_another_from_starting(name: str) -> None:
    policy = ScalingPolicy.model_validate({"name": name, "max_workers": 8})
    seen = observed(ready=1, workers=crowd(IDLE, BUSY), oldest=400, policy=policy)

    unsuited = decide(seen.model_copy(update={"suiting": LACKING}))
    suited = decide(seen.model_copy(update={"suiting": suits(1, 1, 1)}))

    assert unsuited.start == ("linux-3-1",)
    assert "1 idle worker lack" in unsuited.reason
    assert (suited.start, suited.code) == ((), DecisionCode.WORKERS_COMING)


def test_who_suits_whom_is_unknown_so_that_an_idle_worker_is_waited_for() -> None:
    assert decide(observed(ready=1, workers=crowd(IDLE), oldest=99)).start == ()


def test_one_worker_is_tried_for_all_jobs_that_nobody_suits() -> None:
    plan = decide(observed(workers=crowd(IDLE), suiting=suits(idle=1, on_trial=70)))

    assert (plan.start, plan.code) == (("linux-2-1",), DecisionCode.TRIAL_WORKER)
    assert plan.reason == (
        "70 jobs wait that no worker suits, and a new one may: start 1 (0 pending, 1 of 8 workers present)."
    )


def test_a_worker_that_is_coming_anyway_is_the_trial() -> None:
    plan = decide(observed(workers=crowd(IDLE, PENDING), suiting=suits(idle=1, on_trial=1)))

    assert (plan.start, plan.code) == ((), DecisionCode.WORKERS_COMING)


def test_jobs_whose_trial_failed_start_nobody_and_say_so() -> None:
    plan = decide(observed(leases=1, workers=crowd(IDLE, BUSY), suiting=suits(idle=1, tried=2)))

    assert (plan.start, plan.code) == ((), DecisionCode.UNSUITED)
    assert plan.reason == "2 jobs need what no worker has, the newest neither: none starts for them now."


def test_jobs_that_only_busy_workers_suit_wait_for_those_once_a_newer_one_lacked_what_they_need() -> None:
    plan = decide(observed(ready=3, leases=1, workers=crowd(IDLE, BUSY), oldest=99, suiting=suits(idle=1, held=3)))

    assert (plan.start, plan.code) == ((), DecisionCode.UNSUITED)
    assert plan.reason == (
        "3 jobs need what only busy workers have (1 busy), and the newest worker lacked it: none starts for them now."
    )


def test_jobs_that_are_held_do_not_count_where_others_start_a_burst() -> None:
    seen = observed(ready=50, workers=crowd(BUSY), suiting=suits(held=20))

    assert decide(seen).code is DecisionCode.STEADY
    assert decide(seen.model_copy(update={"suiting": suits(held=9)})).code is DecisionCode.BURST


LIMITS: dict[DecisionCode, PoolObserved] = {
    DecisionCode.AT_MAXIMUM: observed(workers=crowd(IDLE), policy=ScalingPolicy(max_workers=1)),
    DecisionCode.START_BACKOFF: observed(workers=crowd(IDLE), failed_starts=2, since_failed=1),
    DecisionCode.FARM_AT_MAXIMUM: observed(workers=crowd(IDLE), farm=shared(5, held=4)),
    DecisionCode.EXECUTOR_UNREACHABLE: observed(workers=None),
    DecisionCode.UNKNOWN_COUNT: observed(ready=unknown(), workers=crowd(IDLE)),
}


@pytest.mark.parametrize("code", LIMITS)
def test_a_trial_is_bounded_as_all_starts_are(code: DecisionCode) -> None:
    plan = decide(LIMITS[code].model_copy(update={"suiting": suits(idle=1, on_trial=1)}))

    assert (plan.start, plan.code) == ((), code)


def test_a_pool_that_wants_a_trial_asks_for_one_place_beside_the_others() -> None:
    assert wanted(observed(workers=crowd(IDLE), suiting=suits(idle=1, on_trial=9))) == 1


def test_an_idle_worker_that_nobody_needs_is_drained_although_jobs_wait_for_what_was_tried() -> None:
    plan = decide(observed(workers=crowd(IDLE), quiet_seconds=30, suiting=suits(idle=1, tried=1)))

    assert (plan.drain, plan.code) == (("linux-1-1",), DecisionCode.SCALE_TO_ZERO)
