"""The overview as values: what waits, what needs attention, who works, what the scaler does, what ended last. Pure.

The Overview screen draws it and `--once` prints it, so that both say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest

from buildyard.contracts.scaling import PendingCode
from tui import format as shown
from tui.format import Tone
from tui.state import Ref, Store
from tui.state.history import FLOW_SECONDS, flow
from tui.state.rows import AgentRow, BuildRow, PoolRow
from tui.widgets.queue_cells import QueueLine

MOST_ATTENTION = 10
LONG_WAIT_SECONDS = 60.0
STREAK = 3
_LATE = frozenset({"Unresponsive", "Lost"})
_NEWEST_OF_A_STREAK = 200
_HISTORY_SECONDS = 600
_STATES = ("Busy", "Idle", "Draining", "Pending", "Unresponsive", "Lost")


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs attention: how badly, a sentence, and the thing that it is about."""

    tone: Tone
    text: str
    ref: Ref


@dataclass(frozen=True, slots=True)
class Card:
    """One figure of the whole farm. None is unknown, never 0."""

    label: str
    value: int | None


@dataclass(frozen=True, slots=True)
class ScalerLine:
    """What the scaler decided last about a pool. None is unknown, never 0."""

    pool: str
    wanted: int | None
    have: int | None
    code: str
    reason: str
    at: datetime
    number: int


