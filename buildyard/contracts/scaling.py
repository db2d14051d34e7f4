"""Scaling: readings with their trust, a pool's policy, what the scaler sees, and what it decides."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from buildyard.contracts.agents import Capabilities
from buildyard.contracts.pools_docker import DockerPool
from buildyard.contracts.pools_kubernetes import KubernetesPool
from buildyard.contracts.pools_ssh import SshPool
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


PolicyName = Literal["burst", "elastic"]


class ScalingPolicy(Request):
    """How one pool scales; by the rule named `burst` or `elastic` (`docs/scaling.md`). Durations in seconds."""

    name: PolicyName = "burst"
    burst_threshold: int = Field(default=40, ge=0)
    burst_size: int = Field(default=5, ge=1)
    max_workers: int = Field(default=25, ge=0)
    idle_seconds: float = Field(default=30, ge=0)
    max_wait: float = Field(default=5, ge=0)
    drain_seconds: float = Field(default=60, gt=0)
    """`elastic`: start as many workers as finish all that waits within this time."""
    idle_exit: float = Field(default=30, ge=0)
    """`elastic`: a worker leaves by itself once it has had nothing to do for so long; 0: it does not."""


ExecutorKind = Literal["process", "docker", "ssh", "kubernetes"]
"""Where the workers of a pool come into being; each kind but `process` has a table of its own name in its pool."""


class PoolConfig(Request):
    """One pool of POOLS_FILE: its executor, its policy, and what each of its agents must have.

    The table of the pool's own kind may be left out where all of it has defaults; one of another kind is an error.
    """

    name: PoolName
    executor: ExecutorKind = "process"
    policy: ScalingPolicy = ScalingPolicy()
    weight: float = Field(default=1, gt=0, le=1000)
    """Its part of the farm's places beside the other pools, where not all can have what they need."""
    capabilities: Capabilities = Capabilities()
    docker: DockerPool | None = None
    ssh: SshPool | None = None
    kubernetes: KubernetesPool | None = None

    @model_validator(mode="before")
    @classmethod
    def _table_of_its_kind(cls, given: object) -> object:
        """An absent table is an empty one, so that what is missing in it is told by name."""
        if not isinstance(given, dict):
            return given
        body: dict[str, Any] = given
        kind = body.get("executor", "process")
        for other in ("docker", "ssh", "kubernetes"):
            if other in body and other != kind:
                msg = f"it has a table {other}, but its executor is {kind}"
                raise ValueError(msg)
        return {kind: {}, **body} if kind in ("docker", "ssh", "kubernetes") else body


class PendingCode(WireEnum):
    """Why a worker that was started does not run yet: a closed list, written as these words on the wire."""

    IMAGE_PULL = "image_pull"
    NO_NODE = "no_node"
    QUOTA = "quota"
    BAD_SPEC = "bad_spec"
    VOLUME = "volume"
    STARTING = "starting"
    HOST_UNREACHABLE = "host_unreachable"


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
    pending_code: PendingCode | None = None
    """Why it does not run yet, or never did."""
    pending_reason: str = ""


class PoolPlaces(Value):
    """What another pool holds of the farm's places, when a decision was made."""

    name: PoolName
    held: Count
    """Workers that it has or is about to start; at least as many as there are."""
    wanted: Count = 0
    """More that it could use."""
    leaving: Count = 0
    """Of those it has, as many as were asked to leave."""
    weight: float = 1
    starving: bool = False
    """Whether its oldest job has waited for too long while it may start none."""
    seen: bool = True
    """False: its workers were never seen, so it counts with its maximum."""


class FarmPlaces(Value):
    """The places that all pools share, as one of them sees it."""

    max_workers: Count
    weight: float = 1
    """Of the pool that the decision is about."""
    others: tuple[PoolPlaces, ...] = ()
    doubted: Count = 0
    """Places that this pool's own starts may yet take: nobody answered for them, and it would now start others."""


class NeedsKind(Value):
    """Ready jobs that need the same of their agent, and who has it."""

    needs: str
    """In words."""
    ready: Count
    idle: Count
    """Idle agents that suit them."""
    busy: Count
    """Busy ones that do."""
    next: Literal["suits", "trial", "tried"]
    """What a worker that starts now would be to them: it has what they need, it may have, the newest ones lacked it."""


class PoolSuiting(Value):
    """How the ready jobs of a pool and its agents suit one another, where any job needs something."""

    ready_for_idle: Count
    """Ready jobs that an idle agent suits."""
    idle: Count
    idle_for_ready: Count
    """Of the idle agents, those that suit a ready job."""
    held: Count = 0
    """Ready jobs that no idle agent suits, while the newest agents lacked what they need: nobody starts for them."""
    on_trial: Count = 0
    """Jobs that no agent suits and a new one may. They count as waiting, and one worker is tried for them all."""
    tried: Count = 0
    """Jobs that no agent suits, the newest ones neither. They count as waiting, and nobody starts for them now."""
    kinds: tuple[NeedsKind, ...] = ()
    """The same by what is needed, the oldest first; 20 at most."""


