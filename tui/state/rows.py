"""The rows of the store: immutable, replaced as wholes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from buildyard.contracts.agents import AgentView
from buildyard.contracts.api import BuildSummary, PoolView, RowCounts, WorkerInfo
from buildyard.contracts.health import ProcessUse
from buildyard.contracts.scaling import Decision, Reading, WorkerState

Kind = Literal["build", "job", "agent", "pool", "decision", "dead", "source", "log"]


class Ref(NamedTuple):
    """The name of a thing in the store: its kind and its id within the kind."""

    kind: Kind
    id: str


BUILD_RANK = {
    "Received": 0,
    "Queued": 1,
    "Running": 2,
    "Cancelling": 3,
    "Succeeded": 4,
    "Failed": 4,
    "Cancelled": 4,
    "TimedOut": 4,
    "Rejected": 4,
}
"""Builds only ever go up: see `WAYS` of the producer's lifecycle. A word of a newer server ranks as Running."""
ENDED = 4
_UNKNOWN_RANK = 2


def rank_of(status: str) -> int:
    """How far a build is."""
    return BUILD_RANK.get(status, _UNKNOWN_RANK)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a build's newest attempt; durations in seconds, None while it is not known."""

    name: str
    status: str
    started_at: datetime | None = None
    duration: float | None = None
    warnings: int = 0
    errors: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BuildRow:
    """A build as all sources together know it."""

    id: str
    status: str
    project: str = ""
    """ "" until a list or the build itself was read: only an event named it so far."""
    pool: str = ""
    priority: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration: float | None = None
    toolchain: str = ""
    rows: RowCounts | None = None
    reason: str = ""
    reason_code: str = ""
    agent: str = ""
    attempt: int = 0
    stages: tuple[Stage, ...] = ()
    ref: str = ""
    """The branch, tag or commit of a repository, or the name of an uploaded file."""
    queue_position: int | None = None
    retry_of: str = ""
    seen_at: datetime | None = field(default=None, compare=False)
    """When the newest answer that names it was asked for; that alone is no change."""

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return rank_of(self.status) == ENDED

    @property
    def stage(self) -> str:
        """The name of the stage that runs; "" while none does."""
        return next((stage.name for stage in self.stages if stage.status == "Running"), "")


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as its attempts tell of it: the API has no list of jobs."""

    id: str
    build_id: str
    state: str
    """Ready, Running, or how the newest attempt ended."""
    attempt: int = 0
    agent: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str = ""
    reason_code: str = ""
    phase: int = 0
    """0 ready, 1 claimed, 2 the attempt ended, 3 the job ended: within an attempt it only grows."""


@dataclass(frozen=True, slots=True)
class AgentRow:
    """An agent as the producer knows it, joined with the worker that the scaler's executor knows by its name."""

    name: str
    pool: str
    state: str
    """The producer's word where it knows the agent, except while the scaler says that it does not respond."""
    detail: str
    """Why it is in this state, in words."""
    view: AgentView | None
    worker: WorkerInfo | None
    started_by: int | None
    """The number of the decision that started it."""

    @property
    def build_id(self) -> str:
        """The build it works on; "" when none."""
        return (self.view.build_id or "") if self.view else ""

    @property
    def job_id(self) -> str:
        """The job it works on; "" when none."""
        return (self.view.job_id or "") if self.view else ""

    @property
    def processed(self) -> int | None:
        """Jobs it has worked off within the last day; None where the producer does not tell."""
        if self.view is None or self.view.jobs_done is None:
            return None
        return self.view.jobs_done + (self.view.jobs_failed or 0)

    @property
    def present(self) -> bool:
        """Whether it is a living one."""
        return self.state not in {"Left", "Lost", "Exited"}


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool: the producer's counts, the broker's, and what the scaler decided last. None is unknown, never 0."""

    name: str
    view: PoolView | None
    readings: dict[str, Reading] = field(default_factory=dict)
    decision: DecisionRow | None = None
    dead: int | None = None
    """Dead letters of the pool that wait for a person."""

    @property
    def ready(self) -> int | None:
        """Ready jobs."""
        return self.view.ready if self.view else None

    @property
    def unacked(self) -> int | None:
        """Tickets in the hands of workers, as the broker counts them."""
        return self.decision.unacked if self.decision else None


@dataclass(frozen=True, slots=True)
class UseRow:
    """What a server uses of its machine, as it told at `at`."""

    at: datetime
    cpu_seconds: float
    memory_bytes: int | None
    cpu: float | None = None
    """The share of one core between this and the answer before; None: there was none, or it began anew since."""

    def then(self, at: datetime, use: ProcessUse) -> UseRow:
        """The row after the next answer."""
        seconds, worked = (at - self.at).total_seconds(), use.cpu_seconds - self.cpu_seconds
        return UseRow(at, use.cpu_seconds, use.memory_bytes, worked / seconds if seconds > 0 and worked >= 0 else None)


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision with its counts; the whole record is kept packed: there are thousands, each with all workers."""

    number: int
    at: datetime
    pool: str
    woken_by: str
    code: str
    reason: str
    start: tuple[str, ...]
    drain: tuple[str, ...]
    failures: tuple[str, ...]
    ready: int | None
    leases: int | None
    queue_ready: int | None
    unacked: int | None
    workers: int | None
    """Workers that live or are coming; None: the executor could not be asked."""
    busy: int | None
    oldest_wait: float | None
    packed: bytes

    @classmethod
    def of(cls, decision: Decision) -> DecisionRow:
        """The row of a decision."""
        seen = decision.observed
        live = None if seen.workers is None else [w for w in seen.workers if w.state is not WorkerState.EXITED]
        return cls(
            number=decision.number,
            at=decision.at,
            pool=seen.pool,
            woken_by=decision.woken_by,
            code=decision.plan.code.value,
            reason=decision.plan.reason,
            start=decision.plan.start,
            drain=decision.plan.drain,
            failures=decision.failures,
            ready=seen.ready.value,
            leases=seen.leases.value,
            queue_ready=seen.queue_ready.value,
            unacked=seen.queue_unacked.value,
            workers=None if live is None else len(live),
            busy=None if live is None else sum(w.state is WorkerState.BUSY for w in live),
            oldest_wait=seen.oldest_wait_seconds,
            packed=zlib.compress(decision.encode(), 1),
        )

    @property
    def wanted(self) -> int | None:
        """Workers after this decision."""
        return None if self.workers is None else self.workers + len(self.start) - len(self.drain)

    @property
    def acts(self) -> bool:
        """Whether it started or drained anything, or tried to."""
        return bool(self.start or self.drain or self.failures)

    def whole(self) -> Decision:
        """The record as the scaler wrote it."""
        return Decision.model_validate_json(zlib.decompress(self.packed))


def summary_fields(summary: BuildSummary) -> dict[str, object]:
    """What a list tells of a build, as fields of its row."""
    ended = None
    if rank_of(summary.status) == ENDED and summary.start_time and summary.duration is not None:
        ended = summary.start_time + timedelta(seconds=summary.duration)
    return {
        "status": summary.status,
        "project": summary.project_name,
        "pool": summary.target_pool.lower(),
        "priority": summary.priority,
        "created_at": summary.created_at,
        "started_at": summary.start_time,
        "ended_at": ended,
        "duration": summary.duration,
        "toolchain": summary.toolchain,
        "rows": summary.rows,
        "reason": summary.reason,
        "reason_code": summary.reason_code or "",
    }