def cards(store: Store) -> tuple[Card, ...]:
    """What the farm holds and has done: jobs that wait, tickets unacknowledged, jobs that run, jobs worked off."""
    pools = store.pools.values()
    return (
        Card("queue depth", _sum(pool.ready for pool in pools)),
        Card("unacknowledged", _sum(pool.unacked for pool in pools)),
        Card("active jobs", _sum(pool.view.leases if pool.view else None for pool in pools)),
        Card("consumed in 24 h", _sum(agent.processed for agent in store.agents.values() if agent.view)),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    """All together; unknown where one of them is, or there is none."""
    found = list(values)
    return None if not found or None in found else sum(value for value in found if value is not None)


def queue_line(store: Store, pool: PoolRow, now: datetime) -> QueueLine:
    """One pool as the queue strip shows it."""
    view = pool.view
    paused = view is not None and view.intake.paused
    state = "paused" if paused else f"{pool.dead} dead" if pool.dead else ""
    points = store.history(pool.name).since(int(now.timestamp()) - _HISTORY_SECONDS)
    present = None if view is None else sum(view.agents.values())
    flows = flow(store.history(pool.name).since(int(now.timestamp()) - FLOW_SECONDS))
    return QueueLine(
        name=pool.name,
        ready=pool.ready,
        unacked=pool.unacked,
        in_rate=flows.came,
        out_rate=flows.left,
        oldest=None if view is None else view.oldest_wait_seconds or 0.0,
        consumers=present,
        state=state,
        tone="warning" if state else "plain",
        history=tuple((point.ready, point.unacked if point.unacked is not None else point.leases) for point in points),
    )


def agent_counts(store: Store) -> Mapping[str, int]:
    """Agents by state, those that are present and those that were lost; the word is the API's."""
    counts = Counter(agent.state for agent in store.agents.values())
    known = {state: counts[state] for state in _STATES if counts[state]}
    return known | {state: n for state, n in sorted(counts.items()) if state not in {*_STATES, "Left", "Exited"}}


def scaler_lines(store: Store) -> tuple[ScalerLine, ...]:
    """The newest decision about each pool."""
    return tuple(
        ScalerLine(row.name, one.wanted, one.workers, one.code, one.reason, one.at, one.number)
        for row in store.pools.values()
        if (one := row.decision) is not None
    )


def last_builds(store: Store, most: int = 8) -> tuple[BuildRow, ...]:
    """The newest builds that run, at most half of all, then those that ended last."""
    running = (row for row in store.builds.values() if row.status in {"Running", "Cancelling"})
    kept = nlargest(max(1, most // 2), running, key=lambda row: row.id)
    return (*kept, *_ended_last(store, most - len(kept)))


def _ended_last(store: Store, most: int) -> list[BuildRow]:
    ended = ((row.ended_at or row.created_at, row) for row in store.builds.values() if row.ended)
    dated = ((at, row.id, row) for at, row in ended if at is not None)
    return [row for _, _, row in nlargest(most, dated)]


def concerns(store: Store, now: datetime) -> tuple[Concern, ...]:
    """What needs attention, the worst first, at most `MOST_ATTENTION`."""
    found = [
        *_of_sources(store, now),
        *_of_pools(store),
        *_of_agents(store),
        *_of_builds(store),
    ]
    found.sort(key=lambda one: one.tone != "bad")
    return tuple(found[:MOST_ATTENTION])


def _of_sources(store: Store, now: datetime) -> Iterator[Concern]:
    for name, seen in store.sources.items():
        if seen.connection in {"stale", "down"}:
            silent = "" if seen.last_ok is None else f" for {shown.since(seen.last_ok, now)}"
            tone: Tone = "bad" if seen.connection == "down" else "warning"
            yield Concern(tone, f"{name} {seen.connection}{silent}: {seen.cause}", Ref("source", name))
    for part in store.withheld.values():
        yield Concern("warning", f"{part.source}, in part: {part.cause}", Ref("source", part.source))
    for name, health in store.health.items():
        for check in health.checks:
            if not check.ok:
                yield Concern("bad", f"{name}: {check.name}: {check.detail}", Ref("source", name))


def _of_pools(store: Store) -> Iterator[Concern]:
    for pool in store.pools.values():
        ref = Ref("pool", pool.name)
        decision = pool.decision
        if decision is not None and (decision.ready is None or decision.queue_ready is None):
            yield Concern("bad", f"queue {pool.name}: count unknown: {decision.reason}", ref)
        elif decision is not None and (decision.failures or decision.code in {"executor_unreachable", "start_backoff"}):
            yield Concern("bad", f"scaler, {pool.name}: {decision.reason}", Ref("decision", str(decision.number)))
        elif decision is not None and decision.code == "at_maximum":
            yield Concern("warning", f"scaler, {pool.name}: {decision.reason}", Ref("decision", str(decision.number)))
        view = pool.view
        if view is not None and (view.oldest_wait_seconds or 0) >= LONG_WAIT_SECONDS:
            why = f": {decision.reason}" if decision is not None else ""
            text = f"queue {pool.name}: the oldest of {view.ready} waits {shown.age(view.oldest_wait_seconds)}{why}"
            yield Concern("warning", text, ref)
        if view is not None and view.intake.paused:
            yield Concern("warning", f"queue {pool.name}: intake is paused", ref)
        if pool.dead:
            yield Concern("warning", f"queue {pool.name}: {pool.dead} dead letters wait for a person", ref)


def _of_agents(store: Store) -> Iterator[Concern]:
    late = [agent for agent in store.agents.values() if agent.state in _LATE]
    for agent in sorted(late, key=_newest_last, reverse=True)[:MOST_ATTENTION]:
        tone: Tone = "bad" if agent.state == "Lost" else "warning"
        why = f": {agent.detail}" if agent.detail else ""
        yield Concern(tone, f"agent {agent.name} {agent.state.lower()}{why}", Ref("agent", agent.name))
    yield from _of_pending(store)


def _of_pending(store: Store) -> Iterator[Concern]:
    """Workers that their platform does not begin to run, once for each pool and cause."""
    waiting: dict[tuple[str, str], list[AgentRow]] = {}
    for agent in store.agents.values():
        code = agent.worker.pending_code if agent.worker else None
        if agent.state == "Pending" and code not in {None, PendingCode.STARTING}:
            waiting.setdefault((agent.pool, str(code)), []).append(agent)
    for agents in waiting.values():
        first = min(agents, key=lambda agent: agent.name)
        assert first.worker is not None
        more = f" and {len(agents) - 1} more" if agents[1:] else ""
        text = f"agent {first.name}{more} cannot start: {first.worker.pending_reason or first.worker.pending_code}"
        yield Concern("warning", text, Ref("agent", first.name))


def _newest_last(agent: AgentRow) -> tuple[bool, str]:
    return agent.state == "Lost", agent.view.seen_at.isoformat() if agent.view else ""


def _of_builds(store: Store) -> Iterator[Concern]:
    """Projects whose last builds all failed."""
    ended: dict[str, list[BuildRow]] = {}
    for row in _ended_last(store, _NEWEST_OF_A_STREAK):
        if row.status != "Cancelled" and row.project:
            ended.setdefault(row.project, []).append(row)
    for project, rows in ended.items():
        streak = next((n for n, row in enumerate(rows) if row.status == "Succeeded"), len(rows))
        if streak >= STREAK:
            text = f"{project}: the last {streak} builds failed: {rows[0].reason or rows[0].status}"
            yield Concern("bad", text, Ref("build", rows[0].id))
