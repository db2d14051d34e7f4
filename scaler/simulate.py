"""A pool in simulated time: jobs come, the real `decide` says who starts and who drains, workers take what waits; pure.

It is a discrete-event simulation: nothing happens between two events, so a day takes about a second. The scaler looks
when the doorbell rings (a job comes) and at ticks; ticks that could decide nothing new are left out, and a test holds
that this changes nothing. What is modelled: the time a worker takes to join, how long jobs take, and the scaler's own
delay. What is not: readings that fail, machines that slow each other down, jobs that fail.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from buildyard.contracts.scaling import (
    LearnedStart,
    Plan,
    PoolObserved,
    Reading,
    ScalingPolicy,
    Trust,
    WorkerState,
    WorkerView,
)
from scaler.decide import decide
from scaler.learning import LEARNED_STARTS

DOORBELL_SECONDS = 0.02
"""The least time between two looks: jobs that come together are seen together."""
_LEARNED_JOBS = 50
_LEARN_SECONDS = 30.0
_POOL = "simulated"


class Job(NamedTuple):
    """A job of a load: when it comes, seconds after the begin, and how long a worker takes for it."""

    arrival: float
    duration: float


@dataclass(frozen=True)
class Farm:
    """How the farm behaves. Times in seconds.

    Args:
        start_seconds: what workers take from their start until they can take work; used in turn.
        tick_seconds: how often the scaler looks without being rung.
        handover_seconds: what passes around every job between its worker being free and being at work on it.
    """

    start_seconds: tuple[float, ...] = (1.0,)
    tick_seconds: float = 1.0
    handover_seconds: float = 0.0


class Sample(NamedTuple):
    """The pool after an event: jobs that wait, workers present, workers busy."""

    at: float
    ready: int
    present: int
    busy: int


@dataclass(frozen=True)
class Outcome:
    """What came of a load under a policy. Times in seconds."""

    policy: ScalingPolicy
    waits: tuple[float, ...]
    """Of the jobs that were begun, in the order in which they were."""
    unserved: int
    started: int
    used: int
    """Workers that were given at least one job."""
    peak: int
    busy_seconds: float
    idle_seconds: float
    worker_seconds: float
    """From the start of each worker until it left; what it costs."""
    end: float
    """When the last job ended."""
    ideal_end: float
    """When it would have ended with all `max_workers` there from the begin."""
    begin: float
    """When the first job came."""
    samples: tuple[Sample, ...]

    def wait(self, share: float) -> float:
        """The wait that a share of the jobs did not exceed; 0 without any."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0

    @property
    def drain_over_ideal(self) -> float:
        """How much longer all of it took than it must have taken."""
        return (self.end - self.begin) / max(self.ideal_end - self.begin, 1e-9)

    @property
    def started_per_used(self) -> float:
        """Workers started for each one that got work; 1 is perfect."""
        return self.started / self.used if self.used else float(self.started)


class _Kind(IntEnum):
    """Events; of several at one time the lower come first, so that the scaler looks last."""

    DONE = 0
    JOIN = 1
    ARRIVE = 2
    EXIT = 3
    LOOK = 4


@dataclass
class _Worker:
    slot: int
    generation: int
    began: float
    state: WorkerState = WorkerState.PENDING
    since: float = 0
    """Since when it idles."""
    jobs: int = 0
    duration: float = 0
    """Of the job in hand."""
    views: dict[WorkerState, WorkerView] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{_POOL}-{self.slot}-{self.generation}"

    def view(self, now: float) -> WorkerView:
        """What the scaler would see of it: made once for each state, as the age matters only until it has joined."""
        made = self.views.get(self.state)
        if made is None:
            made = WorkerView(name=self.name, slot=self.slot, generation=self.generation, state=self.state)
            self.views[self.state] = made
        return made.model_copy(update={"age_seconds": now - self.began}) if self.state is WorkerState.PENDING else made


def simulate(load: Sequence[Job], policy: ScalingPolicy, farm: Farm, *, every_tick: bool = False) -> Outcome:
    """Run a load, sorted by arrival, to its end; `every_tick` leaves no tick out, which is slow and gives the same."""
    return _Run(load, policy, farm, every_tick=every_tick).outcome()


def ideal_end(load: Sequence[Job], workers: int) -> float:
    """When a load ends with so many workers there from the begin, each taking the oldest job when it is free."""
    free = [0.0] * max(1, workers)
    for job in load:
        heapq.heapreplace(free, max(free[0], job.arrival) + job.duration)
    return max(free)


