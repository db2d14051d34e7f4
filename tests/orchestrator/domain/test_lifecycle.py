"""What each fact changes."""

from __future__ import annotations

import pytest

from buildyard.contracts.builds import BuildState, JobKind, JobState, Outcome, ReasonCode
from buildyard.errors import Conflict, InvalidRequest
from orchestrator.domain.planning import plan_batch
from tests.orchestrator.world import START, World, a_batch, a_build, an_id


def test_an_admitted_build_is_queued_with_one_ready_job_and_one_ticket() -> None:
    world = World.admitted()

    assert world.build.state is BuildState.QUEUED
    assert [job.state for job in world.jobs.values()] == [JobState.READY]
    assert world.tickets == 1


def test_a_claim_starts_the_build_and_a_success_ends_it_with_its_reason() -> None:
    world = World.admitted()
    attempt = world.claim()
    assert world.build.state is BuildState.RUNNING

    world.finish(attempt, Outcome.SUCCEEDED, reason="All stages succeeded.")

    assert world.build.state is BuildState.SUCCEEDED
    assert (world.build.reason_code, world.build.reason) == (ReasonCode.SUCCEEDED, "All stages succeeded.")


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.FAILED, BuildState.FAILED),
        (Outcome.TIMED_OUT, BuildState.TIMED_OUT),
        (Outcome.REJECTED, BuildState.REJECTED),
    ],
)
def test_the_outcome_of_its_only_job_is_the_end_of_a_build(outcome: Outcome, state: BuildState) -> None:
    world = World.admitted()

    world.finish(world.claim(), outcome, code=ReasonCode.COMMAND_FAILED)

    assert world.build.state is state


def test_a_handed_back_job_is_ready_again_and_no_crash_is_counted() -> None:
    world = World.admitted()

    for _ in range(10):
        world.finish(world.claim(), Outcome.HANDED_BACK, code=ReasonCode.HANDED_BACK)

    assert world.build.state is BuildState.RUNNING
    assert [(job.state, job.crashes) for job in world.jobs.values()] == [(JobState.READY, 0)]
    assert world.tickets == 11


def test_a_job_that_loses_its_worker_three_times_fails_the_build_and_says_so() -> None:
    world = World.admitted()

    for _ in range(3):
        assert world.build.state in {BuildState.QUEUED, BuildState.RUNNING}
        world.lose(world.claim())
        world.wait(60)
        world.end_waits()

    assert world.build.state is BuildState.FAILED
    assert world.build.reason_code is ReasonCode.WORKER_LOST
    assert "died 3 times" in world.build.reason


def test_a_queued_build_is_cancelled_at_once() -> None:
    world = World.admitted()

    world.cancel()

    assert world.build.state is BuildState.CANCELLED
    assert not world.ready()


def test_a_running_build_is_cancelled_once_its_worker_stopped() -> None:
    world = World.admitted()
    attempt = world.claim()

    world.cancel()
    assert world.build.state is BuildState.CANCELLING
    world.finish(attempt, Outcome.CANCELLED, code=ReasonCode.CANCELLED)

    assert world.build.state is BuildState.CANCELLED
    assert world.build.reason == "Cancelled by local."


def test_a_second_cancel_changes_nothing_and_a_cancel_after_the_end_is_refused() -> None:
    world = World.admitted()
    world.cancel()
    world.cancel()
    other = World.admitted()
    other.finish(other.claim(), Outcome.SUCCEEDED)

    with pytest.raises(Conflict, match="has ended already: Succeeded"):
        other.cancel()


def test_a_batch_ends_after_all_its_rows_are_collected() -> None:
    world = World.admitted()
    world.finish(world.claim(), Outcome.SUCCEEDED, found=a_batch(3))
    assert [job.kind for job in world.ready()] == [JobKind.ROWS] * 3
    assert world.tickets == 4

    for _ in range(3):
        world.finish(world.claim(), Outcome.SUCCEEDED)
    assert [job.kind for job in world.ready()] == [JobKind.COLLECT]
    world.finish(world.claim(), Outcome.SUCCEEDED)

    assert world.build.state is BuildState.SUCCEEDED
    assert world.build.reason == "All 3 rows succeeded."


def test_a_part_of_a_batch_whose_worker_keeps_dying_does_not_stop_the_others() -> None:
    world = World.admitted()
    world.finish(world.claim(), Outcome.SUCCEEDED, found=a_batch(2))
    first = world.claim()
    world.lose(first)

    while any(job.kind is JobKind.ROWS for job in world.ready() + world.waiting()):
        world.wait(60)
        world.end_waits()
        attempt = world.claim()
        world.lose(attempt) if attempt.job_id == first.job_id else world.finish(attempt, Outcome.SUCCEEDED)

    assert [job.kind for job in world.ready()] == [JobKind.COLLECT]


def test_chunks_that_leave_a_row_out_are_refused() -> None:
    found = a_batch(3)
    broken = found.model_copy(update={"chunks": (found.chunks[0], found.chunks[2])})

    with pytest.raises(InvalidRequest, match="leave row 2 out"):
        plan_batch(a_build(), broken, tuple(an_id(n) for n in range(4)), START)
