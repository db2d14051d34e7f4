"""Several sources count a queue: which zero is believed, and that every other becomes UNKNOWN and drains nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.agents import AgentState
from buildyard.contracts.api import AgentList, PoolList, PoolView, WorkerInfo
from buildyard.contracts.scaling import DecisionCode, PoolConfig, PoolObserved, Reading, ScalingPolicy, Trust
from buildyard.ports import Depth, Uncounted
from scaler.decide import decide, is_quiet
from scaler.readings import Answer, Movement, Seen, movement, observe, witness_readings
from tests.scaler.fakes import START, agent_view

POOL = PoolConfig(name="linux", policy=ScalingPolicy(idle_seconds=30))
DECLARED = Depth(
    ready=0, unacked=None, consumers=None, source="amqp passive declare", age_seconds=0, took_seconds=0.002
)
MANAGED = Depth(
    ready=0,
    unacked=0,
    consumers=None,
    source="rabbitmq management",
    age_seconds=7,
    total=0,
    has_leader=True,
    sampled=True,
)
METRICS = replace(MANAGED, source="rabbitmq metrics", age_seconds=3, has_leader=None)
EMBEDDED = Depth(ready=0, unacked=0, consumers=0, source="sqlite", age_seconds=0, total=0)
LONG = 3600.0


def seen(*depths: Depth | Uncounted, leases: int = 0, still: float = LONG, age: float = 0.01, cause: str = "") -> Seen:
    """A look at a pool with one idle worker, in which all but the broker is calm unless told otherwise."""
    view = PoolView(
        name="linux",
        ready=0,
        waiting=0,
        leases=leases,
        oldest_wait_seconds=None,
        agents={"idle": 1},
        generations={1: 1},
    )
    worker = WorkerInfo(name="linux-1-1", pool="linux", state="Running", age_seconds=100)
    return Seen(
        Answer(PoolList(pools=(view,), at=START), 0.01),
        Answer(AgentList(agents=(agent_view("linux-1-1", AgentState.IDLE),)), 0.01),
        Answer(None if cause else depths, age, cause),
        Answer((worker,)),
        still,
    )


def drains(look: Seen) -> bool:
    """Whether a worker would go, had all been quiet for long."""
    return bool(decide(observe(POOL, look).model_copy(update={"quiet_seconds": LONG})).drain)


def doubts(look: Seen) -> list[Reading]:
    found = observe(POOL, look)
    return [reading for reading in queue(found) if reading.trust is Trust.UNKNOWN]


def queue(found: PoolObserved) -> tuple[Reading, Reading, Reading]:
    return found.queue_ready, found.queue_unacked, found.queue_total


@pytest.mark.parametrize("depths", [(EMBEDDED,), (DECLARED,), (DECLARED, MANAGED), (DECLARED, MANAGED, METRICS)])
def test_a_zero_on_which_all_witnesses_agree_is_trusted(depths: tuple[Depth, ...]) -> None:
    look = seen(*depths)

    assert is_quiet(observe(POOL, look))
    assert drains(look)


def test_a_trusted_zero_names_its_sources_and_the_age_of_the_oldest() -> None:
    total = observe(POOL, seen(DECLARED, MANAGED, METRICS)).queue_total

    assert total.source == "amqp passive declare + producer leases + rabbitmq management + rabbitmq metrics"
    assert (total.value, total.trust, total.age_seconds) == (0, Trust.TRUSTED, 7.01)


FALSE_ZEROS = {
    "no leader": (seen(DECLARED, replace(MANAGED, has_leader=False)), "no leader, says rabbitmq management"),
    "slow leader": (seen(replace(DECLARED, took_seconds=0.252)), "leader may be missing"),
    "statistics have stopped": (seen(DECLARED, replace(MANAGED, age_seconds=16)), "has stopped"),
    "no such queue": (seen(DECLARED, Uncounted("rabbitmq management", "It knows no such queue.")), "no such queue"),
    "negative": (seen(DECLARED, replace(MANAGED, unacked=-1)), "cannot be"),
    "negative total": (seen(DECLARED, replace(MANAGED, total=-1)), "cannot be"),
    "less than its parts": (seen(DECLARED, replace(MANAGED, ready=2)), "cannot be"),
    "no unacknowledged": (seen(DECLARED, replace(MANAGED, unacked=None)), "does not tell all counts"),
    "no total": (seen(DECLARED, replace(METRICS, total=None)), "does not tell all counts"),
    "stale": (seen(DECLARED, age=2.1), "older than 2 s"),
    "negative declare": (seen(replace(DECLARED, ready=-1)), "negative"),
    "no answer": (seen(cause="The broker did not answer within 3 s."), "did not answer"),
    "no count of its own": (seen(MANAGED), "gives no count"),
    "nothing": (seen(), "gives no count"),
    "unsettled": (seen(DECLARED, MANAGED, still=16.9), "after the last acknowledgement"),
}


@pytest.mark.parametrize("name", FALSE_ZEROS)
def test_a_false_zero_is_unknown_with_its_cause_and_drains_nobody(name: str) -> None:
    look, cause = FALSE_ZEROS[name]

    assert any(cause in reading.cause for reading in doubts(look))
    assert all(reading.value is None for reading in doubts(look))
    assert not drains(look)
    assert decide(observe(POOL, look)).code is DecisionCode.UNKNOWN_COUNT


def test_statistics_count_from_ten_seconds_after_the_last_acknowledgement() -> None:
    assert not drains(seen(DECLARED, MANAGED, still=17.0))
    assert drains(seen(DECLARED, MANAGED, still=17.02))


@pytest.mark.parametrize("further", [replace(MANAGED, unacked=1, total=1), replace(MANAGED, total=1)])
def test_tickets_in_hand_or_delayed_that_only_statistics_see_drain_nobody(further: Depth) -> None:
    look = seen(DECLARED, further)

    assert observe(POOL, look).queue_total.value == 1
    assert not drains(look)
    assert decide(observe(POOL, look)).code is DecisionCode.UNKNOWN_COUNT


def test_a_number_above_zero_stands_under_every_doubt() -> None:
    look = seen(replace(DECLARED, ready=50), Uncounted("rabbitmq management", "It cannot be reached."), leases=2)

    assert [reading.value for reading in queue(observe(POOL, look))] == [50, 2, 52]


def test_each_source_is_shown_by_itself_beside_the_merged_counts() -> None:
    told = witness_readings(
        seen(
            replace(DECLARED, took_seconds=0.25),
            replace(MANAGED, ready=50, total=50),
            Uncounted("rabbitmq metrics", "It cannot be reached."),
        )
    )

    assert {name: (reading.value, reading.trust) for name, reading in told.items()} == {
        "amqpPassiveDeclare.ready": (None, Trust.UNKNOWN),
        "rabbitmqManagement.ready": (50, Trust.STALE),
        "rabbitmqManagement.unacked": (0, Trust.STALE),
        "rabbitmqManagement.total": (50, Trust.STALE),
        "rabbitmqMetrics.total": (None, Trust.UNKNOWN),
    }
    assert told["rabbitmqMetrics.total"].cause == "It cannot be reached."


def test_a_silent_broker_has_no_witnesses_to_show() -> None:
    assert witness_readings(seen(cause="It is gone.")) == {}


# ------------------------------------------------------------------------------------------------ movement


def test_what_is_in_hand_moves_when_a_lease_ends_or_the_producer_falls_silent() -> None:
    calm, busy = seen(DECLARED), seen(DECLARED, leases=1)
    silent = replace(calm, pools=Answer(None, 0, "It is gone."))
    last, since = None, []
    for now, look in enumerate([busy, busy, calm, calm, silent, silent, calm]):
        last = movement(last, "linux", look, float(now))
        since.append(last.since)

    assert since == [0, 0, 2, 2, 4, 4, 6]


def test_an_exact_count_of_tickets_in_hand_shows_acknowledgements_too() -> None:
    held = movement(None, "linux", seen(replace(EMBEDDED, unacked=1, total=1)), 1.0)

    assert held == Movement((0, 1), 1.0)
    assert movement(held, "linux", seen(EMBEDDED), 2.0) == Movement((0, 0), 2.0)


# ------------------------------------------------------------------------------------------------ at length

sentences = st.sampled_from(
    ["It did not answer within 1 s.", "It cannot be reached.", "Its answer is no JSON.", "It answered with status 500."]
)
counts = st.integers(-3, 60)
bad_further = st.one_of(
    st.builds(Uncounted, source=st.sampled_from(["rabbitmq management", "rabbitmq metrics"]), cause=sentences),
    st.builds(replace, st.just(MANAGED), has_leader=st.just(False), ready=counts, total=counts),
    st.builds(replace, st.just(MANAGED), age_seconds=st.floats(15.1, 1e6)),
    st.builds(replace, st.just(METRICS), unacked=st.just(None), ready=st.just(0)),
    st.builds(replace, st.just(METRICS), total=st.just(None)),
    st.builds(replace, st.just(MANAGED), unacked=st.integers(-9, -1)),
    st.builds(replace, st.just(METRICS), ready=st.integers(1, 9), total=st.just(0)),
)
good_further = st.sampled_from([MANAGED, METRICS])
bad_declares = st.one_of(
    st.builds(replace, st.just(DECLARED), took_seconds=st.floats(0.2, 3)),
    st.builds(replace, st.just(DECLARED), ready=st.integers(-9, -1)),
    st.builds(replace, st.just(DECLARED), age_seconds=st.floats(2.1, 1e6)),
)


@st.composite
def bad_looks(draw: st.DrawFn) -> Seen:
    """At least one thing is wrong; the rest is as calm as can be."""
    fault = draw(st.integers(0, 4))
    if fault == 0:
        return seen(cause=draw(sentences), age=draw(st.floats(0, 3)))
    if fault == 1:
        return seen(DECLARED, draw(good_further), still=draw(st.floats(0, 12.9)))
    if fault == 2:
        return seen(draw(bad_declares), *draw(st.lists(good_further | bad_further, max_size=2)))
    if fault == 3:
        return seen(DECLARED, MANAGED, age=draw(st.floats(2.1, 1e6)))
    further = draw(st.lists(good_further, max_size=2))
    further.insert(draw(st.integers(0, len(further))), draw(bad_further))
    return seen(DECLARED, *further)


@settings(max_examples=1_500, deadline=None)
@given(bad_looks())
def test_of_many_bad_readings_every_one_is_marked_at_once_and_none_drains(look: Seen) -> None:
    found = observe(POOL, look)

    unknown = [reading for reading in queue(found) if reading.trust is Trust.UNKNOWN]
    assert unknown
    assert all(reading.cause and reading.value is None for reading in unknown)
    assert not is_quiet(found)
    assert not drains(look)


@settings(max_examples=300, deadline=None)
@given(counts=st.tuples(*[st.integers(0, 3)] * 5), still=st.floats(0, 60))
def test_only_zeros_all_round_drain(counts: tuple[int, ...], still: float) -> None:
    declared, ready, unacked, delayed, leases = counts
    managed = replace(MANAGED, ready=ready, unacked=unacked, total=ready + unacked + delayed)
    look = seen(replace(DECLARED, ready=declared), managed, leases=leases, still=still)

    assert drains(look) == (not any(counts) and still >= 17.01)
