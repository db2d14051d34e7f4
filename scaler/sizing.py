"""How many workers the work of a pool asks for, by its policy and before any limit; pure.

By `burst`: `burst_size` at once while more than `burst_threshold` jobs wait, else one at a time. By `elastic`: as many
as finish the work in time, less what those that are here or coming do meanwhile. By both: idle workers that suit none
of the ready jobs are no help to them, and one worker is tried for jobs that nobody suits.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

from buildyard.contracts.scaling import DecisionCode, PoolObserved, PoolSuiting, Trust, WorkerState, WorkerView

_SHORTEST_JOB = 1e-6
"""Seconds; even jobs that take no time that could be measured need a worker."""
_SPARE = 0.5
"""Of the learned time: by so much may one worker start slower than another."""


@dataclass(frozen=True)
class Crowd:
    """The present workers of a pool, counted by state."""

    pending: int
    idle: int
    busy: int
    draining: int
    present: int
    unsuited: int = 0
    """Idle workers that suit none of the ready jobs; `idle` counts them only where nothing waits."""
    pending_ages: tuple[float, ...] = ()
    """Seconds since each of those that are pending was started."""

    @classmethod
    def of(cls, workers: tuple[WorkerView, ...]) -> Crowd:
        """Count them."""
        states = Counter(worker.state for worker in workers)
        return cls(
            pending=states[WorkerState.PENDING],
            idle=states[WorkerState.IDLE],
            busy=states[WorkerState.BUSY],
            draining=states[WorkerState.DRAINING],
            present=len(workers) - states[WorkerState.EXITED],
            pending_ages=tuple(worker.age_seconds for worker in workers if worker.state is WorkerState.PENDING),
        )

    def without_unsuited(self, suiting: PoolSuiting | None) -> Crowd:
        """The same, those that idle and suit no ready job counted apart. Unknown: all may suit."""
        if suiting is None:
            return self
        unsuited = min(self.idle, max(0, suiting.idle - suiting.idle_for_ready))
        return replace(self, idle=self.idle - unsuited, unsuited=unsuited)


@dataclass(frozen=True)
class Need:
    """How many workers the work in sight asks for (0 or less: none), the reason as half a sentence, the equation."""

    workers: int
    code: DecisionCode
    why: str
    formula: str = ""


def work_waits(observed: PoolObserved) -> bool:
    """Whether there is work that a start may serve; False also while nobody knows."""
    ready = observed.ready.value
    if ready is None or observed.ready.trust is Trust.UNKNOWN:
        return False
    return ready > 0 or bool(observed.suiting and observed.suiting.on_trial)


def need(observed: PoolObserved, crowd: Crowd, ready: int) -> Need:
    """What the waiting work asks for by the pool's policy, before any limit."""
    suiting = observed.suiting
    crowd = crowd.without_unsuited(suiting)
    held = min(ready, suiting.held) if suiting else 0
    found = _of_policy(observed, crowd, ready - held) if ready > held else None
    if found is not None and found.workers > 0:
        return found
    if suiting is not None and suiting.on_trial:
        return _trial(suiting, crowd, ready)
    return found or _held(held, crowd)


def _of_policy(observed: PoolObserved, crowd: Crowd, ready: int) -> Need:
    return (_elastic if observed.policy.name == "elastic" else _burst)(observed, crowd, ready)


def _burst(observed: PoolObserved, crowd: Crowd, ready: int) -> Need:
    """What the waiting work asks for by the policy `burst`, before any limit."""
    policy, oldest, waiting = observed.policy, observed.oldest_wait_seconds or 0, _waiting(observed, crowd, ready)
    if ready > policy.burst_threshold:
        missing = policy.burst_size - crowd.pending
        formula = f"burst_size {policy.burst_size} - pending {crowd.pending} = {missing}"
        if missing > 0:
            return Need(missing, DecisionCode.BURST, f"{waiting}, more than {policy.burst_threshold}", formula)
        coming = f"{waiting}, more than {policy.burst_threshold}, and {crowd.pending} workers are pending"
        return Need(0, DecisionCode.WORKERS_COMING, coming, formula)
    if crowd.pending or crowd.idle:
        return _coming(crowd, waiting, f"1 - pending {crowd.pending} - idle {crowd.idle}, at least 0 = 0")
    if not crowd.busy:
        why = f"{waiting} and no worker is there to take one"
        return Need(1, DecisionCode.FIRST_WORKER, why, "1 - pending 0 - idle 0 - busy 0 = 1")
    if oldest >= policy.max_wait:
        formula = f"oldest {oldest:.1f} s >= max_wait {policy.max_wait:g} s: 1 - pending 0 - idle 0 = 1"
        return Need(1, DecisionCode.WAITED_TOO_LONG, f"{waiting}, the oldest for {oldest:.1f} s", formula)
    steady = f"{waiting}, no more than {policy.burst_threshold} and none for {policy.max_wait:g} s yet"
    return Need(0, DecisionCode.STEADY, f"{steady}; {count(crowd.busy, 'worker')} busy")


