"""What may be believed of what producer, broker and executor say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.agents import AgentState, AgentView
from buildyard.contracts.api import AgentList, PoolList, PoolView, WorkerInfo
from buildyard.contracts.scaling import PendingCode, PoolConfig, PoolObserved, Trust, WorkerState
from buildyard.ports import Depth, Uncounted
from scaler.decide import is_quiet
from scaler.readings import Answer, Seen, failed_starts, join, observe, quiet, slot_of, worker_state
from tests.scaler.fakes import START, agent_view
from tests.scaler.observing import known, observed, unknown

POOL = PoolConfig(name="linux")


def pools(ready: int = 0, leases: int = 0, generations: dict[int, int] | None = None) -> PoolList:
    view = PoolView(
        name="linux",
        ready=ready,
        waiting=7,
        leases=leases,
        oldest_wait_seconds=1.5 if ready else None,
        agents={},
        generations=generations or {},
    )
    return PoolList(pools=(view,), at=START)


def depth(ready: int = 0, unacked: int | None = None, age: float = 0) -> Depth:
    return Depth(ready=ready, unacked=unacked, consumers=None, source="amqp passive declare", age_seconds=age)


def alone(broker: Answer[Depth]) -> Answer[tuple[Depth | Uncounted, ...]]:
    """The broker's own count without any further source."""
    return Answer(None if broker.value is None else (broker.value,), broker.age_seconds, broker.cause)


def look(
    producer: Answer[PoolList] | None = None,
    broker: Answer[Depth] | None = None,
    workers: tuple[WorkerInfo, ...] = (),
    agents: tuple[AgentView, ...] = (),
) -> PoolObserved:
    return observe(
        POOL,
        Seen(
            producer or Answer(pools()),
            Answer(AgentList(agents=agents)),
            alone(broker or Answer(depth())),
            Answer(workers),
        ),
    )


def info(name: str, state: str = "Running", age: float = 0, exit_code: int | None = None) -> WorkerInfo:
    return WorkerInfo(name=name, pool=name.rsplit("-", 2)[0], state=state, age_seconds=age, exit_code=exit_code)


def test_fresh_answers_that_agree_are_trusted() -> None:
    seen = look(Answer(pools(ready=3, leases=2), 0.1), Answer(depth(3, 2), 0.2))

    assert (seen.ready.value, seen.ready.trust, seen.ready.source) == (3, Trust.TRUSTED, "producer")
    assert (seen.leases.value, seen.queue_ready.value, seen.queue_unacked.value) == (2, 3, 2)
    assert (seen.queue_total.value, seen.queue_total.trust) == (5, Trust.TRUSTED)
    assert seen.oldest_wait_seconds == 1.5


def test_a_producer_that_does_not_answer_leaves_unknown_counts_with_their_cause() -> None:
    seen = look(Answer(None, 0, "The producer did not answer within 3 s."))

    assert (seen.ready.value, seen.ready.trust) == (None, Trust.UNKNOWN)
    assert seen.ready.cause == seen.leases.cause == "The producer did not answer within 3 s."
    assert seen.queue_ready.cause == "The producer cannot confirm it. The producer did not answer within 3 s."
    assert not is_quiet(seen)


def test_a_registry_that_does_not_answer_makes_the_counts_unknown_too() -> None:
    answers = Seen(Answer(pools()), Answer(None, 0, "Busy."), alone(Answer(depth())), Answer((info("linux-1-1"),)))

    assert observe(POOL, answers).ready.cause == "Busy."


def test_a_pool_that_the_producer_lacks_is_unknown() -> None:
    seen = look(Answer(PoolList(pools=(), at=START)))

    assert seen.ready.cause == "The producer has no pool linux: it reads another POOLS_FILE than the scaler."


def test_a_broker_that_cannot_count_leaves_unknown_and_never_zero() -> None:
    seen = look(broker=Answer(None, 0, "The queue has no leader."))

    for reading in (seen.queue_ready, seen.queue_unacked, seen.queue_total):
        assert (reading.value, reading.trust, reading.cause) == (None, Trust.UNKNOWN, "The queue has no leader.")


@pytest.mark.parametrize(
    ("age", "sample_age", "trust"), [(2, 0, Trust.TRUSTED), (2.1, 0, Trust.STALE), (1, 1.5, Trust.STALE)]
)
def test_a_count_older_than_two_seconds_is_stale(age: float, sample_age: float, trust: Trust) -> None:
    seen = look(broker=Answer(depth(4, 1, sample_age), age))

    assert (seen.queue_ready.value, seen.queue_ready.trust) == (4, trust)


