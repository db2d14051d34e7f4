"""KEDA's ScaledJob as a model: its published formulas, one message a Job, in simulated time.

Source of the formulas: `pkg/scaling/executor/scale_jobs.go` and `pkg/scaling/scaledjob/metrics.go` of kedacore/keda at
`8b4f083` (2026-08). It is kind to KEDA: its counts are never stale, its API calls cost nothing, and a Job that finds no
message ends at once.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from buildyard.contracts.scaling import ScalingPolicy
from scaler.simulate import Job, Outcome, Sample, ideal_end


@dataclass(frozen=True)
class Strategy:
    """How many Jobs a poll creates.

    Args:
        name: `default`, `accurate` or `eager`, as KEDA names them.
        total: whether its count holds the unacknowledged messages too (HTTP), or the ready ones only (AMQP).
        poll_seconds: how often it looks.
    """

    name: str
    total: bool
    poll_seconds: float = 30.0

    def creates(self, queue: int, running: int, pending: int, most: int) -> int:
        """Jobs to create. `running` holds the pending ones too, as KEDA counts them; `most` is maxReplicaCount."""
        wanted = min(queue, most)
        if self.name == "default":
            free = wanted - running
        elif self.name == "accurate":
            free = most - running if wanted + running - pending > most else wanted - pending
        else:
            free = min(most - running - pending, wanted)
        return min(queue, max(0, free))


class _Kind(IntEnum):
    DONE = 0
    JOIN = 1
    ARRIVE = 2
    POLL = 3


def simulate_scaled_job(
    load: Sequence[Job], strategy: Strategy, start_seconds: Sequence[float], most: int, *, phase: float = 0.0
) -> Outcome:
    """Run a load, sorted by arrival, to its end; `phase` is when the first poll comes, in seconds."""
    events = [(job.arrival, _Kind.ARRIVE, number) for number, job in enumerate(load)]
    heapq.heapify(events)
    heapq.heappush(events, (phase, _Kind.POLL, 0))
    waiting: deque[int] = deque()
    began: dict[int, float] = {}
    pending: set[int] = set()
    waits: list[float] = []
    samples = [Sample(0.0, 0, 0, 0)]
    started = 0
    spent = end = 0.0
    while len(waits) < len(load) or began:
        now, kind, number = heapq.heappop(events)
        if kind is _Kind.ARRIVE:
            waiting.append(number)
        elif kind is _Kind.POLL:
            queue = len(waiting) + (len(began) - len(pending) if strategy.total else 0)
            for _ in range(strategy.creates(queue, len(began), len(pending), most)):
                heapq.heappush(events, (now + start_seconds[started % len(start_seconds)], _Kind.JOIN, started))
                began[started] = now
                pending.add(started)
                started += 1
            heapq.heappush(events, (now + strategy.poll_seconds, _Kind.POLL, 0))
        elif kind is _Kind.JOIN and waiting:
            job = load[waiting.popleft()]
            pending.discard(number)
            waits.append(now - job.arrival)
            heapq.heappush(events, (now + job.duration, _Kind.DONE, number))
        else:
            end = now if kind is _Kind.DONE else end
            pending.discard(number)
            spent += now - began.pop(number)
        samples.append(Sample(now, len(waiting), len(began), len(began) - len(pending)))
    return _outcome(load, most, waits, started, spent, end, samples)


def _outcome(
    load: Sequence[Job],
    most: int,
    waits: Sequence[float],
    started: int,
    spent: float,
    end: float,
    samples: Sequence[Sample],
) -> Outcome:
    """What came of it, as it is told of our own policies."""
    return Outcome(
        policy=ScalingPolicy(max_workers=most),
        waits=tuple(waits),
        unserved=0,
        started=started,
        used=len(load),
        peak=max(sample.present for sample in samples),
        busy_seconds=math.fsum(job.duration for job in load),
        idle_seconds=0.0,
        worker_seconds=spent,
        end=end,
        ideal_end=ideal_end(load, most),
        begin=load[0].arrival if load else 0.0,
        samples=tuple(samples),
    )