def _elastic(observed: PoolObserved, crowd: Crowd, ready: int) -> Need:
    """What the waiting work asks for by the policy `elastic`, before any limit.

    All that waits and the half of what runs is the work that is left (jobs in hand are half done on average). Until a
    worker that starts now has joined, those that are here work on, and those that are coming do from when they have
    joined. What is left then, spread over the time that it may take, gives the number of workers; and none starts for
    a job that one of the others surely begins before it. While no duration is known, each job gets a worker; while no
    start was seen, workers are taken to join at once.
    """
    policy, oldest, waiting = observed.policy, observed.oldest_wait_seconds or 0, _waiting(observed, crowd, ready)
    here, jobs, seconds = crowd.pending + crowd.idle + crowd.busy, ready + crowd.busy, observed.job_seconds
    start = observed.learned_start.seconds if observed.learned_start else 0.0
    if seconds is None:
        wanted, sized = jobs, f"{waiting}, and how long a job takes is not known yet"
        formula = f"ready {ready} + busy {crowd.busy} = {wanted}"
    else:
        seconds = max(seconds, _SHORTEST_JOB)
        work = (ready + crowd.busy / 2) * seconds
        done = _done_by(crowd, start)
        begun = _begun_by(crowd, start, seconds)
        wanted = min(max(0, jobs - begun), math.ceil(max(0.0, work - done) / policy.drain_seconds))
        after = f" of a start, which takes {start:.3g} s" if start else ""
        sized = f"{waiting}; {work:.0f} s of work are to be done within {policy.drain_seconds:g} s{after}"
        all_jobs = f"ready {ready} + busy {crowd.busy}" + (f" - begun meanwhile {begun}" if begun else "")
        all_work = f"({ready} + {crowd.busy}/2) x job {seconds:.3g} s"
        all_work = f"({all_work} - done meanwhile {done:.0f} s)" if done else all_work
        formula = f"min({all_jobs}, {all_work} / drain_seconds {policy.drain_seconds:g} s) = {wanted}"
    missing = wanted - here
    formula += f"; - pending {crowd.pending} - idle {crowd.idle} - busy {crowd.busy} = {missing}"
    if missing > 0:
        return Need(missing, DecisionCode.DRAIN_TARGET, sized, formula)
    if crowd.pending or crowd.idle:
        return _coming(crowd, waiting, formula)
    longest = policy.drain_seconds + start
    if oldest >= longest:
        both = f"start {start:.3g} s + " if start else ""
        formula += f"; oldest {oldest:.1f} s >= {both}drain_seconds {policy.drain_seconds:g} s: 1"
        return Need(1, DecisionCode.WAITED_TOO_LONG, f"{waiting}, the oldest for {oldest:.1f} s", formula)
    return Need(0, DecisionCode.STEADY, f"{sized}; {count(crowd.busy, 'busy worker')} can", formula)


def _done_by(crowd: Crowd, start: float) -> float:
    """Seconds of work that present and coming workers can do until one that starts now has joined."""
    return (crowd.idle + crowd.busy) * start + sum(min(age, start) for age in crowd.pending_ages)


def _begun_by(crowd: Crowd, start: float, job: float) -> int:
    """Of the waiting jobs, how many they surely begin before it, beyond the one that each of them is counted for.

    Starts differ: it may take longer than the median, and another one be quicker. So half a start more is allowed for,
    in which a job that would hardly have waited for it is begun.
    """
    if not start:
        return 0
    spare = start * _SPARE
    begun = crowd.idle * int((start + spare) / job) + crowd.busy * int((start + spare) / job + 0.5)
    return begun + sum(int((min(age, start) + spare) / job) for age in crowd.pending_ages)


def _trial(suiting: PoolSuiting, crowd: Crowd, ready: int) -> Need:
    """Jobs wait that no worker suits: one worker is tried for them, unless one is coming anyway."""
    waiting = f"{count(suiting.on_trial, 'job')} {'waits' if suiting.on_trial == 1 else 'wait'} that no worker suits"
    if crowd.pending:
        return Need(0, DecisionCode.WORKERS_COMING, f"{waiting}; {crowd.pending} pending workers may")
    beside = f" beside {count(ready, 'other job')}" if ready else ""
    return Need(1, DecisionCode.TRIAL_WORKER, f"{waiting}{beside}, and a new one may", "1 - pending 0 = 1")


def _held(held: int, crowd: Crowd) -> Need:
    waiting = f"{count(held, 'job')} {'needs' if held == 1 else 'need'} what only busy workers have"
    why = f"{waiting} ({crowd.busy} busy), and the newest worker lacked it: none starts for them now"
    return Need(0, DecisionCode.UNSUITED, why)


def _waiting(observed: PoolObserved, crowd: Crowd, ready: int) -> str:
    stale = " by a stale count" if observed.ready.trust is Trust.STALE else ""
    lack = f" ({count(crowd.unsuited, 'idle worker')} lack what is needed)" if crowd.unsuited else ""
    return f"{count(ready, 'job')} {'waits' if ready == 1 else 'wait'}{stale}{lack}"


def _coming(crowd: Crowd, waiting: str, formula: str) -> Need:
    """Workers that are pending or idle will take the work: none is started on top of them."""
    why = f"{waiting}; {crowd.pending} pending and {crowd.idle} idle workers are on their way to them"
    return Need(0, DecisionCode.WORKERS_COMING, why, formula)


def count(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
