"""When a job is tried again, how long it waits, and when it is given up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.builds import BuildState, JobState, Outcome, ReasonCode
from orchestrator.domain.retrying import (
    LONGEST_BACKOFF_SECONDS,
    TEMPORARY_CODES,
    backoff_seconds,
    counted,
    is_due,
    worth_another,
)
from tests.orchestrator.world import LIMITS, START, World


@given(st.integers(-5, 10_000))
def test_waits_double_from_one_second_to_a_minute(tries: int) -> None:
    wait = backoff_seconds(tries)

    assert 0 <= wait <= LONGEST_BACKOFF_SECONDS
    assert backoff_seconds(tries + 1) >= wait
    assert (wait == 0) == (tries <= 0)


def test_the_first_waits_are_one_two_and_four_seconds() -> None:
    assert [backoff_seconds(tries) for tries in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.integers(-86_400, 86_400))
def test_no_wait_lasts_longer_than_a_minute_whatever_the_clock_does(ahead: int) -> None:
    now = START + timedelta(seconds=ahead)

    assert is_due(START, now) == (ahead >= 0 or ahead < -LONGEST_BACKOFF_SECONDS)


@given(st.sampled_from(list(Outcome)), st.sampled_from(list(ReasonCode)))
def test_only_temporary_ends_are_worth_another_attempt(outcome: Outcome, code: ReasonCode) -> None:
    if outcome is Outcome.FAILED:
        assert worth_another(outcome, code) == (code in TEMPORARY_CODES)
    else:
        assert worth_another(outcome, code) == (outcome in {Outcome.HANDED_BACK, Outcome.LOST})


def test_a_handed_back_attempt_counts_as_nothing() -> None:
    job = next(iter(World.admitted().jobs.values()))

    assert counted(job, Outcome.HANDED_BACK) == job
    assert counted(job, Outcome.LOST) == replace(job, crashes=1)
    assert counted(job, Outcome.FAILED) == replace(job, failures=1)


def test_a_job_whose_attempt_was_lost_waits_without_a_ticket_until_its_time_has_come() -> None:
    world = World.admitted()
    world.lose(world.claim())

    assert not world.ready()
    assert world.tickets == 1
    world.wait(0.9)
    world.end_waits()
    assert not world.ready()
    world.wait(0.1)
    world.end_waits()

    assert [job.not_before for job in world.ready()] == [None]
    assert world.tickets == 2


@pytest.mark.parametrize("code", sorted(TEMPORARY_CODES))
def test_a_temporary_failure_is_tried_again_until_the_attempts_are_used_up(code: ReasonCode) -> None:
    world = World.admitted()
    for number in range(1, LIMITS.max_attempts + 1):
        assert world.build.state in {BuildState.QUEUED, BuildState.RUNNING}
        world.finish(world.claim(), Outcome.FAILED, code=code, reason=f"Time {number}.")
        world.wait(60)
        world.end_waits()

    assert (world.build.state, world.build.reason_code) == (BuildState.FAILED, code)
    assert world.build.reason == "It was tried 3 times; the last time: Time 3."
    assert [attempt.reason for attempt in world.attempts.values()][:2] == ["Time 1.", "Time 2."]
    waits = [event.data.get("retryInSeconds") for event in world.events if event.type == "attempt_ended"]
    assert waits == [1, 2, None]


def test_a_permanent_failure_is_never_tried_again() -> None:
    world = World.admitted()

    world.finish(world.claim(), Outcome.FAILED, code=ReasonCode.COMMAND_FAILED)

    assert world.build.state is BuildState.FAILED
    assert len(world.attempts) == 1


def test_a_temporary_failure_of_a_build_that_is_being_cancelled_ends_it() -> None:
    world = World.admitted()
    attempt = world.claim()
    world.cancel()

    world.finish(attempt, Outcome.FAILED, code=ReasonCode.DISK_FULL)

    assert world.build.state is BuildState.CANCELLED
    assert all(job.state is JobState.CANCELLED for job in world.jobs.values())


def test_a_build_that_waits_to_be_tried_again_is_cancelled_at_once() -> None:
    world = World.admitted()
    world.lose(world.claim())

    world.cancel()

    assert world.build.state is BuildState.CANCELLED
    assert not world.waiting()