def test_a_stale_producer_is_not_quiet() -> None:
    seen = look(Answer(pools(), 2.5))

    assert seen.ready.trust is Trust.STALE
    assert not is_quiet(seen)


def test_a_brokers_zero_that_the_producer_contradicts_is_unknown() -> None:
    seen = look(Answer(pools(ready=50)), Answer(depth(0)))

    assert (seen.queue_ready.value, seen.queue_ready.trust) == (None, Trust.UNKNOWN)
    assert seen.queue_ready.cause == "The broker says 0, but the producer counts 50 ready jobs."


def test_no_unacknowledged_tickets_beside_live_leases_is_unknown() -> None:
    seen = look(Answer(pools(leases=1)), Answer(depth(0, 0)))

    assert seen.queue_unacked.cause == "The broker says 0, but the producer counts 1 live leases."


def test_tickets_that_the_producer_does_not_count_stand_and_end_the_quiet() -> None:
    seen = look(broker=Answer(depth(3)))

    assert (seen.ready.value, seen.queue_ready.value) == (0, 3)
    assert not is_quiet(seen)


def test_a_broker_that_counts_ready_tickets_only_has_the_leases_beside_it() -> None:
    seen = look(Answer(pools(leases=2)), Answer(depth(1, None)))

    assert (seen.queue_unacked.value, seen.queue_unacked.source) == (2, "producer leases")
    assert seen.queue_unacked.trust is Trust.TRUSTED
    assert (seen.queue_total.value, seen.queue_total.source) == (3, "amqp passive declare + producer leases")


def test_zero_everywhere_from_both_witnesses_is_quiet() -> None:
    assert is_quiet(look())
    assert is_quiet(look(broker=Answer(depth(0, 0))))


def test_a_broken_executor_is_none_with_its_cause() -> None:
    answers = Seen(Answer(pools()), Answer(AgentList(agents=())), alone(Answer(depth())), Answer(None, 0, "No folder."))

    seen = observe(POOL, answers)

    assert (seen.workers, seen.workers_cause) == (None, "No folder.")


# ------------------------------------------------------------------------------------------------ quiet


def test_quiet_begins_once_and_ends_with_the_first_doubt() -> None:
    calm, busy, doubtful = observed(), observed(leases=1), observed(queue_ready=unknown())
    since = None
    story = []
    for now, sight in enumerate([busy, calm, calm, doubtful, calm, calm]):
        since = quiet(since, sight, float(now))
        story.append(since)

    assert story == [None, 1.0, 1.0, None, 4.0, 4.0]


@given(st.lists(st.tuples(st.floats(0, 10), st.sampled_from(["calm", "busy", "stale", "unknown"]))))
def test_quiet_time_never_reaches_over_a_moment_that_was_not_quiet(steps: list[tuple[float, str]]) -> None:
    sights = {
        "calm": observed(),
        "busy": observed(ready=1),
        "stale": observed(ready=known(0, Trust.STALE)),
        "unknown": observed(leases=unknown()),
    }
    now, last_noise, since = 0.0, -1.0, None
    for pause, kind in steps:
        now += pause
        since = quiet(since, sights[kind], now)
        if kind == "calm":
            assert since is not None
            assert last_noise <= since <= now
        else:
            assert since is None
            last_noise = now


# ------------------------------------------------------------------------------------------------ workers


@pytest.mark.parametrize(
    ("agent", "age", "state"),
    [
        (None, 59, WorkerState.PENDING),
        (None, 60, WorkerState.UNRESPONSIVE),
        (AgentState.IDLE, 0, WorkerState.IDLE),
        (AgentState.BUSY, 0, WorkerState.BUSY),
        (AgentState.DRAINING, 0, WorkerState.DRAINING),
        (AgentState.LEFT, 0, WorkerState.DRAINING),
        (AgentState.LOST, 0, WorkerState.UNRESPONSIVE),
    ],
)
def test_a_running_worker_is_what_the_registry_says(agent: AgentState | None, age: float, state: WorkerState) -> None:
    view = agent_view("linux-1-1", agent) if agent else None

    assert worker_state(info("linux-1-1", age=age), view) is state


def test_a_worker_that_waits_for_its_platform_is_pending_however_long_and_keeps_its_reason() -> None:
    waits = {"pending_code": PendingCode.NO_NODE, "pending_reason": "No node has 64 cores."}
    waiting = info("linux-1-1", age=600).model_copy(update=waits)
    joined = info("linux-2-1").model_copy(update=waits)

    first, second = join("linux", (waiting, joined), (agent_view("linux-2-1", AgentState.IDLE),), {2: 1})

    assert (first.state, first.pending_code, first.pending_reason) == (WorkerState.PENDING, *waits.values())
    assert (second.state, second.pending_code, second.pending_reason) == (WorkerState.IDLE, None, "")


