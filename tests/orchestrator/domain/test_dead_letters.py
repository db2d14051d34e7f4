"""Which ends make a dead letter, and what a person may do with it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.builds import BuildState, GitSource, JobKind, JobState, Outcome, ReasonCode
from buildyard.errors import Conflict
from orchestrator.domain import dead_letters
from orchestrator.domain.planning import plan_batch
from orchestrator.domain.records import Build, DeadLetter
from tests.orchestrator.domain.test_lifecycle_properties import FACTS, Fact, happen
from tests.orchestrator.world import LIMITS, START, World, a_batch, a_build, an_id

ENDS = [state for state in BuildState if state.terminal]


def ended(state: BuildState = BuildState.FAILED, code: ReasonCode = ReasonCode.WORKER_LOST) -> Build:
    return replace(a_build(), state=state, reason_code=code, reason="So it is.", ended_at=START)


@given(FACTS)
def test_a_build_is_a_dead_letter_exactly_when_its_end_says_so(facts: list[Fact]) -> None:
    world = World.admitted()
    for fact, how, number in facts:
        happen(world, fact, how, number)

    build = world.build
    dead = [event.type for event in world.events].count("build_dead")
    assert dead == (world.dead is not None)
    if build.reason_code is not None and build.state.terminal:
        given_up = build.reason_code is ReasonCode.ROWS_FAILED and "used up their attempts" in build.reason
        assert (world.dead is not None) == (dead_letters.is_dead(build.state, build.reason_code) or given_up)
    else:
        assert world.dead is None


@given(st.sampled_from(ENDS), st.sampled_from(list(ReasonCode)))
def test_nobody_is_asked_about_a_success_or_what_a_person_wanted(state: BuildState, code: ReasonCode) -> None:
    if state in {BuildState.SUCCEEDED, BuildState.CANCELLED}:
        assert not dead_letters.is_dead(state, code)
    if code in {ReasonCode.COMMAND_FAILED, ReasonCode.TESTS_FAILED, ReasonCode.CANCELLED, ReasonCode.INFECTED}:
        assert not dead_letters.is_dead(state, code)


def test_a_build_that_kills_its_worker_three_times_is_a_dead_letter_with_all_its_attempts() -> None:
    world = World.admitted()
    for _ in range(LIMITS.max_attempts):
        world.lose(world.claim())
        world.wait(60)
        world.end_waits()

    assert world.build.ended_at is not None
    assert world.dead == DeadLetter(world.build.id, world.build.ended_at)
    assert [event.type for event in world.events][-2:] == ["build_dead", "build_ended"]
    assert len(world.attempts) == 3


def test_a_batch_with_a_part_that_keeps_killing_its_worker_is_a_dead_letter() -> None:
    world = World.admitted()
    world.finish(world.claim(), Outcome.SUCCEEDED, found=a_batch(1))
    for _ in range(LIMITS.max_attempts):
        world.lose(world.claim())
        world.wait(60)
        world.end_waits()
    world.build = replace(world.build, rows_failed=1)

    world.finish(world.claim(), Outcome.SUCCEEDED)

    assert world.build.reason_code is ReasonCode.ROWS_FAILED
    assert world.build.reason.endswith("1 of its jobs used up their attempts.")
    assert world.dead is not None


@given(st.sampled_from(list(BuildState)), st.sampled_from([None, *ReasonCode]))
def test_an_ended_build_is_asked_for_again_as_it_was_but_one_that_goes_on_is_not(
    state: BuildState, code: ReasonCode | None
) -> None:
    old = replace(a_build(), state=state, reason_code=code, rows_total=5, rows_ok=2, toolchain="batch", event_seq=9)

    if not state.terminal or code is ReasonCode.INFECTED:
        with pytest.raises(Conflict):
            dead_letters.again(old, an_id(2), "me", START)
        return
    new = dead_letters.again(old, an_id(2), "me", START)

    asked = replace(a_build(), id=an_id(2), requester="me", created_at=START, retry_of=old.id)
    assert new == asked


def test_a_dead_letter_is_settled_once() -> None:
    old, letter = ended(), DeadLetter(an_id(1), START)
    new = dead_letters.again(old, an_id(2), "me", START)

    requeued = dead_letters.requeue(old, letter, new).dead
    dropped = dead_letters.drop(old, letter, "No use.", "me", START).dead

    assert requeued is not None
    assert dropped is not None
    assert (requeued.resolution, requeued.requeued_as, requeued.resolved_by) == ("requeued", an_id(2), "me")
    assert (dropped.resolution, dropped.note, dropped.resolved_at) == ("dropped", "No use.", START)
    for settled, how in ((requeued, "requeued as build"), (dropped, "dropped by me"), (None, "no dead letter")):
        with pytest.raises(Conflict, match=how):
            dead_letters.drop(old, settled, "Again.", "me", START)
    assert dead_letters.requeue(old, dropped, new).dead is None, "a retry of a settled one leaves it settled"


@given(st.data(), st.integers(1, 30))
def test_only_chunks_with_a_row_left_are_planned_again(data: st.DataObject, rows: int) -> None:
    done = sorted(data.draw(st.sets(st.integers(1, rows))))
    ids = tuple(an_id(n) for n in range(rows + 1))

    *jobs, collect = plan_batch(a_build(), a_batch(rows), ids, START, done)
    # What is shared stays as it was cut, though some jobs have nothing left to do.
    assert {job.part.sharers for job in jobs if job.part} <= {rows}

    planned = [job.part.span.first for job in jobs if job.part]
    assert sorted(planned + done) == list(range(1, rows + 1))
    assert collect.kind is JobKind.COLLECT
    assert collect.state is (JobState.WAITING if jobs else JobState.READY)
    assert len({job.id for job in (*jobs, collect)}) == len(jobs) + 1


def test_rows_are_carried_over_only_from_the_very_same_batch() -> None:
    found = a_batch(3)
    old = replace(ended(code=ReasonCode.ROWS_FAILED), rows_total=3)
    new = dead_letters.again(old, an_id(2), "me", START)

    assert dead_letters.carries_over(old, new, found)
    assert not dead_letters.carries_over(old, new, a_batch(4))
    assert not dead_letters.carries_over(replace(old, state=BuildState.SUCCEEDED), new, found)
    assert not dead_letters.carries_over(replace(old, source=a_build(7).source), new, found)
    for ref, carried in (("main", False), ("a" * 40, True), ("a" * 39, False)):
        git = GitSource(url="https://example.org/x.git", ref=ref)
        assert dead_letters.carries_over(replace(old, source=git), replace(new, source=git), found) is carried
