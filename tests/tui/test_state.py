"""The store tells the truth whatever the order, and stays within its bounds."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.diagnostics import StageDiagnostic
from buildyard.contracts.events import BuildEvent, EventType
from tests.tui import samples as s
from tui.state import Bounds, Ref, Store
from tui.state import events as e
from tui.state.related import related
from tui.state.rows import BUILD_RANK, rank_of

LIFE: list[BuildEvent] = [
    s.event(1, 1, "build_received", 0, requester="me"),
    s.event(1, 2, "build_queued", 0, pool="linux", priority="Normal"),
    s.event(1, 3, "build_started", 1, agent="linux-1-1"),
    s.event(1, 4, "job_claimed", 1, job=s.identifier(1001), attempt=1, agent="linux-1-1"),
    s.event(1, 5, "stage_started", 2, job=s.identifier(1001), attempt=1, stage="Fetch"),
    s.event(1, 6, "attempt_ended", 3, job=s.identifier(1001), attempt=1, outcome="Lost", reason="It was lost."),
    s.event(1, 7, "job_claimed", 4, job=s.identifier(1001), attempt=2, agent="linux-2-1"),
    s.event(1, 8, "stage_started", 5, job=s.identifier(1001), attempt=2, stage="Fetch"),
    s.event(
        1, 9, "stage_finished", 7, job=s.identifier(1001), attempt=2, stage="Fetch", status="Succeeded", warnings=2
    ),
    s.event(1, 10, "stage_started", 8, job=s.identifier(1001), attempt=2, stage="Test"),
    s.event(1, 11, "stage_finished", 9, job=s.identifier(1001), attempt=2, stage="Test", status="Failed", errors=1),
    s.event(1, 12, "job_ended", 10, job=s.identifier(1001), attempt=2, outcome="Failed", reason="A test failed."),
    s.event(1, 13, "build_ended", 10, status="Failed", reasonCode="tests_failed", reason="A test failed."),
]
KINDS: list[EventType] = [
    "build_received", "build_queued", "build_started", "build_cancelling", "build_ended", "job_ready", "job_claimed",
    "job_ended", "attempt_ended", "stage_started", "stage_finished", "rows_done", "log_stored", "build_dead",
]  # fmt: skip
NUMBERS = st.integers(0, 6)
SECONDS = st.integers(0, 30)
STATUSES = st.sampled_from([*BUILD_RANK, "Paused"])
NAMES = st.sampled_from([f"linux-{n}-1" for n in range(6)])
DATA = st.fixed_dictionaries(
    {},
    optional={
        "job": st.one_of(NUMBERS.map(lambda n: s.identifier(1000 + n)), st.none(), st.integers()),
        "attempt": st.one_of(st.integers(-1, 3), st.none(), st.text(max_size=2)),
        "agent": NAMES,
        "stage": st.sampled_from(["Fetch", "Test", "Deploy", ""]),
        "status": st.one_of(STATUSES, st.integers()),
        "outcome": st.sampled_from(["Lost", "Failed", "Succeeded", "HandedBack"]),
        "succeeded": st.integers(-1, 5),
        "failed": st.integers(0, 5),
        "total": st.integers(0, 9),
    },
)
EVENTS = st.one_of(
    st.builds(
        lambda n, seq, kind, sec, data: e.BuildChanged(s.event(n, seq, kind, sec, **data)),
        NUMBERS,
        st.integers(1, 9),
        st.sampled_from(KINDS),
        SECONDS,
        DATA,
    ),
    st.builds(
        lambda sec, rows: e.BuildsSeen(s.at(sec), tuple(s.summary(n, status) for n, status in rows)),
        SECONDS,
        st.lists(st.tuples(NUMBERS, STATUSES), max_size=4),
    ),
    st.builds(lambda sec, n: e.BuildGone(s.at(sec), s.identifier(n)), SECONDS, NUMBERS),
    st.builds(
        lambda sec, names: e.AgentsSeen(s.at(sec), tuple(s.agent(name, build) for name, build in names.items())),
        SECONDS,
        st.dictionaries(NAMES, st.one_of(st.none(), NUMBERS), max_size=4),
    ),
    st.builds(
        lambda sec, names: e.WorkersSeen(s.at(sec), tuple(s.worker(name) for name in sorted(names)), {}),
        SECONDS,
        st.sets(NAMES, max_size=4),
    ),
    st.builds(
        lambda sec, names: e.PoolsSeen(s.at(sec), tuple(s.pool(name) for name in sorted(names))),
        SECONDS,
        st.sets(st.sampled_from(["linux", "windows", "docker"])),
    ),
    st.builds(
        lambda numbers, names: e.DecisionsSeen(tuple(s.decision(n, tuple(sorted(names))) for n in numbers)),
        st.lists(st.integers(1, 12), max_size=4),
        st.sets(NAMES, max_size=2),
    ),
    st.builds(
        lambda sec, numbers: e.DeadSeen(s.at(sec), tuple(s.letter(n) for n in sorted(numbers))),
        SECONDS,
        st.sets(NUMBERS, max_size=3),
    ),
    st.builds(
        lambda name, start, count: e.LogSeen(name, lines(start, start + count - 1)),
        st.sampled_from(["build/a", "build/b", "agent/c"]),
        st.integers(1, 20),
        st.integers(0, 12),
    ),
    st.builds(
        lambda name, missing: e.LogBroke(name, s.at(1), "broke", missing),
        st.sampled_from(["build/a", "agent/c"]),
        st.one_of(st.none(), st.integers(0, 3)),
    ),
    st.builds(
        lambda n, texts: e.DiagnosticsSeen(
            s.at(1),
            s.identifier(n),
            tuple(
                StageDiagnostic(severity="error", file="a.c", message=text, stage="Build", job_id=s.identifier(1))
                for text in texts
            ),
        ),
        NUMBERS,
        st.lists(st.sampled_from(["one", "two"]), max_size=2),
    ),
    st.builds(
        lambda name, cause: e.PartSeen("scaler", s.at(1), name, cause),
        st.sampled_from(["scaler/workers", "log/agent/c", "build/a"]),
        st.sampled_from(["", "No."]),
    ),
    st.sampled_from([e.LogEnded("build/a"), object(), "an event of a newer version", None]),
)  # fmt: skip
SMALL = Bounds(
    builds=4, jobs=3, agents=3, pools=2, decisions=4, details=2, history_seconds=5, log_lines=8, log_lines_in_all=12,
    log_characters=100, log_streams=2,
)  # fmt: skip


def snapshot(store: Store) -> object:
    return (
        dict(store.builds),
        dict(store.jobs),
        dict(store.agents),
        dict(store.pools),
        dict(store.decisions),
        dict(store.dead),
    )


def check(store: Store, bounds: Bounds) -> None:
    assert len(store.builds) <= bounds.builds
    assert len(store.jobs) <= bounds.jobs
    assert len(store.agents) <= 2 * bounds.agents
    assert len(store.pools) <= bounds.pools
    assert len(store.decisions) <= bounds.decisions
    assert len(store.diagnostics) <= bounds.details
    assert len(store.withheld) <= bounds.details
    assert len(store.logs.names()) <= bounds.log_streams
    assert sum(len(store.logs[name]) for name in store.logs.names()) <= bounds.log_lines_in_all
    assert list(store.decisions) == sorted(store.decisions)
    for name in store.logs.names():
        stream = store.logs[name]
        lines = sum(isinstance(item, e.LogLine) for item in stream.read().items)
        assert stream.received == lines + stream.dropped
        assert len(stream) <= bounds.log_lines
    for pool in store.pools:
        assert len(store.history(pool)) <= bounds.history_seconds
    for job in store.jobs.values():
        assert job in store.jobs_of(job.build_id)
    refs = [
        *(Ref("build", one) for one in store.builds),
        *(Ref("job", one) for one in store.jobs),
        *(Ref("agent", one) for one in store.agents),
        *(Ref("pool", one) for one in store.pools),
        *(Ref("decision", str(one)) for one in store.decisions),
        *(Ref("dead", one) for one in store.dead),
        *(Ref("log", one) for one in store.logs.names()),
    ]
    for ref in refs:
        assert store.version(ref) > 0
        found = related(store, ref)
        assert len(found) == len(set(found))
        assert ref not in found
        for other in found:
            assert other.kind == "log" or store.version(other) > 0, (ref, other)


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS, max_size=40))
def test_any_events_in_any_order_leave_a_store_that_is_whole_and_bounded(events: list[object]) -> None:
    store = Store(SMALL)
    for event in events:
        store.apply(event)
    check(store, SMALL)


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=25))
def test_nothing_changes_without_being_named(events: list[object]) -> None:
    store = Store()
    for event in events:
        rows = {
            **{Ref("build", key): row for key, row in store.builds.items()},
            **{Ref("agent", key): row for key, row in store.agents.items()},
            **{Ref("pool", key): row for key, row in store.pools.items()},
            **{Ref("job", key): row for key, row in store.jobs.items()},
        }
        versions = {ref: store.version(ref) for ref in rows}
        changed = store.apply(event)
        now = {
            **{Ref("build", key): row for key, row in store.builds.items()},
            **{Ref("agent", key): row for key, row in store.agents.items()},
            **{Ref("pool", key): row for key, row in store.pools.items()},
            **{Ref("job", key): row for key, row in store.jobs.items()},
        }
        for ref in rows.keys() | now.keys():
            if rows.get(ref) != now.get(ref):
                assert ref in changed
                assert store.version(ref) != versions.get(ref, 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=25))
def test_what_ended_stays_ended_and_nothing_goes_back(events: list[object]) -> None:
    store = Store()
    ranks: dict[str, int] = {}
    for event in events:
        store.apply(event)
        if isinstance(event, e.BuildGone):
            ranks.pop(event.build_id, None)
        for build_id, row in store.builds.items():
            assert rank_of(row.status) >= ranks.get(build_id, 0)
            ranks[build_id] = rank_of(row.status)


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, max_size=25))
def test_the_same_event_again_changes_nothing(events: list[object]) -> None:
    store = Store()
    for event in events:
        store.apply(event)
        before = snapshot(store)
        store.apply(event)
        assert snapshot(store) == before


def test_a_builds_life_reads_the_same_in_every_order() -> None:
    expected = Store()
    for event in LIFE:
        expected.apply(e.BuildChanged(event))
    row = expected.builds[s.identifier(1)]
    assert (row.status, row.agent, row.attempt, row.reason_code) == ("Failed", "linux-2-1", 2, "tests_failed")
    assert [(stage.name, stage.status, stage.duration) for stage in row.stages] == [
        ("Fetch", "Succeeded", 2.0),
        ("Test", "Failed", 1.0),
    ]
    rng = Random(7)
    for _ in range(200):
        shuffled = [*LIFE, *rng.sample(LIFE, 5)]
        rng.shuffle(shuffled)
        store = Store()
        for event in shuffled:
            store.apply(e.BuildChanged(event))
        other = store.builds[s.identifier(1)]
        assert (other.status, other.agent, other.attempt) == (row.status, row.agent, row.attempt)
        assert (other.reason, other.reason_code, other.ended_at) == (row.reason, row.reason_code, row.ended_at)
        assert [(stage.name, stage.status) for stage in other.stages] == [(x.name, x.status) for x in row.stages]
        job, wanted = store.jobs[s.identifier(1001)], expected.jobs[s.identifier(1001)]
        assert (job.state, job.attempt, job.agent, job.phase) == (
            wanted.state,
            wanted.attempt,
            wanted.agent,
            wanted.phase,
        )


def test_lists_in_any_order_leave_the_newest() -> None:
    told = [
        e.BuildsSeen(s.at(1), (s.summary(1, "Queued"),)),
        e.BuildsSeen(s.at(2), (s.summary(1, "Running"),)),
        e.BuildsSeen(s.at(3), (s.summary(1, "Succeeded"),)),
        e.AgentsSeen(s.at(1), (s.agent("linux-1-1"),)),
        e.AgentsSeen(s.at(2), (s.agent("linux-1-1", 1, "Busy"),)),
        e.PoolsSeen(s.at(1), (s.pool(ready=9),)),
        e.PoolsSeen(s.at(2), (s.pool(ready=1),)),
    ]
    for order in itertools.islice(itertools.permutations(told), 0, None, 97):
        store = Store()
        for event in order:
            store.apply(event)
        assert store.builds[s.identifier(1)].status == "Succeeded"
        assert store.agents["linux-1-1"].state == "Busy"
        assert store.pools["linux"].ready == 1


def test_a_job_leads_to_its_agent_its_log_its_build_and_the_decision_behind() -> None:
    store = Store()
    store.apply(e.DecisionsSeen((s.decision(5, ("linux-1-1",)),)))
    store.apply(e.AgentsSeen(s.at(1), (s.agent("linux-1-1", 1, "Busy"),)))
    store.apply(e.BuildsSeen(s.at(1), (s.summary(1, "Running"),)))
    for event in LIFE[:4]:
        store.apply(e.BuildChanged(event))
    job, agent, build = Ref("job", s.identifier(1001)), Ref("agent", "linux-1-1"), Ref("build", s.identifier(1))
    assert agent in related(store, job)
    assert Ref("log", "agent/linux-1-1") in related(store, agent)
    assert build in related(store, agent)
    assert Ref("decision", "5") in related(store, agent)
    assert related(store, Ref("decision", "5")) == (agent, Ref("pool", "linux"))
    assert agent in related(store, build)


def test_what_is_unknown_is_none_and_never_zero() -> None:
    store = Store()
    store.apply(e.DecisionsSeen((s.decision(1, known=False),)))
    row = store.pools["linux"]
    assert (row.ready, row.unacked, row.dead) == (None, None, None)
    assert row.decision is not None
    assert (row.decision.ready, row.decision.workers, row.decision.wanted) == (None, None, None)
    assert store.history("linux").since(0)[0].ready is None


def test_a_decision_is_kept_whole() -> None:
    store = Store()
    decision = s.decision(3, ("linux-1-1",))
    store.apply(e.DecisionsSeen((decision,)))
    assert store.decisions[3].whole() == decision
    assert store.decisions[3].wanted == 2


def test_a_scaler_that_lost_its_record_and_numbers_anew_is_believed() -> None:
    store = Store()
    store.apply(e.DecisionsSeen(tuple(s.decision(n) for n in range(50, 60))))
    store.apply(e.DecisionsSeen((s.decision(1, seconds=100),)))
    assert list(store.decisions) == [1]
    pool_decision = store.pools["linux"].decision
    assert pool_decision is not None
    assert pool_decision.number == 1


def test_a_worker_that_never_joined_is_shown_as_the_scaler_knows_it() -> None:
    store = Store()
    store.apply(e.WorkersSeen(s.at(1), (s.worker("linux-1-1", "Pending"),), {}))
    assert store.agents["linux-1-1"].state == "Pending"
    store.apply(e.AgentsSeen(s.at(2), (s.agent("linux-1-1"),)))
    assert store.agents["linux-1-1"].state == "Idle"
    store.apply(e.WorkersSeen(s.at(3), (s.worker("linux-1-1", "Unresponsive"),), {}))
    assert store.agents["linux-1-1"].state == "Unresponsive"
    store.apply(e.WorkersSeen(s.at(4), (), {}))
    store.apply(e.AgentsSeen(s.at(5), ()))
    assert not store.agents


def test_of_builds_those_that_ended_longest_ago_are_forgotten_first() -> None:
    store = Store(Bounds(builds=10))
    for number in range(30):
        store.apply(e.BuildsSeen(s.at(number), (s.summary(number, "Running" if number < 3 else "Succeeded"),)))
    assert {s.identifier(n) for n in (0, 1, 2, 29)} <= set(store.builds)


@pytest.mark.parametrize("event", [object(), None, {"k": "Later"}, 7])
def test_an_event_that_is_not_known_is_counted_and_passed_over(event: object) -> None:
    store = Store()
    assert store.apply(event) == frozenset()
    assert store.passed_over == 1


# ---------------------------------------------------------------- logs


def lines(first: int, last: int) -> tuple[e.LogLine, ...]:
    return tuple(e.LogLine(f"line {n}", n) for n in range(first, last + 1))


def test_lines_that_come_again_are_shown_once_and_a_gap_is_counted() -> None:
    store = Store()
    store.apply(e.LogSeen("build/x", lines(5, 10)))
    store.apply(e.LogSeen("build/x", lines(8, 12)))
    store.apply(e.LogSeen("build/x", lines(20, 21)))
    stream = store.logs["build/x"]
    shown = [item.n for item in stream.read().items if isinstance(item, e.LogLine)]
    assert shown == [5, 6, 7, 8, 9, 10, 11, 12, 20, 21]
    assert (stream.missing, stream.repeated, stream.received) == (7, 3, 10)


def test_a_reader_that_comes_late_is_told_what_it_did_not_see() -> None:
    store = Store(Bounds(log_lines=10))
    store.apply(e.LogSeen("build/x", lines(1, 10)))
    first = store.logs["build/x"].read()
    assert (len(first.items), first.position, first.skipped) == (10, 10, 0)
    store.apply(e.LogSeen("build/x", lines(11, 35)))
    second = store.logs["build/x"].read(first.position)
    assert (len(second.items), second.position, second.skipped) == (10, 35, 15)
    assert store.logs["build/x"].dropped == 25
    assert store.logs["build/x"].tail(3).items == lines(33, 35)


def test_a_break_that_says_how_much_is_missing_is_not_counted_twice() -> None:
    store = Store()
    store.apply(e.LogSeen("build/x", lines(1, 3)))
    store.apply(e.LogBroke("build/x", s.at(1), "restarted", 4))
    store.apply(e.LogSeen("build/x", lines(8, 9)))
    assert store.logs["build/x"].missing == 4
    store.apply(e.LogBroke("build/x", s.at(1), "broke", None))
    assert store.logs["build/x"].unknown_gaps == 1


def test_all_logs_together_are_bounded_and_the_oldest_goes_first() -> None:
    store = Store(Bounds(log_lines_in_all=25, log_lines=20, log_streams=10))
    for name in ("build/a", "build/b", "build/c"):
        changed = store.apply(e.LogSeen(name, lines(1, 10)))
    assert store.logs.names() == ("build/b", "build/c")
    assert Ref("log", "build/a") in changed
