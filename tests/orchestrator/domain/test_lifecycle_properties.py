"""What holds whatever happens, in whatever order."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.builds import BuildState, JobState, Outcome, ReasonCode
from buildyard.errors import Conflict
from orchestrator.domain.lifecycle import WAYS
from orchestrator.domain.sweeping import FIRST_TICKETS, overdue, tickets_to_reissue
from tests.orchestrator.world import LIMITS, World, a_batch

Fact = tuple[str, tuple[Outcome, ReasonCode], int]
FACTS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "finish", "lose", "cancel", "wait", "batch", "sweep"]),
        st.tuples(st.sampled_from(list(Outcome)), st.sampled_from(list(ReasonCode))),
        st.integers(0, 400),
    ),
    max_size=40,
)


def happen(world: World, fact: str, how: tuple[Outcome, ReasonCode], number: int) -> None:
    live = world.live()
    if fact == "claim" and world.ready() and not world.build.state.terminal:
        world.claim(f"linux-{number}-1")
    elif fact == "finish" and live:
        world.finish(live[number % len(live)], how[0], code=how[1])
    elif fact == "batch" and live and world.build.rows_total is None:
        world.finish(live[number % len(live)], Outcome.SUCCEEDED, found=a_batch(1 + number % 5))
    elif fact == "lose" and live:
        world.lose(live[number % len(live)])
    elif fact == "cancel":
        with contextlib.suppress(Conflict):
            world.cancel()
    elif fact == "wait":
        world.wait(number)
        world.end_waits()
    elif fact == "sweep":
        step = overdue(world.build, world.now, LIMITS, world.now)
        if step:
            world.apply(step)


@given(FACTS)
def test_an_ended_build_never_changes_and_always_has_a_reason(facts: list[Fact]) -> None:
    world = World.admitted()

    for fact, how, number in facts:
        happen(world, fact, how, number)  # World.apply asserts that an ended build stays as it is

    if world.build.state.terminal:
        assert world.build.reason
        assert world.build.reason_code is not None
        assert world.build.ended_at is not None
        assert all(job.state.terminal for job in world.jobs.values())
        assert not world.live()


@given(FACTS)
def test_a_job_has_at_most_one_live_attempt_and_it_is_the_newest(facts: list[Fact]) -> None:
    world = World.admitted()

    for fact, how, number in facts:
        happen(world, fact, how, number)
        for attempt in world.live():
            job = world.jobs[attempt.job_id]
            assert (job.state, job.attempt) == (JobState.RUNNING, attempt.number)
        assert len({attempt.job_id for attempt in world.live()}) == len(world.live())


@given(FACTS)
def test_an_open_build_always_has_a_job_that_somebody_can_move(facts: list[Fact]) -> None:
    world = World.admitted()

    for fact, how, number in facts:
        happen(world, fact, how, number)
        if not world.build.state.terminal:
            assert world.ready() or world.live() or world.waiting()


@settings(max_examples=50)
@given(FACTS)
def test_every_build_ends_in_bounded_time_when_nobody_does_anything_more(
    facts: list[Fact],
) -> None:
    world = World.admitted()
    for fact, how, number in facts:
        happen(world, fact, how, number)

    for _ in range(3):
        world.wait(2 * 86_400)
        step = overdue(world.build, None, LIMITS, world.now)
        if step:
            world.apply(step)

    assert world.build.state.terminal


def test_every_state_has_a_way_to_an_end() -> None:
    for state in BuildState:
        reached, edge = {state}, [state]
        while edge:
            for following in WAYS[edge.pop()] - reached:
                reached.add(following)
                edge.append(following)
        assert any(one.terminal for one in reached)
        assert not state.terminal or not WAYS[state]


@given(FACTS)
def test_no_job_is_tried_more_often_than_allowed_however_its_attempts_end(facts: list[Fact]) -> None:
    world = World.admitted()

    for fact, how, number in facts:
        happen(world, fact, how, number)
        for job in world.jobs.values():
            assert job.tries <= LIMITS.max_attempts
            if job.tries == LIMITS.max_attempts:
                assert job.state.terminal


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_no_more_tickets_are_reissued_than_are_missing(ready: int, tickets: int, pending: int) -> None:
    count = tickets_to_reissue(ready, tickets, pending)

    assert 0 <= count <= ready
    assert tickets + pending + count >= ready or (tickets, count) == (0, FIRST_TICKETS)