def test_a_worker_that_never_began_to_run_is_a_failed_start() -> None:
    gone = info("linux-1-2", "Exited", age=40).model_copy(update={"pending_code": PendingCode.IMAGE_PULL})

    assert failed_starts((gone,), {1: 1}) == (1, 40)


def test_a_state_of_a_newer_producer_counts_as_unresponsive_and_breaks_nothing() -> None:
    view = agent_view("linux-1-1", AgentState.IDLE).model_copy(update={"state": "Dreaming"})

    assert worker_state(info("linux-1-1"), view) is WorkerState.UNRESPONSIVE
    assert join("linux", (), [view], {}) == ()


def test_a_process_that_ended_is_over_whatever_the_registry_still_believes() -> None:
    assert worker_state(info("linux-1-1", "Exited"), agent_view("linux-1-1", AgentState.BUSY)) is WorkerState.EXITED


def test_ended_workers_are_seen_only_until_the_registry_knows_their_generation() -> None:
    infos = (info("linux-1-3", "Exited"), info("linux-2-5", "Exited", exit_code=1))

    views = join("linux", infos, (), {1: 3, 2: 4})

    assert [(view.name, view.state, view.exit_code) for view in views] == [("linux-2-5", WorkerState.EXITED, 1)]


def test_a_registered_worker_that_the_executor_does_not_know_holds_its_slot() -> None:
    agents = (
        agent_view("linux-2-1", AgentState.BUSY),
        agent_view("linux-3-1", AgentState.LEFT),
        agent_view("linux-laptop-77", AgentState.IDLE),
        agent_view("docker-1-1", AgentState.IDLE, pool="docker"),
    )

    views = join("linux", (info("linux-1-1"),), agents, {})

    assert [(view.name, view.state) for view in views] == [
        ("linux-1-1", WorkerState.PENDING),
        ("linux-2-1", WorkerState.BUSY),
    ]


def test_workers_of_other_pools_are_not_this_pools() -> None:
    seen = look(workers=(info("linux-1-1"), info("docker-1-1")))

    assert [worker.name for worker in seen.workers or ()] == ["linux-1-1"]


@pytest.mark.parametrize(
    ("pool", "name", "place"),
    [
        ("linux", "linux-1-17", (1, 17)),
        ("arm-64", "arm-64-2-3", (2, 3)),
        ("arm", "arm-64-2-3", None),
        ("linux", "linux-0-1", None),
        ("linux", "linux-1-x", None),
        ("linux", "linux-host-99", None),
    ],
)
def test_a_name_tells_slot_and_generation(pool: str, name: str, place: tuple[int, int] | None) -> None:
    assert slot_of(pool, name) == place


# ------------------------------------------------------------------------------------------------ failed starts


def test_the_newest_workers_that_never_joined_are_counted() -> None:
    infos = [
        info("linux-1-4", "Exited", age=2, exit_code=1),
        info("linux-1-3", "Exited", age=5, exit_code=-9),
        info("linux-1-2", "Exited", age=9, exit_code=None),
        info("linux-1-1", "Exited", age=20, exit_code=1),
    ]

    assert failed_starts(infos, {1: 1}) == (3, 2)


def test_a_worker_that_joined_ends_the_row() -> None:
    infos = [info("linux-2-1", age=1), info("linux-1-9", "Exited", age=5, exit_code=1)]

    assert failed_starts(infos, {2: 1}) == (0, None)


def test_a_worker_still_on_its_way_neither_counts_nor_ends_the_row() -> None:
    infos = [info("linux-2-1", age=1), info("linux-1-9", "Exited", age=5, exit_code=1)]

    assert failed_starts(infos, {}) == (1, 5)


@pytest.mark.parametrize("code", [0, -15])
def test_a_worker_that_was_told_to_end_has_not_failed(code: int) -> None:
    assert failed_starts([info("linux-1-1", "Exited", age=5, exit_code=code)], {}) == (0, None)


def test_without_a_producer_nobody_is_called_failed() -> None:
    seen = look(Answer(None, 0, "Gone."), workers=(info("linux-1-1", "Exited", exit_code=1),))

    assert (seen.failed_starts, seen.seconds_since_failed_start) == (0, None)
