"""The scaler's one decision: what is seen of a pool -> which workers start, which are asked to drain, and why.

It is a pure function of one value, so that every recorded decision can be replayed and every rule be tested as a
property. The rules, in the order in which they are asked:

1. Workers that cannot be seen, or a number of ready jobs that is unknown: nothing starts and nothing is drained. The
   broker's tickets start nothing by themselves: without its producer no worker could claim a job.
2. More ready jobs than `burst_threshold`: start `burst_size` at once, less the workers that are pending already.
3. Work waits at or below the threshold: one worker if none is pending, idle or busy; one more if the oldest job has
   waited `max_wait` while all workers are busy. A pending or an idle worker is on its way to the work: none starts.
4. Never more than `max_workers` present, and no start within the back-off after workers that never joined.
5. Nothing waits: once ready, leases, tickets ready, unacknowledged and in total have all been a trusted zero for
   `idle_seconds`, every idle worker is asked to drain. Nothing else ever removes a worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from buildyard.contracts.scaling import DecisionCode, Plan, PoolObserved, Reading, Trust, WorkerState, WorkerView

LONGEST_BACKOFF_SECONDS = 60


@dataclass(frozen=True)
class _Crowd:
    """The present workers of a pool, counted by state."""

    pending: int
    idle: int
    busy: int
    present: int

    @classmethod
    def of(cls, workers: tuple[WorkerView, ...]) -> _Crowd:
        states = Counter(worker.state for worker in workers)
        return cls(
            pending=states[WorkerState.PENDING],
            idle=states[WorkerState.IDLE],
            busy=states[WorkerState.BUSY],
            present=len(workers) - states[WorkerState.EXITED],
        )


@dataclass(frozen=True)
class _Need:
    """How many workers the work in sight asks for (0 or less: none), and the reason as half a sentence."""

    workers: int
    code: DecisionCode
    why: str


def decide(observed: PoolObserved) -> Plan:
    """Decide about one pool. Equal values give equal plans; see the module for the rules."""
    if observed.workers is None:
        cause = _cause(observed.workers_cause)
        return Plan(
            code=DecisionCode.EXECUTOR_UNREACHABLE,
            reason=f"The workers cannot be seen{cause}: nothing starts and nothing is drained.",
        )
    ready = observed.ready.value
    if ready is None or observed.ready.trust is Trust.UNKNOWN:
        cause = _cause(observed.ready.cause)
        return Plan(
            code=DecisionCode.UNKNOWN_COUNT,
            reason=f"The number of ready jobs is unknown{cause}: nothing starts and nothing is drained.",
        )
    crowd = _Crowd.of(observed.workers)
    if ready > 0:
        return _serve(observed, observed.workers, crowd, ready)
    return _rest(observed, observed.workers, crowd)


def is_quiet(observed: PoolObserved) -> bool:
    """Whether both witnesses can be trusted that nothing waits and nothing runs."""
    return all(reading.trust is Trust.TRUSTED and reading.value == 0 for _, reading in _witnesses(observed))


def backoff_seconds(failed_starts: int) -> float:
    """How long to wait after so many failed starts in a row: 2, 4, 8 ... up to 60 s; 0 without any."""
    if failed_starts <= 0:
        return 0
    return float(min(LONGEST_BACKOFF_SECONDS, 2 ** min(failed_starts, 10)))


def worker_name(pool: str, slot: int, generation: int) -> str:
    """The name of a worker: a retry or a second scaler that decides the same comes to the same name."""
    return f"{pool}-{slot}-{generation}"


def _serve(observed: PoolObserved, workers: tuple[WorkerView, ...], crowd: _Crowd, ready: int) -> Plan:
    """Work waits: start what it needs, within the limits."""
    policy, need = observed.policy, _need(observed, crowd, ready)
    if need.workers <= 0:
        return Plan(code=need.code, reason=f"{need.why}.")
    room = policy.max_workers - crowd.present
    if room <= 0:
        return Plan(
            code=DecisionCode.AT_MAXIMUM,
            reason=f"{need.why}, but {crowd.present} of at most {policy.max_workers} workers are present.",
        )
    if _backing_off(observed):
        failed, pause = observed.failed_starts, backoff_seconds(observed.failed_starts)
        return Plan(
            code=DecisionCode.START_BACKOFF,
            reason=f"{need.why}, but {_count(failed, 'worker')} in a row ended without joining: "
            f"the next one starts {pause:g} s after the last. Their logs say why.",
        )
    number = min(need.workers, room)
    limited = f" instead of {need.workers}, up to the maximum" if number < need.workers else ""
    return Plan(
        start=_names(observed, workers, number),
        code=need.code,
        reason=f"{need.why}: start {number}{limited} "
        f"({crowd.pending} pending, {crowd.present} of {policy.max_workers} workers present).",
    )


def _need(observed: PoolObserved, crowd: _Crowd, ready: int) -> _Need:
    """What the waiting work asks for, before any limit."""
    policy, oldest = observed.policy, observed.oldest_wait_seconds or 0
    waiting = f"{_count(ready, 'job')} {'waits' if ready == 1 else 'wait'}"
    if observed.ready.trust is Trust.STALE:
        waiting += " by a stale count"
    if ready > policy.burst_threshold:
        missing = policy.burst_size - crowd.pending
        if missing > 0:
            return _Need(missing, DecisionCode.BURST, f"{waiting}, more than {policy.burst_threshold}")
        coming = f"{waiting}, more than {policy.burst_threshold}, and {crowd.pending} workers are pending"
        return _Need(0, DecisionCode.WORKERS_COMING, coming)
    if crowd.pending or crowd.idle:
        coming = f"{waiting}; {crowd.pending} pending and {crowd.idle} idle workers are on their way to them"
        return _Need(0, DecisionCode.WORKERS_COMING, coming)
    if not crowd.busy:
        return _Need(1, DecisionCode.FIRST_WORKER, f"{waiting} and no worker is there to take one")
    if oldest >= policy.max_wait:
        return _Need(1, DecisionCode.WAITED_TOO_LONG, f"{waiting}, the oldest for {oldest:.1f} s")
    steady = f"{waiting}, no more than {policy.burst_threshold} and none for {policy.max_wait:g} s yet"
    return _Need(0, DecisionCode.STEADY, f"{steady}; {_count(crowd.busy, 'worker')} busy")


def _rest(observed: PoolObserved, workers: tuple[WorkerView, ...], crowd: _Crowd) -> Plan:
    """No work waits: drain the idle, but only when the whole pool is known to have been quiet for long enough."""
    for name, reading in _witnesses(observed):
        if reading.value is None or reading.trust is not Trust.TRUSTED:
            reason = f"No job is seen to wait, but {name} cannot be trusted{_cause(reading.cause)}: nothing is drained."
            return Plan(code=DecisionCode.UNKNOWN_COUNT, reason=reason)
    if not is_quiet(observed):
        counts = ", ".join(f"{name}: {reading.value}" for name, reading in _witnesses(observed))
        return Plan(code=DecisionCode.STEADY, reason=f"No job waits, but not all is quiet ({counts}).")
    if not crowd.present:
        return Plan(code=DecisionCode.NOTHING_TO_DO, reason="Nothing waits, nothing runs and no worker is present.")
    if observed.quiet_seconds < observed.policy.idle_seconds:
        return Plan(
            code=DecisionCode.IDLE_WAIT,
            reason=f"All has been quiet for {int(observed.quiet_seconds)} s of {observed.policy.idle_seconds:g} s "
            f"({crowd.idle} idle, {crowd.present} workers present).",
        )
    idle = tuple(sorted(worker.name for worker in workers if worker.state is WorkerState.IDLE))
    if not idle:
        return Plan(
            code=DecisionCode.STEADY, reason=f"All is quiet, but none of the {crowd.present} present workers is idle."
        )
    return Plan(
        drain=idle,
        code=DecisionCode.SCALE_TO_ZERO,
        reason=f"All has been quiet for {observed.policy.idle_seconds:g} s or more: "
        f"drain {_count(len(idle), 'idle worker')} of {crowd.present} present.",
    )


def _witnesses(observed: PoolObserved) -> Iterator[tuple[str, Reading]]:
    """The five counts that must all be a trusted zero before anything is drained."""
    yield "ready jobs", observed.ready
    yield "leases", observed.leases
    yield "tickets ready", observed.queue_ready
    yield "tickets unacknowledged", observed.queue_unacked
    yield "tickets in total", observed.queue_total


def _backing_off(observed: PoolObserved) -> bool:
    since = observed.seconds_since_failed_start
    return since is not None and since < backoff_seconds(observed.failed_starts)


def _names(observed: PoolObserved, workers: tuple[WorkerView, ...], number: int) -> tuple[str, ...]:
    """Names for new workers: the lowest free slots, each with a generation that its slot never had."""
    taken = {worker.slot for worker in workers if worker.state is not WorkerState.EXITED}
    newest = dict(observed.generations)
    for worker in workers:
        newest[worker.slot] = max(newest.get(worker.slot, 0), worker.generation)
    free = [slot for slot in range(1, len(taken) + number + 1) if slot not in taken][:number]
    return tuple(worker_name(observed.pool, slot, newest.get(slot, 0) + 1) for slot in free)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cause(cause: str) -> str:
    return f" ({cause.rstrip('.')})" if cause else ""
