"""Raw answers of producer, broker and executor -> what a decision may believe.

A count that nobody could give is UNKNOWN and holds no value, never 0. A zero counts only when every witness agrees on
it and none is silent: a broker can answer 0 without an error while its queue has no leader. What the witnesses are
and which of them is believed when is told in `docs/scaling.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from buildyard.contracts.agents import AgentState, AgentView
from buildyard.contracts.api import AgentList, PoolList, PoolView, WorkerInfo
from buildyard.contracts.scaling import PoolConfig, PoolObserved, Reading, Trust, WorkerState, WorkerView
from buildyard.ports import SLOW_SECONDS, Depth, Uncounted
from scaler.decide import is_quiet

FRESH_SECONDS = 2.0
"""An older count is STALE: it may start workers, it never drains one."""
SETTLING_SECONDS = 10.0
"""A zero of statistics counts when it was sampled so long after leases or tickets in hand last changed."""
STATISTICS_SECONDS = 15.0
"""Statistics older than this have stopped: whoever should take them, most often the queue's leader, is away."""
JOIN_SECONDS = 60.0
"""A worker that has not joined after this time no longer counts as on its way, but still as present."""

_T_co = TypeVar("_T_co", covariant=True)
_TERMINATED = -15


@dataclass(frozen=True)
class Answer(Generic[_T_co]):
    """What a part said when asked: a value with its greatest possible age, or None and the cause as a sentence."""

    value: _T_co | None
    age_seconds: float = 0
    cause: str = ""


@dataclass(frozen=True)
class Seen:
    """All the answers that one look at a pool brought in."""

    pools: Answer[PoolList]
    agents: Answer[AgentList]
    depths: Answer[tuple[Depth | Uncounted, ...]]
    workers: Answer[tuple[WorkerInfo, ...]]
    still_seconds: float = 0
    """For how long leases and tickets in hand have not changed; 0 while that is not known."""


@dataclass(frozen=True)
class Movement:
    """What was in hand at the last look (leases, unacknowledged tickets), and since when it has been the same."""

    in_hand: tuple[int | None, ...]
    since: float


def observe(config: PoolConfig, seen: Seen) -> PoolObserved:
    """Put together what is known of a pool, all but for how long it has been quiet."""
    view = _pool_view(config.name, seen.pools, seen.agents)
    ready, leases = _producer_readings(view)
    queue_ready, queue_unacked, queue_total = _queue_readings(seen, ready, leases)
    generations = view.value.generations if view.value else {}
    agents = seen.agents.value.agents if seen.agents.value else ()
    infos = None if seen.workers.value is None else [w for w in seen.workers.value if w.pool == config.name]
    failed, since_failed = failed_starts(infos or (), generations) if view.value else (0, None)
    return PoolObserved(
        pool=config.name,
        policy=config.policy,
        ready=ready,
        leases=leases,
        oldest_wait_seconds=view.value.oldest_wait_seconds if view.value else None,
        queue_ready=queue_ready,
        queue_unacked=queue_unacked,
        queue_total=queue_total,
        workers=None if infos is None else join(config.name, infos, agents, generations),
        workers_cause=seen.workers.cause,
        generations=generations,
        failed_starts=failed,
        seconds_since_failed_start=since_failed,
        job_seconds=view.value.job_seconds if view.value and config.policy.name == "elastic" else None,
        suiting=view.value.suiting if view.value else None,
    )


def quiet(previous_since: float | None, observed: PoolObserved, now: float) -> float | None:
    """Since when the pool has been quiet, or None while it is not; a fold over observations, on a monotonic clock.

    An untrusted count ends the quiet: it starts anew when everything is a trusted zero again.
    """
    if not is_quiet(observed):
        return None
    return now if previous_since is None else previous_since


def movement(previous: Movement | None, pool: str, seen: Seen, now: float) -> Movement:
    """When an acknowledgement was last seen, as a fold over looks: what is in hand changed, or became unknown."""
    view = next((view for view in seen.pools.value.pools if view.name == pool), None) if seen.pools.value else None
    counted = _counted(seen.depths.value)
    in_hand = (view.leases if view else None, counted.unacked if counted else None)
    return previous if previous and previous.in_hand == in_hand else Movement(in_hand, now)


