"""Scaling: readings with their trust, a pool's policy, what the scaler sees, and what it decides."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from buildyard.contracts.agents import Capabilities
from buildyard.contracts.wire import Count, Moment, PoolName, Request, Value, WireEnum


class Trust(WireEnum):
    """How far a reading may be believed."""

    TRUSTED = "trusted"
    STALE = "stale"
    UNKNOWN = "unknown"


class Reading(Value):
    """A count, where it came from, how old it is and whether to believe it. UNKNOWN holds no value, never 0."""

    value: int | None = Field(default=None, ge=0)
    source: str
    age_seconds: float = Field(default=0, ge=0)
    trust: Trust = Trust.UNKNOWN
    cause: str = ""
    """Why it is not trusted, in words."""


class ScalingPolicy(Request):
    """How one pool bursts. Durations in seconds."""

    burst_threshold: int = Field(default=40, ge=0)
    burst_size: int = Field(default=5, ge=1)
    max_workers: int = Field(default=25, ge=0)
    idle_seconds: float = Field(default=30, ge=0)
    max_wait: float = Field(default=5, ge=0)


class PoolConfig(Request):
    """One pool of POOLS_FILE: its executor, its policy, and what each of its agents must have."""

    name: PoolName
    executor: Literal["process"] = "process"
    policy: ScalingPolicy = ScalingPolicy()
    capabilities: Capabilities = Capabilities()


class WorkerState(WireEnum):
    """What the scaler sees of a worker: its executor's view joined with the producer's registry."""

    PENDING = "pending"
    IDLE = "idle"
    BUSY = "busy"
    DRAINING = "draining"
    UNRESPONSIVE = "unresponsive"
    """It runs, but the producer has not heard of it for too long; it still counts, and is never killed."""
    EXITED = "exited"


class WorkerView(Value):
    """One worker of a pool at one moment."""

    name: str
    slot: int = Field(ge=1)
    generation: int = Field(ge=1)
    state: WorkerState
    age_seconds: float = 0
    exit_code: int | None = None


class PoolObserved(Value):
    """All that a decision about one pool reads. Two equal values give two equal decisions."""

    pool: PoolName
    policy: ScalingPolicy
    ready: Reading
    """Ready jobs, from the producer."""
    leases: Reading
    """Live leases, from the producer."""
    oldest_wait_seconds: float | None = None
    queue_ready: Reading
    """Ready tickets, from the broker: the second witness."""
    queue_unacked: Reading
    queue_total: Reading
    workers: tuple[WorkerView, ...] | None = None
    """None: the executor could not be asked."""
    workers_cause: str = ""
    quiet_seconds: float = 0
    """For how long everything has been a trusted zero."""
    generations: dict[int, int] = Field(default_factory=dict)
    """The highest generation that each slot ever had, from the producer's registry."""
    failed_starts: Count = 0
    """Workers in a row that exited without ever joining."""
    seconds_since_failed_start: float | None = None


class DecisionCode(WireEnum):
    """The reason of a decision: a closed list, written as these words on the wire."""

    BURST = "burst"
    FIRST_WORKER = "first_worker"
    WAITED_TOO_LONG = "waited_too_long"
    STEADY = "steady"
    WORKERS_COMING = "workers_coming"
    AT_MAXIMUM = "at_maximum"
    IDLE_WAIT = "idle_wait"
    SCALE_TO_ZERO = "scale_to_zero"
    NOTHING_TO_DO = "nothing_to_do"
    UNKNOWN_COUNT = "unknown_count"
    EXECUTOR_UNREACHABLE = "executor_unreachable"
    START_BACKOFF = "start_backoff"


class Plan(Value):
    """What to do: names of workers to start, names of workers to ask to drain."""

    start: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()
    code: DecisionCode
    reason: str


class Decision(Value):
    """One tick's record: what was seen, what was decided, and what came of it."""

    v: Literal[1] = 1
    number: int = Field(ge=1)
    at: Moment
    woken_by: Literal["doorbell", "tick"]
    observed: PoolObserved
    plan: Plan
    failures: tuple[str, ...] = ()
    """Sentences about actions that did not work."""