class _Run:
    """One simulation."""

    def __init__(self, load: Sequence[Job], policy: ScalingPolicy, farm: Farm, *, every_tick: bool) -> None:
        self._load, self._policy, self._farm, self._every_tick = load, policy, farm, every_tick
        self._events: list[tuple[float, _Kind, int]] = [(job.arrival, _Kind.ARRIVE, n) for n, job in enumerate(load)]
        self._waiting: deque[int] = deque()
        self._workers: dict[int, _Worker] = {}
        self._generations: dict[int, int] = {}
        self._readings: dict[int, Reading] = {}
        self._quiet_since: float | None = 0.0
        self._look_at = -1.0
        """When the next look is due; before the last one: none is."""
        self._looked_at = -DOORBELL_SECONDS
        self._learned: float | None = None
        self._learned_at = -_LEARN_SECONDS
        self._durations: deque[float] = deque(maxlen=_LEARNED_JOBS)
        self._starts: deque[float] = deque(maxlen=LEARNED_STARTS)
        self._learned_start: LearnedStart | None = None
        self._busy = self._left = self._done = 0
        self._waits: list[float] = []
        self._started = self._used = self._peak = 0
        self._idle_seconds = self._worker_seconds = self._busy_seconds = self._end = 0.0
        self._samples: list[Sample] = [Sample(0.0, 0, 0, 0)]

    def outcome(self) -> Outcome:
        heapq.heapify(self._events)
        now = 0.0
        while self._events:
            now, kind, number = heapq.heappop(self._events)
            if kind is _Kind.LOOK:
                if now == self._look_at:
                    self._look(now)
            else:
                self._happen(now, kind, number)
            self._sample(now)
        for worker in self._workers.values():
            self._gone(worker, now)
        return Outcome(
            policy=self._policy,
            waits=tuple(self._waits),
            unserved=len(self._load) - self._done,
            started=self._started,
            used=self._used,
            peak=self._peak,
            busy_seconds=self._busy_seconds,
            idle_seconds=self._idle_seconds,
            worker_seconds=self._worker_seconds,
            end=self._end,
            ideal_end=ideal_end(self._load, self._policy.max_workers),
            begin=self._load[0].arrival if self._load else 0.0,
            samples=tuple(self._samples),
        )

    # ------------------------------------------------------------------------------------------------ events

    def _happen(self, now: float, kind: _Kind, number: int) -> None:
        if kind is _Kind.ARRIVE:
            self._waiting.append(number)
            self._look_soon(max(now, self._looked_at + DOORBELL_SECONDS))
        elif kind is _Kind.JOIN:
            self._learn_start(now - self._workers[number].began)
            self._free(self._workers[number], now)
        elif kind is _Kind.DONE:
            self._busy -= 1
            self._done += 1
            self._end = now
            self._learn(self._workers[number].duration, now)
            self._free(self._workers[number], now)
        elif kind is _Kind.EXIT:
            self._exit(number, now)
        if kind is not _Kind.ARRIVE:
            tick = self._tick_at(now)
            self._look_soon(tick if tick > self._looked_at else self._tick_after(now))
        self._hand_out(now)

    def _free(self, worker: _Worker, now: float) -> None:
        worker.state, worker.since = WorkerState.IDLE, now
        if self._policy.name == "elastic" and self._policy.idle_exit > 0:
            heapq.heappush(self._events, (now + self._policy.idle_exit, _Kind.EXIT, worker.slot))

    def _exit(self, slot: int, now: float) -> None:
        worker = self._workers.get(slot)
        if worker and worker.state is WorkerState.IDLE and now - worker.since >= self._policy.idle_exit - 1e-9:
            self._leave(worker, now)

    def _hand_out(self, now: float) -> None:
        """Idle workers take what waits, the one that has idled longest first."""
        if not self._waiting:
            return
        idle = sorted(
            (one for one in self._workers.values() if one.state is WorkerState.IDLE),
            key=lambda one: (one.since, one.slot),
        )
        for worker in idle[: len(self._waiting)]:
            job = self._load[self._waiting.popleft()]
            self._waits.append(now - job.arrival)
            self._idle_seconds += now - worker.since
            self._busy_seconds += job.duration
            self._used += worker.jobs == 0
            worker.jobs += 1
            worker.state = WorkerState.BUSY
            self._busy += 1
            worker.duration = job.duration
            taken = job.duration + self._farm.handover_seconds
            heapq.heappush(self._events, (now + taken, _Kind.DONE, worker.slot))

    def _leave(self, worker: _Worker, now: float) -> None:
        del self._workers[worker.slot]
        self._gone(worker, now)

    def _gone(self, worker: _Worker, now: float) -> None:
        self._worker_seconds += now - worker.began
        if worker.state is WorkerState.IDLE:
            self._idle_seconds += now - worker.since

    # ------------------------------------------------------------------------------------------------ the scaler

    def _look(self, now: float) -> None:
        self._looked_at, self._look_at = now, -1.0
        observed = self._observed(now)
        plan = decide(observed)
        for name in plan.start:
            self._start(name, now)
        leaving = set(plan.drain)
        for worker in [one for one in self._workers.values() if one.name in leaving]:
            self._leave(worker, now)
        self._plan_next(now, plan)

    def _start(self, name: str, now: float) -> None:
        _, slot, generation = name.rsplit("-", 2)
        worker = _Worker(int(slot), int(generation), now)
        self._workers[worker.slot] = worker
        self._generations[worker.slot] = worker.generation
        takes = self._farm.start_seconds[self._started % len(self._farm.start_seconds)]
        self._started += 1
        heapq.heappush(self._events, (now + takes, _Kind.JOIN, worker.slot))

    def _plan_next(self, now: float, plan: Plan) -> None:
        """When to look again if nothing happens: at the next tick, or at the tick at which a time limit is reached."""
        if self._every_tick:
            if self._busy or self._workers or plan.start:
                self._look_soon(self._tick_after(now))
            return
        if plan.start or plan.drain:
            self._look_soon(self._tick_after(now))
            return
        policy, limits = self._policy, []
        if self._waiting:
            coming = self._learned_start.seconds if self._learned_start else 0.0
            longest = policy.drain_seconds + coming if policy.name == "elastic" else policy.max_wait
            limits.append(self._load[self._waiting[0]].arrival + longest)
        elif self._quiet_since is not None and self._workers:
            limits.append(self._quiet_since + policy.idle_seconds)
        for limit in limits:
            if limit > now:
                at = self._tick_at(limit)
                self._look_soon(at if at > now else self._tick_after(now))

    def _look_soon(self, at: float) -> None:
        """Look at this time, unless a look is due before."""
        if self._look_at < 0 or at < self._look_at:
            self._look_at = at
            heapq.heappush(self._events, (at, _Kind.LOOK, 0))

    def _tick_after(self, now: float) -> float:
        return (math.floor(now / self._farm.tick_seconds + 1e-9) + 1) * self._farm.tick_seconds

    def _tick_at(self, moment: float) -> float:
        return math.ceil(moment / self._farm.tick_seconds - 1e-9) * self._farm.tick_seconds

    def _observed(self, now: float) -> PoolObserved:
        """What the scaler would see. Made without checks: they would take longer than all the rest."""
        ready, busy = self._reading(len(self._waiting)), self._reading(self._busy)
        if self._waiting or self._busy:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        return PoolObserved.model_construct(
            pool=_POOL,
            policy=self._policy,
            ready=ready,
            leases=busy,
            oldest_wait_seconds=now - self._load[self._waiting[0]].arrival if self._waiting else None,
            queue_ready=ready,
            queue_unacked=busy,
            queue_total=self._reading(len(self._waiting) + self._busy),
            workers=tuple(self._workers[slot].view(now) for slot in sorted(self._workers)),
            workers_cause="",
            quiet_seconds=0.0 if self._quiet_since is None else now - self._quiet_since,
            generations=self._generations,
            failed_starts=0,
            seconds_since_failed_start=None,
            job_seconds=self._learned,
            farm=None,
            suiting=None,
            learned_start=self._learned_start,
        )

    def _learn(self, duration: float, now: float) -> None:
        """Note how long a job took; the median of the last ones counts, taken anew from time to time."""
        if self._policy.name != "elastic":
            return
        self._durations.append(duration)
        if self._learned is None or now - self._learned_at >= _LEARN_SECONDS:
            self._learned_at = now
            self._learned = sorted(self._durations)[len(self._durations) // 2]

    def _learn_start(self, seconds: float) -> None:
        """Note how long a worker took to join."""
        self._starts.append(seconds)
        middle = sorted(self._starts)[len(self._starts) // 2]
        self._learned_start = LearnedStart(seconds=middle, workers=len(self._starts))

    def _reading(self, value: int) -> Reading:
        made = self._readings.get(value)
        if made is None:
            made = self._readings[value] = Reading(value=value, source="simulated", trust=Trust.TRUSTED)
        return made

    def _sample(self, now: float) -> None:
        present = len(self._workers)
        self._peak = max(self._peak, present)
        sample = Sample(now, len(self._waiting), present, self._busy)
        if self._samples[-1].at == now:
            self._samples[-1] = sample
        elif self._samples[-1][1:] != sample[1:]:
            self._samples.append(sample)