def readings_of(observed: PoolObserved) -> dict[str, Reading]:
    """The counts of an observation by their names on the wire."""
    return {
        "ready": observed.ready,
        "leases": observed.leases,
        "queueReady": observed.queue_ready,
        "queueUnacked": observed.queue_unacked,
        "queueTotal": observed.queue_total,
    }


# ------------------------------------------------------------------------------------------------ the two witnesses


def _pool_view(pool: str, pools: Answer[PoolList], agents: Answer[AgentList]) -> Answer[PoolView]:
    """One pool of the producer's answer. Without its agents too the answer is worth nothing: who is idle is unknown."""
    if pools.value is None:
        return Answer(None, cause=pools.cause)
    if agents.value is None:
        return Answer(None, cause=agents.cause)
    found = next((view for view in pools.value.pools if view.name == pool), None)
    if found is None:
        return Answer(None, cause=f"The producer has no pool {pool}: it reads another POOLS_FILE than the scaler.")
    return Answer(found, max(pools.age_seconds, agents.age_seconds))


def _producer_readings(view: Answer[PoolView]) -> tuple[Reading, Reading]:
    """Ready jobs and live leases, both from one snapshot of the producer's store."""
    if view.value is None:
        unknown = _unknown("producer", view.cause)
        return unknown, unknown
    return (
        _known(view.value.ready, "producer", view.age_seconds),
        _known(view.value.leases, "producer", view.age_seconds),
    )


def _queue_readings(seen: Seen, ready: Reading, leases: Reading) -> tuple[Reading, Reading, Reading]:
    """Tickets ready, unacknowledged and in total: the broker's own count, confirmed by the producer and by statistics.

    A passive declare counts ready tickets only. Then the producer's leases stand in for the unacknowledged ones, and
    the source says so: a worker keeps its ticket unacknowledged for exactly as long as it holds a lease.
    """
    counted = _counted(seen.depths.value)
    if counted is None:
        unknown = _unknown("broker", seen.depths.cause or "The broker gives no count.")
        return unknown, unknown, unknown
    age = seen.depths.age_seconds + counted.age_seconds
    queue_ready = _confirmed(_known(counted.ready, counted.source, age), ready, "ready jobs")
    if counted.unacked is None:
        queue_unacked = leases.model_copy(update={"source": "producer leases"})
    else:
        queue_unacked = _confirmed(_known(counted.unacked, counted.source, age), leases, "live leases")
    if doubt := _doubt(seen) or _contradiction(seen):
        queue_ready, queue_unacked = _unless_zero(queue_ready, doubt), _unless_zero(queue_unacked, doubt)
    total = _total(queue_ready, queue_unacked)
    if total.value == 0 and counted.total:
        total = _known(counted.total, counted.source, age)
    return queue_ready, *_backed(seen, queue_unacked, total)


def witness_readings(seen: Seen) -> dict[str, Reading]:
    """What each source of the broker's counts says by itself, as `rabbitmqManagement.total`; for people to compare."""
    told: dict[str, Reading] = {}
    for depth in seen.depths.value or ():
        first, *words = depth.source.split()
        name = first + "".join(word.capitalize() for word in words)
        if isinstance(depth, Uncounted):
            told[f"{name}.total"] = _unknown(depth.source, depth.cause, seen.depths.age_seconds)
            continue
        age, doubt = seen.depths.age_seconds + depth.age_seconds, _doubt_of(depth, seen.depths.age_seconds)
        for count, value in (("ready", depth.ready), ("unacked", depth.unacked), ("total", depth.total)):
            if value is not None:
                reading = _known(value, depth.source, age)
                told[f"{name}.{count}"] = _unless_zero(reading, doubt) if doubt else reading
    return told


def _counted(depths: tuple[Depth | Uncounted, ...] | None) -> Depth | None:
    """The count that the broker made for this question; it comes first."""
    first = depths[0] if depths else None
    return first if isinstance(first, Depth) and not first.sampled else None


def _doubt(seen: Seen) -> str:
    """Why no zero of this look can be believed, or nothing."""
    doubts = (_doubt_of(depth, seen.depths.age_seconds) for depth in seen.depths.value or ())
    return next((doubt for doubt in doubts if doubt), "")


