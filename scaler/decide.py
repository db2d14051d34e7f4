"""The scaler's one decision: what is seen of a pool -> which workers start, which are asked to drain, and why.

It is a pure function of one value, so that every recorded decision can be replayed and every rule be tested as a
property. The rules, in the order in which they are asked:

1. Workers that cannot be seen, or a number of ready jobs that is unknown: nothing starts and nothing is drained. The
   broker's tickets start nothing by themselves: without its producer no worker could claim a job.
2. More ready jobs than `burst_threshold`: start `burst_size` at once, less the workers that are pending already.
3. Work waits at or below the threshold: one worker if none is pending, idle or busy; one more if the oldest job has
   waited `max_wait` while all workers are busy. A pending or an idle worker is on its way to the work: none starts.
4. Never more than `max_workers` present, and no start within the back-off after workers that never joined.
5. Where all pools share a maximum: never more than are free, and none beyond the pool's fair share (`scaler.shares`).
   A pool with more than its share asks some of its workers to drain when another one starves below its own.
6. Nothing waits: once ready, leases, tickets ready, unacknowledged and in total have all been a trusted zero for
   `idle_seconds`, every idle worker is asked to drain. Nothing else ever removes a worker.

That is the policy `burst`. The policy `elastic` has other rules 2 and 3: as many workers as finish within
`drain_seconds` of their start what those that are here or coming leave over (`scaler.sizing`), at most one for each job
and `burst_size` a tick; and one more when the oldest job has waited longer than that. Its workers leave by themselves
once idle for `idle_exit`; the others stay.

By both, an idle worker that suits no ready job does not count in rule 3, and one worker is tried for jobs that nobody
suits. What the newest workers lacked starts nobody: those jobs wait.
"""

from __future__ import annotations

from collections.abc import Iterator

from buildyard.contracts.scaling import (
    DecisionCode,
    FarmPlaces,
    Plan,
    PoolObserved,
    Reading,
    Trust,
    WorkerState,
    WorkerView,
)
from scaler.shares import Room, room
from scaler.sizing import Crowd, Need, count, need, work_waits

LONGEST_BACKOFF_SECONDS = 60


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
    crowd = Crowd.of(observed.workers)
    serve = _serve(observed, observed.workers, crowd, ready) if work_waits(observed) else None
    plan = serve or _rest(observed, observed.workers, crowd)
    return plan if plan.start or plan.drain else _give_way(observed, observed.workers, crowd) or plan


def wanted(observed: PoolObserved) -> int:
    """How many more workers a pool could use within its own maximum, were there no other pool; 0 while unknown."""
    if observed.workers is None or not work_waits(observed) or _backing_off(observed):
        return 0
    crowd = Crowd.of(observed.workers)
    return max(
        0, min(need(observed, crowd, observed.ready.value or 0).workers, observed.policy.max_workers - crowd.present)
    )


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


def _serve(observed: PoolObserved, workers: tuple[WorkerView, ...], crowd: Crowd, ready: int) -> Plan:
    """Work waits: start what it needs, within the limits."""
    policy = observed.policy
    asked = need(observed, crowd, ready)
    if asked.workers <= 0:
        return Plan(code=asked.code, reason=f"{asked.why}.", formula=asked.formula)
    room = policy.max_workers - crowd.present
    maximum = f"max_workers {policy.max_workers} - present {crowd.present} = {max(room, 0)}"
    if room <= 0:
        return Plan(
            code=DecisionCode.AT_MAXIMUM,
            reason=f"{asked.why}, but {crowd.present} of at most {policy.max_workers} workers are present.",
            formula=asked.formula,
            clamps=(maximum,),
        )
    if _backing_off(observed):
        failed, pause = observed.failed_starts, backoff_seconds(observed.failed_starts)
        return Plan(
            code=DecisionCode.START_BACKOFF,
            reason=f"{asked.why}, but {count(failed, 'worker')} in a row ended without joining: "
            f"the next one starts {pause:g} s after the last. {_last_words(workers)}",
            formula=asked.formula,
            clamps=(f"2^{failed} s, {LONGEST_BACKOFF_SECONDS} s at most = {pause:g} s between starts",),
        )
    limits = [(room, "up to the maximum", maximum)]
    if observed.farm:
        left = _room(observed, observed.farm, crowd)
        if left.places <= 0:
            return _farm_is_full(observed.farm, asked, left)
        limits.append((left.places, "up to the fair share", _farm_clamp(observed.farm, left, crowd)))
    limits.append((policy.burst_size, "as many as a tick may", f"burst_size {policy.burst_size} a tick"))
    number, limited = asked.workers, ""
    clamps: tuple[str, ...] = ()
    least = min(limit for limit, _, _ in limits)
    if least < asked.workers:
        number, words, clamp = next(one for one in limits if one[0] == least)
        limited, clamps = f" instead of {asked.workers}, {words}", (clamp,)
    return Plan(
        start=_names(observed, workers, number),
        code=asked.code,
        reason=f"{asked.why}: start {number}{limited} "
        f"({crowd.pending} pending, {crowd.present} of {policy.max_workers} workers present).",
        formula=asked.formula,
        clamps=clamps,
    )


