"""What holds for every decision, whatever is seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.scaling import (
    DecisionCode,
    LearnedStart,
    PoolObserved,
    PoolSuiting,
    Reading,
    ScalingPolicy,
    Trust,
    WorkerState,
    WorkerView,
)
from scaler.decide import decide
from scaler.readings import slot_of
from tests.scaler.observing import known, observed, suits, worker

LIVE = [state for state in WorkerState if state is not WorkerState.EXITED]


@st.composite
def readings(draw: st.DrawFn, largest: int = 200) -> Reading:
    trust = draw(st.sampled_from(Trust))
    value = None if trust is Trust.UNKNOWN else draw(st.integers(0, largest) | st.just(0))
    return Reading(value=value, source="test", trust=trust, cause="" if trust is Trust.TRUSTED else "For a reason.")


@st.composite
def crowds(draw: st.DrawFn) -> tuple[WorkerView, ...]:
    slots = draw(st.lists(st.integers(1, 12), max_size=10, unique=True))
    return tuple(
        worker(slot, draw(st.sampled_from(WorkerState)), draw(st.integers(1, 5)), age=draw(st.floats(0, 300)))
        for slot in slots
    )


few = st.integers(0, 6)
suitings = st.builds(suits, few, few, few, held=few, on_trial=few, tried=few)


policies = st.fixed_dictionaries(
    {
        "burst_threshold": st.integers(0, 60),
        "burst_size": st.integers(1, 8),
        "max_workers": st.integers(0, 12),
        "idle_seconds": st.floats(0, 60),
        "max_wait": st.floats(0, 10),
        "name": st.sampled_from(["burst", "elastic"]),
        "drain_seconds": st.floats(1, 100),
    }
).map(ScalingPolicy.model_validate)
sights = st.builds(
    observed,
    policy=policies,
    ready=readings(),
    leases=readings(3),
    oldest=st.none() | st.floats(0, 100),
    queue_ready=readings(3),
    queue_unacked=readings(3),
    queue_total=readings(3),
    workers=st.none() | crowds(),
    quiet_seconds=st.floats(0, 100),
    generations=st.dictionaries(st.integers(1, 12), st.integers(1, 9), max_size=6),
    failed_starts=st.integers(0, 8),
    since_failed=st.none() | st.floats(0, 100),
    job_seconds=st.none() | st.just(0.0) | st.floats(0.001, 1000),
    suiting=st.none() | suitings,
    start_seconds=st.none() | st.floats(0, 300),
)
quiet_sights = st.builds(observed, policy=policies, workers=crowds(), quiet_seconds=st.floats(0, 100))


def live(seen: PoolObserved) -> list[WorkerView]:
    return [one for one in seen.workers or () if one.state is not WorkerState.EXITED]


def pending(seen: PoolObserved) -> int:
    return sum(one.state is WorkerState.PENDING for one in seen.workers or ())


def by(name: str, seen: PoolObserved, drain_seconds: float | None = None) -> PoolObserved:
    """The same, under another policy."""
    update = {"name": name, **({"drain_seconds": drain_seconds} if drain_seconds else {})}
    return seen.model_copy(update={"policy": seen.policy.model_copy(update=update)})


def after_starting(seen: PoolObserved, names: tuple[str, ...]) -> PoolObserved:
    """The next look: nothing new, but the started workers are pending."""
    places = [slot_of("linux", name) for name in names]
    started = [worker(place[0], WorkerState.PENDING, place[1]) for place in places if place]
    return seen.model_copy(update={"workers": (*(seen.workers or ()), *started)})


@given(sights)
def test_equal_values_give_equal_plans(seen: PoolObserved) -> None:
    replayed = PoolObserved.model_validate_json(seen.encode())

    assert decide(replayed) == decide(seen)


@given(sights)
def test_never_more_workers_than_the_maximum(seen: PoolObserved) -> None:
    plan = decide(seen)

    assert not plan.start or len(live(seen)) + len(plan.start) <= seen.policy.max_workers


@given(sights)
def test_a_tick_starts_no_more_than_the_step(seen: PoolObserved) -> None:
    assert len(decide(seen).start) <= seen.policy.burst_size


@given(sights)
def test_pending_workers_are_subtracted_from_a_burst(seen: PoolObserved) -> None:
    plan = decide(by("burst", seen))

    assert not plan.start or len(plan.start) + pending(seen) <= seen.policy.burst_size


@given(sights)
def test_by_elastic_nobody_is_started_for_a_job_that_a_free_worker_can_take(seen: PoolObserved) -> None:
    seen = by("elastic", seen).model_copy(update={"suiting": None})
    free = sum(one.state in {WorkerState.PENDING, WorkerState.IDLE} for one in seen.workers or ())

    assert len(decide(seen).start) <= max(0, (seen.ready.value or 0) - free)


@given(sights, st.floats(1, 100), st.floats(1, 100))
def test_by_elastic_a_shorter_drain_time_never_starts_fewer(seen: PoolObserved, one: float, other: float) -> None:
    seen = by("elastic", seen).model_copy(update={"oldest_wait_seconds": None})
    fewer, more = (len(decide(by("elastic", seen, seconds)).start) for seconds in (max(one, other), min(one, other)))

    assert fewer <= more


@given(sights)
def test_a_second_tick_without_news_starts_nothing_more(seen: PoolObserved) -> None:
    # Only the maximum may have cut the first step of a burst short, so nothing at all may follow it.
    first = decide(by("burst", seen))
    if first.start:
        assert decide(after_starting(by("burst", seen), first.start)).start == ()


@given(sights)
def test_by_elastic_ticks_without_news_come_to_an_end_at_what_is_needed(seen: PoolObserved) -> None:
    seen = by("elastic", seen)
    for _ in range(1 + seen.policy.max_workers):
        plan = decide(seen)
        seen = after_starting(seen, plan.start)
    assert decide(seen).start == ()


@given(sights)
def test_a_plan_below_the_need_says_what_bounds_it(seen: PoolObserved) -> None:
    plan = decide(seen)
    asked = int(plan.formula.rsplit(" ", 1)[1]) if plan.formula else 0

    assert len(plan.start) == max(0, asked) or plan.clamps


@given(sights, st.integers(1, 100))
def test_more_work_never_starts_fewer(seen: PoolObserved, more: int) -> None:
    heavier = seen.model_copy(update={"ready": known((seen.ready.value or 0) + more, seen.ready.trust)})
    if seen.ready.trust is not Trust.UNKNOWN:
        assert len(decide(heavier).start) >= len(decide(seen).start)


@given(sights)
def test_whatever_is_not_trusted_never_scales_down(seen: PoolObserved) -> None:
    counts = (seen.ready, seen.leases, seen.queue_ready, seen.queue_unacked, seen.queue_total)
    if any(count.trust is not Trust.TRUSTED or count.value != 0 for count in counts) or seen.workers is None:
        assert decide(seen).drain == ()


@given(sights)
def test_unknown_ready_jobs_never_start_a_worker(seen: PoolObserved) -> None:
    if seen.ready.trust is Trust.UNKNOWN or seen.workers is None:
        assert decide(seen).start == ()


@given(sights)
def test_only_idle_workers_are_drained_and_none_is_started_meanwhile(seen: PoolObserved) -> None:
    plan = decide(seen)
    idle = {one.name for one in live(seen) if one.state is WorkerState.IDLE}

    assert set(plan.drain) <= idle
    assert not (plan.start and plan.drain)


@given(sights, suitings)
def test_jobs_that_no_worker_suits_get_one_worker_on_trial_where_there_is_room(
    seen: PoolObserved, suiting: PoolSuiting
) -> None:
    """Whatever else waits or idles there."""
    update = {"suiting": suiting.model_copy(update={"on_trial": 1}), "failed_starts": 0}
    seen = seen.model_copy(update=update)
    plan = decide(seen)
    if seen.workers is None or seen.ready.trust is Trust.UNKNOWN or len(live(seen)) >= seen.policy.max_workers:
        assert plan.start == ()
    else:
        assert plan.start or pending(seen)
        assert plan.code is not DecisionCode.TRIAL_WORKER or len(plan.start) == 1


@given(sights, few)
def test_jobs_that_wait_for_a_busy_worker_or_were_tried_start_nobody(seen: PoolObserved, tried: int) -> None:
    ready = seen.ready.value or 0
    seen = seen.model_copy(update={"suiting": suits(held=ready, tried=tried)})

    assert decide(seen).start == ()


@given(sights)
def test_where_each_idle_worker_suits_a_job_all_is_as_where_nobody_needs_anything(seen: PoolObserved) -> None:
    idle = sum(one.state is WorkerState.IDLE for one in seen.workers or ())
    all_suit = seen.model_copy(update={"suiting": suits(seen.ready.value or 0, idle, idle)})

    assert decide(all_suit) == decide(seen.model_copy(update={"suiting": None}))


@given(sights, suitings)
def test_an_idle_worker_that_suits_no_job_never_keeps_one_from_starting(
    seen: PoolObserved, suiting: PoolSuiting
) -> None:
    """More of them suit nothing: never fewer start."""
    fewer = suiting.model_copy(update={"idle_for_ready": 0})
    some, more = (seen.model_copy(update={"suiting": one}) for one in (suiting, fewer))

    assert len(decide(more).start) >= len(decide(some).start)


@given(sights, st.floats(0, 300), st.floats(0, 300))
def test_by_elastic_a_longer_start_never_starts_more(seen: PoolObserved, one: float, other: float) -> None:
    seen = by("elastic", seen)
    fewer, more = (
        len(decide(seen.model_copy(update={"learned_start": LearnedStart(seconds=seconds, workers=1)})).start)
        for seconds in (max(one, other), min(one, other))
    )

    assert fewer <= more


@given(quiet_sights)
def test_a_pool_quiet_for_long_enough_drains_exactly_the_idle(seen: PoolObserved) -> None:
    idle = {one.name for one in live(seen) if one.state is WorkerState.IDLE}
    due = seen.quiet_seconds >= seen.policy.idle_seconds

    assert set(decide(seen).drain) == (idle if due else set())


@given(sights)
def test_waiting_work_without_a_living_worker_is_always_served(seen: PoolObserved) -> None:
    alone = seen.model_copy(update={"workers": (), "failed_starts": 0, "suiting": None})
    if seen.ready.value and seen.policy.max_workers:
        assert decide(alone).start


@given(sights)
def test_names_are_new_and_lie_in_free_slots(seen: PoolObserved) -> None:
    plan = decide(seen)
    taken = {one.slot for one in live(seen)}
    past = {(one.slot, one.generation) for one in seen.workers or ()}
    for name in plan.start:
        place = slot_of("linux", name)
        assert place is not None
        assert place[0] not in taken
        assert place not in past
        assert place[1] > seen.generations.get(place[0], 0)
    assert len(set(plan.start)) == len(plan.start)


@given(sights)
def test_every_reason_is_a_sentence(seen: PoolObserved) -> None:
    reason = decide(seen).reason

    assert reason[0].isupper() or reason[0].isdigit()
    assert reason.endswith(".")
    assert ".." not in reason