def _contradiction(seen: Seen) -> str:
    """A passive declare and statistics that disagree: one lags, or nobody answers for the queue any more."""
    found = [depth for depth in seen.depths.value or () if isinstance(depth, Depth) and depth.ready > 0]
    return f"Of the sources only {found[0].source} counts ready tickets." if found and found[0].sampled else ""


def _doubt_of(depth: Depth | Uncounted, more_age: float) -> str:
    """Why a zero cannot be believed in view of what one source says, as a sentence that stays the same meanwhile."""
    source = depth.source[:1].upper() + depth.source[1:]
    if isinstance(depth, Uncounted):
        return f"{source} cannot confirm it. {depth.cause}"
    unacked = depth.unacked or 0
    if min(depth.ready, unacked) < 0 or (depth.total is not None and depth.total < depth.ready + unacked):
        return f"{source} gives counts that cannot be."
    if depth.has_leader is False:
        return f"The queue has no leader, says {depth.source}."
    if not depth.sampled:
        slow = f"The answer took {SLOW_SECONDS:g} s or more: the queue's leader may be missing."
        return slow if depth.slow_zero else ""
    if depth.unacked is None or depth.total is None:
        return f"{source} does not tell all counts."
    stopped = more_age + depth.age_seconds > STATISTICS_SECONDS
    return f"{source} has stopped: its newest counts are older than {STATISTICS_SECONDS:g} s." if stopped else ""


def _backed(seen: Seen, unacked: Reading, total: Reading) -> tuple[Reading, Reading]:
    """Unacknowledged and total, as far as statistics bear them out: they see what a passive declare cannot."""
    sampled = [depth for depth in seen.depths.value or () if isinstance(depth, Depth) and depth.sampled]
    for depth in sampled:
        age = seen.depths.age_seconds + depth.age_seconds
        unacked = _borne_out(unacked, depth.unacked, depth.source, age, seen.still_seconds)
        total = _borne_out(total, depth.total, depth.source, age, seen.still_seconds)
    return unacked, total


def _borne_out(reading: Reading, found: int | None, source: str, age: float, still_seconds: float) -> Reading:
    """A trusted zero beside what statistics say: theirs counts once it was sampled after all had settled."""
    if reading.value != 0 or reading.trust is not Trust.TRUSTED:
        return reading
    age = round(age, 3)
    if still_seconds - age < SETTLING_SECONDS:
        cause = f"The statistics of {source} are not yet from {SETTLING_SECONDS:g} s after the last acknowledgement."
        return _unknown(source, cause, age)
    if found:
        return _known(found, source, age)
    source = f"{reading.source} + {source}"
    return Reading(value=0, source=source, age_seconds=max(age, reading.age_seconds), trust=Trust.TRUSTED)


def _unless_zero(reading: Reading, doubt: str) -> Reading:
    """Nobody invents messages: under doubt a number above 0 stands, a zero does not."""
    return reading if reading.value else _unknown(reading.source, reading.cause or doubt, reading.age_seconds)


def _confirmed(reading: Reading, witness: Reading, what: str) -> Reading:
    """A broker's zero is believed only while it is fresh, and when the producer counts zero too."""
    if reading.value == 0 and reading.trust is not Trust.TRUSTED:
        return _unknown(reading.source, reading.cause, reading.age_seconds)
    if reading.value == 0 and witness.value is None:
        return _unknown(reading.source, f"The producer cannot confirm it. {witness.cause}", reading.age_seconds)
    if reading.value != 0 or not witness.value:
        return reading
    cause = f"The broker says 0, but the producer counts {witness.value} {what}."
    return _unknown(reading.source, cause, reading.age_seconds)


def _total(ready: Reading, unacked: Reading) -> Reading:
    source = ready.source if ready.source == unacked.source else f"{ready.source} + {unacked.source}"
    age = max(ready.age_seconds, unacked.age_seconds)
    if ready.value is None or unacked.value is None:
        return _unknown(source, ready.cause if ready.value is None else unacked.cause, age)
    return _known(ready.value + unacked.value, source, age)