def _rest(observed: PoolObserved, workers: tuple[WorkerView, ...], crowd: Crowd) -> Plan:
    """No work waits: drain the idle, but only when the whole pool is known to have been quiet for long enough."""
    for name, reading in _witnesses(observed):
        if reading.value is None or reading.trust is not Trust.TRUSTED:
            reason = f"No job is seen to wait, but {name} cannot be trusted{_cause(reading.cause)}: nothing is drained."
            return Plan(code=DecisionCode.UNKNOWN_COUNT, reason=reason)
    if plan := _nobody_to_drain(observed, crowd):
        return plan
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
        f"drain {count(len(idle), 'idle worker')} of {crowd.present} present.",
    )


def _nobody_to_drain(observed: PoolObserved, crowd: Crowd) -> Plan | None:
    """Why nobody is drained, where something waits or runs, or nobody is there."""
    tried = observed.suiting.tried if observed.suiting else 0
    if is_quiet(observed) and crowd.present:
        return None
    if tried:
        reason = f"{count(tried, 'job')} {'needs' if tried == 1 else 'need'} what no worker has, the newest neither: "
        return Plan(code=DecisionCode.UNSUITED, reason=f"{reason}none starts for them now.")
    if not is_quiet(observed):
        counts = ", ".join(f"{name}: {reading.value}" for name, reading in _witnesses(observed))
        return Plan(code=DecisionCode.STEADY, reason=f"No job waits, but not all is quiet ({counts}).")
    return Plan(code=DecisionCode.NOTHING_TO_DO, reason="Nothing waits, nothing runs and no worker is present.")


# ------------------------------------------------------------------------------------------------ the other pools


def _room(observed: PoolObserved, farm: FarmPlaces, crowd: Crowd) -> Room:
    return room(farm, observed.pool, crowd.present, wanted(observed), crowd.draining)


def _farm_is_full(farm: FarmPlaces, asked: Need, left: Room) -> Plan:
    """Work waits, but the farm has no place for this pool."""
    most, taken = farm.max_workers, farm.max_workers - left.free
    unseen = ", ".join(other.name for other in farm.others if not other.seen)
    doubt = f" (the workers of {unseen} were not seen yet, so all that it may have count)" if unseen else ""
    if left.free <= 0:
        return Plan(
            code=DecisionCode.FARM_AT_MAXIMUM,
            reason=f"{asked.why}, but {taken} of the {most} places of all pools are taken{doubt}.",
            formula=asked.formula,
            clamps=(f"max_workers of the farm {most} - taken by all pools {taken} = {max(left.free, 0)}",),
        )
    return Plan(
        code=DecisionCode.FAIR_SHARE,
        reason=f"{asked.why}, but the pool has its fair share of {left.share} of {most} workers, and the "
        f"{count(left.free, 'free place')} are due to other pools that need them{doubt}.",
        formula=asked.formula,
        clamps=(f"share {left.share} of {most}, all in use",),
    )


def _farm_clamp(farm: FarmPlaces, left: Room, crowd: Crowd) -> str:
    return (
        f"min(share {left.share} of {farm.max_workers} - present {crowd.present}, "
        f"free in the farm {left.free}) = {left.places}"
    )


def _give_way(observed: PoolObserved, workers: tuple[WorkerView, ...], crowd: Crowd) -> Plan | None:
    """Ask workers beyond the pool's share to leave, if another pool starves; those that idle first.

    Only on counts that are trusted, the broker's too: whatever is in doubt, nobody leaves.
    """
    if observed.farm is None or any(reading.trust is not Trust.TRUSTED for _, reading in _witnesses(observed)):
        return None
    left = _room(observed, observed.farm, crowd)
    number = min(left.missing, crowd.present - crowd.draining - left.share)
    order = {WorkerState.IDLE: 0, WorkerState.BUSY: 1}
    able = sorted((one for one in workers if one.state in order), key=lambda one: (order[one.state], -one.slot))
    leaving = tuple(sorted(one.name for one in able[: max(0, number)]))
    if not leaving:
        return None
    starving = ", ".join(other.name for other in observed.farm.others if other.starving)
    beyond = f"present {crowd.present} - leaving {crowd.draining} - share {left.share}"
    return Plan(
        drain=leaving,
        code=DecisionCode.GIVES_WAY,
        reason=f"{starving} waits for workers below its fair share, and {crowd.present} are present here of a share of "
        f"{left.share}: drain {len(leaving)}; who is busy ends its job first.",
        formula=f"min(missing there {left.missing}, {beyond}) = {number}",
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


def _last_words(workers: tuple[WorkerView, ...]) -> str:
    """Why the newest worker that never began to run did not, where its platform told."""
    told = [one for one in workers if one.state is WorkerState.EXITED and one.pending_reason]
    return min(told, key=lambda one: one.age_seconds).pending_reason if told else "Their logs say why."


def _names(observed: PoolObserved, workers: tuple[WorkerView, ...], number: int) -> tuple[str, ...]:
    """Names for new workers: the lowest free slots, each with a generation that its slot never had."""
    taken = {worker.slot for worker in workers if worker.state is not WorkerState.EXITED}
    newest = dict(observed.generations)
    for worker in workers:
        newest[worker.slot] = max(newest.get(worker.slot, 0), worker.generation)
    free = [slot for slot in range(1, len(taken) + number + 1) if slot not in taken][:number]
    return tuple(worker_name(observed.pool, slot, newest.get(slot, 0) + 1) for slot in free)


def _cause(cause: str) -> str:
    return f" ({cause.rstrip('.')})" if cause else ""
