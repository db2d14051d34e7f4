"""All that is known of one pool and its queue as facts, and its counts over time as a chart. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from buildyard.contracts.scaling import Reading
from tui.format import DECISION_MARKS, UNKNOWN, Tone, age, clock, count, mark, rate, since
from tui.screens.builds_waiting import present_agents
from tui.screens.queues_table import COUNTED, PoolLine, pool_line
from tui.state import Store
from tui.state.history import FLOW_SECONDS, Flow, flow
from tui.widgets.chart_cells import Chart, Mark, Sample
from tui.widgets.facts import Fact, heading
from tui.widgets.time_chart import PANELS

CHART_SECONDS = 900
_SAMPLE_EVERY = 2.0
"""Seconds: the scaler decides and the producer is asked about once a second."""
_NAMES = {
    "ready": "ready jobs",
    "leases": "live leases",
    "queueReady": "ready tickets",
    "queueUnacked": "unacknowledged",
    "queueTotal": "tickets in all",
}
_MOST_WITNESSES = 20


def pool_facts(store: Store, name: str, now: datetime, *, utf8: bool = True) -> tuple[Fact, ...]:
    """Whether it is open, what waits, what was counted and how far that is believed, and what the scaler made of it."""
    if name not in store.pools:
        return (
            Fact("", f"Nothing is known of a pool {name}.", "warning"),
            Fact("", "Neither producer nor scaler has told of it. Esc goes back.", "muted"),
        )
    line = pool_line(store, name, now)
    return (
        *_intake(line, now, utf8=utf8),
        *_waiting(line, flow(store.history(name).since(int(now.timestamp()) - FLOW_SECONDS))),
        *_dead(store, line),
        *_decision(line, now, utf8=utf8),
        *_readings(line, utf8=utf8),
    )


def _intake(line: PoolLine, now: datetime, *, utf8: bool) -> Iterator[Fact]:
    shown = line.state
    yield Fact("intake", f"{shown.sign(utf8=utf8)} {shown.word}", shown.tone)
    if line.pool.view is None:
        yield Fact("", "The producer has not told of this pool: its POOLS_FILE may lack it.", "warning")
        return
    intake = line.pool.view.intake
    if intake.paused:
        yield Fact("why", intake.reason or UNKNOWN, "warning")
        yield Fact("by", f"{intake.by or UNKNOWN}, for {since(intake.since, now)}")


def _waiting(line: PoolLine, flows: Flow) -> Iterator[Fact]:
    view = line.pool.view
    yield Fact("ready", _number(line.pool.ready), _tone(line.pool.ready, "waiting"))
    yield Fact("waiting", _number(view.waiting if view else None), _tone(view.waiting if view else None, "plain"))
    yield Fact("unacked", _number(line.unacked), _tone(line.unacked, "active"))
    yield Fact("flow", f"at least {rate(flows.came)} in, {rate(flows.left)} out, over a minute")
    yield Fact("oldest", UNKNOWN if view is None else "nothing waits" if line.oldest is None else age(line.oldest))
    agents = present_agents(line.pool)
    if agents is None:
        yield Fact("agents", UNKNOWN, "bad")
        return
    said = ", ".join(f"{number} {state}" for state, number in agents.items() if number)
    yield Fact("agents", said or "none", "plain" if said else "muted")


def _readings(line: PoolLine, *, utf8: bool) -> Iterator[Fact]:
    yield heading("readings: how many, counted by whom, how long ago, how far believed")
    if not line.pool.readings:
        yield Fact("", "The scaler has told of none.", "bad")
        return
    for name in COUNTED:
        if name in line.pool.readings:
            yield from _reading(line, _NAMES[name], line.pool.readings[name], utf8=utf8)
    witnesses = [name for name in sorted(line.pool.readings) if name not in COUNTED]
    for name in witnesses[:_MOST_WITNESSES]:
        yield from _reading(line, name, line.pool.readings[name], utf8=utf8)


def _reading(line: PoolLine, name: str, reading: Reading, *, utf8: bool) -> Iterator[Fact]:
    shown = mark(line.trust_in(reading), "trust")
    said = f"{_number(reading.value)} {name}, {reading.source}, {age(line.age_of(reading))} ago"
    yield Fact(f"{shown.sign(utf8=utf8)} {shown.word}", said, "plain" if shown.tone == "good" else shown.tone)
    if reading.cause:
        yield Fact(" ", reading.cause, "muted")


def _decision(line: PoolLine, now: datetime, *, utf8: bool) -> Iterator[Fact]:
    decision = line.pool.decision
    yield heading("the scaler's last decision")
    if decision is None:
        yield Fact("", "It has told of none.", "muted")
        return
    shown = mark(decision.code, "decision")
    yield Fact(f"{shown.sign(utf8=utf8)} {decision.number}", f"{shown.word}: {decision.reason}", shown.tone)
    yield Fact("at", f"{clock(decision.at)}, {since(decision.at, now)} ago, woken by the {decision.woken_by}")
    yield Fact("workers", f"{_number(decision.workers)} there, {_number(decision.wanted)} wanted")
    yield from (Fact("failed", failure, "bad") for failure in decision.failures)


def _dead(store: Store, line: PoolLine) -> Iterator[Fact]:
    dead = line.pool.dead
    more = ", or more" if store.dead_more and dead is not None else ""
    yield Fact("dead", f"{_number(dead)}{more}", _tone(dead, "bad"))


def _number(number: int | None) -> str:
    return count(number)


def _tone(number: int | None, tone: Tone) -> Tone:
    return "bad" if number is None else tone if number else "muted"


# ---------------------------------------------------------------- the chart


def pool_chart(store: Store, name: str, now: datetime, *, seconds: int = CHART_SECONDS, utf8: bool = True) -> Chart:
    """What was ready, unacknowledged and working in the last so many seconds, with the decisions that did something."""
    end = now.timestamp()
    start = end - seconds
    samples = [
        Sample(point.second, (point.ready, point.unacked, point.workers, point.wanted))
        for point in store.history(name).since(int(start))
    ]
    marks = []
    for decision in reversed([*store.decisions.values()]):
        if decision.at.timestamp() < start:
            break
        if decision.pool == name and decision.acts and (shown := DECISION_MARKS.get(decision.code)):
            marks.append(Mark(decision.at.timestamp(), shown.sign(utf8=utf8), shown.tone))
    return Chart(start, end, PANELS, samples, marks[::-1], every=_SAMPLE_EVERY)