def _known(value: int, source: str, age: float) -> Reading:
    age = round(age, 3)
    if value < 0:
        return _unknown(source, "It is a negative count.", age)
    if age <= FRESH_SECONDS:
        return Reading(value=value, source=source, age_seconds=age, trust=Trust.TRUSTED)
    cause = f"It is older than {FRESH_SECONDS:g} s."
    return Reading(value=value, source=source, age_seconds=age, trust=Trust.STALE, cause=cause)


def _unknown(source: str, cause: str, age: float = 0) -> Reading:
    return Reading(value=None, source=source, age_seconds=age, trust=Trust.UNKNOWN, cause=cause)


# ------------------------------------------------------------------------------------------------ workers


def slot_of(pool: str, name: str) -> tuple[int, int] | None:
    """Slot and generation of a worker's name, or None for an agent that no scaler named."""
    match = re.fullmatch(re.escape(pool) + r"-([1-9]\d{0,8})-([1-9]\d{0,8})", name)
    return (int(match[1]), int(match[2])) if match else None


def join(
    pool: str, infos: Iterable[WorkerInfo], agents: Iterable[AgentView], generations: Mapping[int, int]
) -> tuple[WorkerView, ...]:
    """The pool's workers by name: those of the executor, and registered ones in a slot that it does not know.

    The executor says who runs, the producer's registry what they do. Of the ended ones only those are kept whose
    generation the registry has never seen: all others are past, and `generations` says all that matters of them.
    """
    registered = {agent.name: agent for agent in agents if agent.pool == pool}
    views: list[WorkerView] = []
    for info in infos:
        state = worker_state(info, registered.pop(info.name, None))
        place = slot_of(pool, info.name)
        if place and (state is not WorkerState.EXITED or place[1] > generations.get(place[0], 0)):
            views.append(_view(info, place, state))
    for agent in registered.values():
        place, present = slot_of(pool, agent.name), _REGISTERED.get(agent.state.lower())
        if place and present:
            views.append(WorkerView(name=agent.name, slot=place[0], generation=place[1], state=present))
    return tuple(sorted(views, key=lambda view: (view.slot, view.generation)))


def worker_state(info: WorkerInfo, agent: AgentView | None) -> WorkerState:
    """What a worker of the executor does, by what the producer's registry says of it.

    One that waits for its platform is pending for as long as its executor lets it wait: none starts in its place.
    """
    if info.state == WorkerState.EXITED.wire:
        return WorkerState.EXITED
    if agent is None:
        coming = info.age_seconds < JOIN_SECONDS or info.pending_code is not None
        return WorkerState.PENDING if coming else WorkerState.UNRESPONSIVE
    if agent.state.lower() == AgentState.LEFT:
        return WorkerState.DRAINING
    return _REGISTERED.get(agent.state.lower(), WorkerState.UNRESPONSIVE)


def failed_starts(infos: Iterable[WorkerInfo], generations: Mapping[int, int]) -> tuple[int, float | None]:
    """How many of the newest workers in a row ended without ever joining, and the seconds since the last of them began.

    A worker that ended well or was told to end (SIGTERM) has not failed.
    """
    failed, since = 0, None
    for info in sorted(infos, key=lambda info: info.age_seconds):
        place = slot_of(info.pool, info.name)
        if place is None:
            continue
        if place[1] <= generations.get(place[0], 0):
            break
        if info.state == WorkerState.EXITED.wire and info.exit_code not in {0, _TERMINATED}:
            failed += 1
            since = info.age_seconds if since is None else since
    return failed, since


_REGISTERED: dict[str, WorkerState] = {
    AgentState.IDLE: WorkerState.IDLE,
    AgentState.BUSY: WorkerState.BUSY,
    AgentState.DRAINING: WorkerState.DRAINING,
}


def _view(info: WorkerInfo, place: tuple[int, int], state: WorkerState) -> WorkerView:
    waits = state in {WorkerState.PENDING, WorkerState.EXITED}
    return WorkerView(
        name=info.name,
        slot=place[0],
        generation=place[1],
        state=state,
        age_seconds=info.age_seconds,
        exit_code=info.exit_code,
        pending_code=info.pending_code if waits else None,
        pending_reason=info.pending_reason if waits else "",
    )
