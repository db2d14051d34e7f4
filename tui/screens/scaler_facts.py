"""One decision's whole record, as sentences with readings, their sources, ages and trust. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from buildyard.contracts.scaling import (
    Decision,
    Plan,
    PoolObserved,
    Reading,
    ScalingPolicy,
    Trust,
    WorkerState,
    WorkerView,
)
from tui import format as shown
from tui.format import Tone
from tui.state.rows import UseRow
from tui.widgets.facts import Fact, heading

_TONES: Mapping[Trust, Tone] = {Trust.TRUSTED: "good", Trust.STALE: "warning", Trust.UNKNOWN: "bad"}
_WOKEN = {"doorbell": "because a job came in (the doorbell rang)", "tick": "because its time had come (a tick)"}
_MOST_WORKERS = 200


def record_facts(decision: Decision, *, utf8: bool = True) -> list[Fact]:
    """What was decided and why, what came of it, what was read, which workers there were, and the pool's rules."""
    seen = decision.observed
    told = [*_decided(decision, utf8=utf8), *_did(decision), *_read(seen), *_saw(seen), heading("Its rules")]
    return [*told, *(Fact("", sentence) for sentence in rules(seen.policy))]


def why_facts(plan: Plan, *, utf8: bool) -> Iterator[Fact]:
    """What a plan decides, and why: its sentence, its formula, and the limits that it met."""
    mark = shown.mark(plan.code.value, "decision")
    yield Fact("decision", f"{mark.sign(utf8=utf8)} {mark.word.replace('_', ' ')}", mark.tone)
    yield Fact("because", plan.reason)
    if plan.formula:
        yield Fact("formula", plan.formula)
    yield from (Fact("limit", clamp) for clamp in plan.clamps)


def _decided(decision: Decision, *, utf8: bool) -> Iterator[Fact]:
    yield from why_facts(decision.plan, utf8=utf8)
    yield Fact("pool", decision.observed.pool)
    yield Fact("at", f"{shown.day_and_clock(decision.at)} UTC, {_WOKEN.get(decision.woken_by, decision.woken_by)}")
    yield Fact("number", shown.count(decision.number))


def _did(decision: Decision) -> Iterator[Fact]:
    plan = decision.plan
    yield heading("What it did")
    if plan.start:
        yield Fact("started", f"{_some(len(plan.start), 'worker')}: {', '.join(plan.start)}", "active")
    if plan.drain:
        yield Fact("drains", f"{_some(len(plan.drain), 'worker')} asked to leave: {', '.join(plan.drain)}", "active")
    if not plan.start and not plan.drain:
        yield Fact("", "It started no worker and asked none to leave.")
    for failure in decision.failures:
        yield Fact("failed", failure, "bad")


def _read(seen: PoolObserved) -> Iterator[Fact]:
    yield heading("What it read")
    counts = (
        ("ready", "jobs that are ready", seen.ready),
        ("leases", "jobs in the hands of workers", seen.leases),
        ("tickets", "tickets ready in the queue", seen.queue_ready),
        ("unacked", "tickets unacknowledged", seen.queue_unacked),
        ("in all", "tickets in all", seen.queue_total),
    )
    for label, what, reading in counts:
        yield Fact(label, sentence_of(reading, what), _TONES.get(reading.trust, "plain"))
    wait = seen.oldest_wait_seconds
    if wait is None:
        yield Fact("waits", "Whether a job waits, and for how long, was not told.", "muted")
    else:
        yield Fact("waits", f"The oldest job had waited {shown.duration(wait)}.")
    if seen.quiet_seconds:
        yield Fact("quiet", f"For {shown.duration(seen.quiet_seconds)} every count had been a trusted zero.")


def sentence_of(reading: Reading, what: str) -> str:
    """One reading: its value, where it is from, how old it was, and whether it was believed, with the cause."""
    value = (
        f"The number of {what} is not known"
        if reading.value is None
        else f"Number of {what}: {shown.count(reading.value)}"
    )
    cause = f": {reading.cause}" if reading.cause else "."
    return f"{value}; {reading.source}, {shown.duration(reading.age_seconds)} old, {_trust(reading.trust)}{cause}"


def _trust(trust: Trust) -> str:
    return {Trust.TRUSTED: "trusted", Trust.STALE: "stale: it drains no worker", Trust.UNKNOWN: "not trusted"}[trust]


def _saw(seen: PoolObserved) -> Iterator[Fact]:
    yield heading("The workers it saw")
    if seen.workers is None:
        yield Fact("", f"They could not be seen: {seen.workers_cause or 'the executor did not answer.'}", "bad")
        return
    states = Counter(worker.state for worker in seen.workers)
    counted = ", ".join(f"{states[state]} {state.value}" for state in WorkerState if states[state])
    present = len(seen.workers) - states[WorkerState.EXITED]
    yield Fact("present", f"{present} of at most {seen.policy.max_workers}{f' ({counted})' if counted else ''}")
    if seen.failed_starts:
        ago = seen.seconds_since_failed_start
        when = "" if ago is None else f", the last {shown.age(ago)} before"
        yield Fact("failed", f"{_some(seen.failed_starts, 'start')} in a row failed{when}.", "bad")
    grouped: dict[WorkerState, list[WorkerView]] = {}
    for worker in seen.workers[:_MOST_WORKERS]:
        grouped.setdefault(worker.state, []).append(worker)
    for state, workers in grouped.items():
        mark = shown.mark(state.wire, "agent")
        yield Fact(state.value, ", ".join(map(_named, workers)), mark.tone)


def _named(worker: WorkerView) -> str:
    told = [shown.age(worker.age_seconds)] if worker.age_seconds else []
    told += [f"exit code {worker.exit_code}"] if worker.exit_code is not None else []
    return f"{worker.name} ({', '.join(told)})" if told else worker.name


def rules(policy: ScalingPolicy) -> tuple[str, ...]:
    """A pool's policy in words."""
    if policy.name == "elastic":
        leave = f" or leave by themselves after {shown.duration(policy.idle_exit)}" if policy.idle_exit else ""
        return (
            f"As many workers start as finish all that waits within {shown.duration(policy.drain_seconds)}.",
            f"At most one for each job, and {_some(policy.burst_size, 'worker')} at once.",
            f"There are never more than {_some(policy.max_workers, 'worker')}.",
            f"Idle workers are asked to leave after {shown.duration(policy.idle_seconds)} of quiet{leave}.",
        )
    return (
        f"More than {policy.burst_threshold} ready jobs start {_some(policy.burst_size, 'worker')} at once.",
        f"At or below that: one worker, and one more when a job has waited {shown.duration(policy.max_wait)}.",
        f"There are never more than {_some(policy.max_workers, 'worker')}.",
        f"Idle workers are asked to leave after {shown.duration(policy.idle_seconds)} in which nothing waits or runs.",
    )


def share_and_size(use: UseRow) -> str:
    """What a process uses: its share of one core lately, and its memory."""
    cpu = shown.UNKNOWN if use.cpu is None else f"{use.cpu * 100:.1f}%"
    return f"CPU {cpu} of a core, {shown.size(use.memory_bytes)}"


def _some(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
