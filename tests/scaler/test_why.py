"""`/why`: sentences with numbers for every reason code, and for a build in every state."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given

from buildyard.contracts.api import BuildStatus, PoolIntake, PoolView
from buildyard.contracts.scaling import Decision, DecisionCode, PendingCode, PoolObserved, ScalingPolicy, WorkerState
from scaler.decide import decide
from scaler.reasons import MEANINGS, codes_table
from scaler.why import why_build, why_workers
from tests.scaler.fakes import START, build_status
from tests.scaler.observing import crowd, observed, shared, suits, unknown, worker
from tests.scaler.test_decide_properties import sights
from tests.scaler.test_replay import one_of_each

PENDING, IDLE, BUSY = WorkerState.PENDING, WorkerState.IDLE, WorkerState.BUSY
NOW = START + timedelta(seconds=100)


def decided(seen: PoolObserved, number: int = 1, seconds: float = 99.2, **changes: Any) -> Decision:
    at = START + timedelta(seconds=seconds)
    return Decision(number=number, at=at, woken_by="tick", observed=seen, plan=decide(seen), **changes)


def sentences(*decisions: Decision, view: PoolView | None = None) -> list[str]:
    return list(why_workers("linux", decisions, view, NOW).sentences)


CASES: dict[DecisionCode, tuple[PoolObserved, str]] = {
    DecisionCode.BURST: (observed(ready=41), "In numbers (burst): burst_size 5 - pending 0 = 5."),
    DecisionCode.FIRST_WORKER: (observed(ready=3), "1 worker started: 3 jobs wait and no worker is there to take one"),
    DecisionCode.WAITED_TOO_LONG: (
        observed(ready=3, workers=crowd(BUSY), oldest=7),
        "oldest 7.0 s >= max_wait 5 s: 1 - pending 0 - idle 0 = 1",
    ),
    DecisionCode.DRAIN_TARGET: (
        observed(ready=41, policy=ScalingPolicy(name="elastic"), job_seconds=12),
        "min(ready 41 + busy 0, (41 + 0/2) x job 12 s / drain_seconds 60 s) = 9; - pending 0 - idle 0 - busy 0 = 9.",
    ),
    DecisionCode.TRIAL_WORKER: (
        observed(workers=crowd(IDLE), suiting=suits(idle=1, on_trial=2)),
        "1 worker started: 2 jobs wait that no worker suits, and a new one may: start 1 (0 pending, 1 of 8",
    ),
    DecisionCode.UNSUITED: (
        observed(leases=1, workers=crowd(IDLE, BUSY), suiting=suits(idle=1, tried=1)),
        "1 job needs what no worker has, the newest neither: none starts for them now.",
    ),
    DecisionCode.STEADY: (observed(leases=2, workers=crowd(BUSY, BUSY)), "has 2 workers of at most 8 (2 busy)"),
    DecisionCode.WORKERS_COMING: (observed(ready=3, workers=crowd(PENDING)), "1 pending and 0 idle workers are on"),
    DecisionCode.AT_MAXIMUM: (
        observed(ready=9, workers=crowd(*[BUSY] * 8), oldest=9),
        "Bounded by max_workers 8 - present 8 = 0.",
    ),
    DecisionCode.FARM_AT_MAXIMUM: (
        observed(ready=3, farm=shared(5, held=5)),
        "All pools together hold 5 of at most 5 places (the other pools: docker 5).",
    ),
    DecisionCode.FAIR_SHARE: (
        observed(ready=50, workers=crowd(BUSY, BUSY), farm=shared(4, held=0, wanted=9)),
        "Bounded by share 2 of 4, all in use.",
    ),
    DecisionCode.GIVES_WAY: (
        observed(leases=3, workers=crowd(BUSY, IDLE, BUSY, BUSY), farm=shared(4, held=0, wanted=1, starving=True)),
        "1 worker asked to leave: docker waits for workers below its fair share, and 4 are present here of a share of",
    ),
    DecisionCode.IDLE_WAIT: (
        observed(workers=crowd(IDLE), quiet_seconds=12),
        "Idle workers are asked to leave in 18.0 s if all stays quiet.",
    ),
    DecisionCode.SCALE_TO_ZERO: (observed(workers=crowd(IDLE), quiet_seconds=30), "1 worker asked to leave"),
    DecisionCode.NOTHING_TO_DO: (observed(), "The pool linux has 0 workers of at most 8; 0 jobs wait and 0 run."),
    DecisionCode.UNKNOWN_COUNT: (
        observed(ready=unknown("The producer did not answer within 3 s.")),
        "Not trusted (unknown): ready jobs, tickets ready. The producer did not answer within 3 s.",
    ),
    DecisionCode.EXECUTOR_UNREACHABLE: (
        observed(ready=9, workers=None),
        "How many workers the pool linux has is not known: The folder is gone. 9 jobs wait and 0 run.",
    ),
    DecisionCode.START_BACKOFF: (
        observed(ready=9, failed_starts=3, since_failed=4),
        "Bounded by 2^3 s, 60 s at most = 8 s between starts.",
    ),
}


@pytest.mark.parametrize("code", DecisionCode)
def test_every_reason_code_is_answered_in_sentences_with_numbers(code: DecisionCode) -> None:
    seen, expected = CASES[code]
    answer = why_workers("linux", [decided(seen)], None, NOW)

    assert (answer.code, answer.number) == (code, 1)
    assert expected in " ".join(answer.sentences)
    assert f"At the last look, 0.8 s ago (decision 1, {code.value})" in " ".join(answer.sentences)


def test_every_reason_code_is_documented_with_what_follows() -> None:
    assert set(MEANINGS) == set(DecisionCode)
    assert all(f"| `{code.value}` |" in codes_table() for code in DecisionCode)


def well_formed(sentence: str) -> bool:
    return bool(re.fullmatch(r"[A-Z0-9](?s:.*)[.!]", sentence)) and ".." not in sentence


@given(sights)
def test_whatever_is_seen_is_answered_in_sentences(seen: PoolObserved) -> None:
    assert all(well_formed(sentence) for sentence in sentences(decided(seen))), sentences(decided(seen))


def test_every_recorded_view_is_answered() -> None:
    for seen in one_of_each():
        assert all(well_formed(sentence) for sentence in sentences(decided(seen)))


def test_why_there_are_so_many_workers_says_when_they_came_and_when_others_left() -> None:
    burst = decided(observed(ready=41), 7, seconds=-120)
    drained = decided(observed(workers=crowd(IDLE), quiet_seconds=30), 5, seconds=-4000)
    steady = observed(leases=5, workers=crowd(*[BUSY] * 5))
    told = sentences(decided(steady, 90), decided(steady, 9, seconds=-90), burst, drained)

    assert "5 workers were last started 3 min 40 s ago (decision 7, burst): 41 jobs wait, more than 40" in told[1]
    assert told[2].startswith("1 worker was last asked to leave 1 h 8 min ago (decision 5, scale_to_zero)")
    assert "It has been so for 3 min 10 s." in told


def test_why_nothing_starts_for_jobs_that_no_agent_suits() -> None:
    lacks = "No agent of the pool linux has dotnet >=8 (linux-1-1 has 3.1.102)."
    view = PoolView(
        name="linux",
        ready=0,
        waiting=2,
        leases=0,
        oldest_wait_seconds=None,
        agents={},
        generations={},
        unserved=(lacks,),
    )

    assert f"{lacks} Jobs that need it count as waiting." in sentences(decided(observed()), view=view)


def test_why_nothing_starts_in_a_paused_pool() -> None:
    intake = PoolIntake(paused=True, reason="disk swap", by="ann")
    view = PoolView(
        name="linux", ready=0, waiting=7, leases=0, oldest_wait_seconds=None, agents={}, generations={}, intake=intake
    )

    assert "The pool is paused by ann: disk swap; 7 jobs in it count as waiting, and start nobody." in sentences(
        decided(observed()), view=view
    )


def test_what_did_not_work_is_said_too() -> None:
    failure = "linux-1-1 was not started: The disk is full."

    assert failure in sentences(decided(observed(ready=1), failures=(failure,)))


def test_before_the_first_decision_there_is_nothing_to_explain() -> None:
    answer = why_workers("linux", [], None, NOW)

    assert (answer.code, len(answer.sentences)) == (None, 1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "Succeeded", "duration": 12.5}, "It does not wait: it ended as Succeeded after 12.5 s."),
        ({"status": "Failed", "duration": None, "reason": "Tests failed."}, "it ended as Failed. Tests failed."),
        ({"status": "Running", "start_time": START, "current_stage": "Test"}, "for 1 min 40 s, in the stage Test."),
        ({"status": "Received"}, "It came 1 min 40 s ago and is not queued yet"),
        ({"status": "Queued", "queue_position": 3}, "It has waited 1 min 40 s in the pool linux at place 3"),
    ],
)
def test_a_build_in_any_state_is_explained(changes: dict[str, Any], expected: str) -> None:
    build: BuildStatus = build_status().model_copy(update=changes)

    assert expected in " ".join(why_build(build, [decided(observed(ready=4))], None, NOW).sentences)


def test_a_build_that_waits_is_explained_by_its_pool_too() -> None:
    build = build_status().model_copy(update={"status": "Queued"})
    answer = why_build(build, [decided(observed(ready=9, workers=crowd(*[BUSY] * 8), oldest=9))], None, NOW)

    assert answer.code is DecisionCode.AT_MAXIMUM
    assert "Raise `max_workers` in the pools file if there is room for more." in answer.sentences


def test_who_waits_for_its_platform_is_named_with_the_reason() -> None:
    waits = {"pending_code": PendingCode.IMAGE_PULL, "pending_reason": "The registry has no image farm:7."}
    workers = (
        worker(1, PENDING).model_copy(update=waits),
        worker(2, PENDING).model_copy(update=waits),
        worker(3, WorkerState.EXITED).model_copy(update={"pending_code": PendingCode.QUOTA}),
    )

    told = sentences(decided(observed(ready=2, workers=workers)))

    assert "Worker linux-1-1 (and 1 more like it) waits for its image: The registry has no image farm:7." in told
    assert "Worker linux-3-1 never began to run; it waited for its quota: no reason was given." in told


def test_a_back_off_says_why_the_last_worker_never_began() -> None:
    gone = worker(1, WorkerState.EXITED).model_copy(
        update={"pending_code": PendingCode.NO_NODE, "pending_reason": "No machine has 64 cores."}
    )

    plan = decide(observed(ready=2, workers=(gone,), failed_starts=1, since_failed=0.5))

    assert plan.code is DecisionCode.START_BACKOFF
    assert plan.reason.endswith("No machine has 64 cores.")