class LearnedStart(Value):
    """How long the newest workers of a pool took from their start until they had joined."""

    seconds: float = Field(ge=0)
    """Their median."""
    workers: Count
    """How many they are."""
    age_seconds: float = Field(default=0, ge=0)
    """Since the newest of them was seen to have joined."""
    source: str = "executor and registry"


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
    job_seconds: float | None = None
    """How long a job takes here, by the newest that ended, from the producer; None: not known, or not asked for."""
    farm: FarmPlaces | None = None
    """What the other pools hold, where all share one maximum."""
    suiting: PoolSuiting | None = None
    """Who suits which ready jobs, from the producer; None: no ready job needs anything, or nobody told."""
    learned_start: LearnedStart | None = None
    """None: no worker was seen to join yet."""


class DecisionCode(WireEnum):
    """The reason of a decision: a closed list, written as these words on the wire."""

    BURST = "burst"
    FIRST_WORKER = "first_worker"
    WAITED_TOO_LONG = "waited_too_long"
    DRAIN_TARGET = "drain_target"
    TRIAL_WORKER = "trial_worker"
    UNSUITED = "unsuited"
    STEADY = "steady"
    WORKERS_COMING = "workers_coming"
    AT_MAXIMUM = "at_maximum"
    FARM_AT_MAXIMUM = "farm_at_maximum"
    FAIR_SHARE = "fair_share"
    GIVES_WAY = "gives_way"
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
    formula: str = ""
    """How many workers the rule asks for, as an equation with its numbers; empty when it asked for no number."""
    clamps: tuple[str, ...] = ()
    """The limits that made it fewer, each as an equation, in the order in which they were applied."""


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
    repeats: Count = 0
    """So many ticks after this one came to the same; only decisions read from disk are folded so."""
    until: Moment | None = None
    """When it was repeated last."""


# ------------------------------------------------------------------------------------------------ questions


class WhatIf(Request):
    """A question: what would be decided if these values were different? All but `pool` may be left out.

    Policy values count for now and for the ticks before; readings count for now only, as trusted ones.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    pool: PoolName
    ticks: int = Field(default=60, ge=0, le=3600)
    """Decide so many of the pool's last ticks again, each on what was seen then."""
    policy: PolicyName | None = None
    burst_threshold: int | None = Field(default=None, ge=0)
    burst_size: int | None = Field(default=None, ge=1, le=10_000)
    max_workers: int | None = Field(default=None, ge=0, le=10_000)
    idle_seconds: float | None = Field(default=None, ge=0)
    max_wait: float | None = Field(default=None, ge=0)
    drain_seconds: float | None = Field(default=None, ge=0.001)
    idle_exit: float | None = Field(default=None, ge=0)
    farm_max_workers: int | None = Field(default=None, ge=0, le=1_000_000)
    """Workers that all pools may have together."""
    ready: int | None = Field(default=None, ge=0, le=1_000_000)
    leases: int | None = Field(default=None, ge=0, le=1_000_000)
    oldest_wait_seconds: float | None = Field(default=None, ge=0)
    quiet_seconds: float | None = Field(default=None, ge=0)
    job_seconds: float | None = Field(default=None, gt=0)
    pending: int | None = Field(default=None, ge=0, le=1000)
    """Workers in this state; with any of the three given, the others count as given too, or 0."""
    idle: int | None = Field(default=None, ge=0, le=1000)
    busy: int | None = Field(default=None, ge=0, le=1000)


class WhatIfTick(Value):
    """One tick that would have come out otherwise: its number and time, what was planned, what would have been."""

    number: int = Field(ge=1)
    at: Moment
    actual: Plan
    instead: Plan


class WhatIfAnswer(Value):
    """What would be decided now, and how the last ticks would have come out.

    Each tick stands for itself, on the workers that were there then: it is no forecast of what would have come after.
    `buildyard simulate` makes one.
    """

    pool: PoolName
    policy: ScalingPolicy
    """As it was asked about."""
    observed: PoolObserved
    """What the plan `instead` is decided on."""
    number: int = Field(ge=1)
    """The decision it is compared with: the newest one."""
    actual: Plan
    instead: Plan
    ticks: Count
    """So many of the last ticks were decided again ..."""
    changed: Count
    """... and so many would have started or drained others."""
    started: Count
    """Workers that those ticks started, and would have started."""
    started_instead: Count
    differences: tuple[WhatIfTick, ...]
    """The changed ones, newest first, 100 at most."""
    sentences: tuple[str, ...]
    """The same in words."""


class Why(Value):
    """Why things are as they are, in sentences with numbers."""

    about: str
    """What it explains: `pool linux` or `build ID`."""
    pool: PoolName
    code: DecisionCode | None = None
    """The reason code of the pool's newest decision; None before the first one."""
    number: int | None = None
    """That decision's number, as `/decisions` has it."""
    sentences: tuple[str, ...]


class WhyList(Value):
    """The answers, one for each pool that was asked about, or the one about a build."""

    answers: tuple[Why, ...]
