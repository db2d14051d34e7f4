"""What the store keeps of a build, as values that decisions read and return."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from buildyard.contracts.agents import AgentHealth, Capabilities
from buildyard.contracts.builds import (
    ArtifactRecord,
    BuildProperties,
    BuildState,
    JobKind,
    JobState,
    Outcome,
    Priority,
    ReasonCode,
    RowsPart,
    Source,
    StageRecord,
    Strategy,
    TestSummary,
)
from buildyard.contracts.events import EventType
from buildyard.contracts.messages import CancelJob
from orchestrator.domain.retention import Kept


@dataclass(frozen=True)
class Build:
    """A build as it stands. Times are aware and come from the store's clock."""

    id: str
    project: str
    pool: str
    strategy: Strategy
    strategy_used: Strategy
    priority: Priority
    force_clean: bool
    properties: BuildProperties
    source: Source
    requester: str
    created_at: datetime
    state: BuildState = BuildState.RECEIVED
    reason_code: ReasonCode | None = None
    reason: str = ""
    queued_at: datetime | None = None
    started_at: datetime | None = None
    cancelling_at: datetime | None = None
    ended_at: datetime | None = None
    toolchain: str = ""
    toolchain_why: str = ""
    tests: TestSummary | None = None
    tests_key: str = ""
    """Where the list of its tests lies; empty where there is none."""
    rows_total: int | None = None
    rows_ok: int = 0
    rows_failed: int = 0
    event_seq: int = 0
    log_lines: int = 0
    retry_of: str | None = None
    carries: bool = True
    """Whether what succeeded in the build that it repeats stands for it too."""
    warnings: tuple[str, ...] = ()
    source_gone: bool = False
    """Whether its upload was let go: it cannot be built again."""
    kept: Kept = Kept.ALL
    """What the farm keeps of it."""


@dataclass(frozen=True)
class Job:
    """One unit for one worker. `attempt` is the number of the newest attempt, 0 before the first."""

    id: str
    build_id: str
    kind: JobKind
    pool: str
    priority: Priority
    state: JobState = JobState.READY
    attempt: int = 0
    crashes: int = 0
    """Attempts that lost their worker: handed back ones do not count."""
    failures: int = 0
    """Attempts that ended by a temporary cause."""
    ready_at: datetime | None = None
    not_before: datetime | None = None
    """Set while the job waits after an attempt that went wrong."""
    part: RowsPart | None = None
    needs: str = ""
    """What an agent must have to take it, as `Needs.text`."""

    @property
    def tries(self) -> int:
        """Attempts that went wrong without a fault of the job's own."""
        return self.crashes + self.failures


@dataclass(frozen=True)
class Attempt:
    """One try of a job; (job_id, number) is the fencing token. `outcome` is None while it is live."""

    job_id: str
    build_id: str
    number: int
    agent: str
    hostname: str
    claim_id: str
    started_at: datetime
    lease_until: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    reason_code: ReasonCode | None = None
    reason: str = ""


@dataclass(frozen=True)
class EventDraft:
    """An event before the store numbers it."""

    type: EventType
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobCounts:
    """The other jobs of a build, apart from the one in hand."""

    open_rows: int = 0
    """Rows jobs that have not ended: 0, or any other number when there are some."""
    running: int = 0
    """Jobs of any kind with a live attempt: 0, or any other number when there are some."""
    given_up: int = 0
    """Rows jobs that used up their attempts."""


@dataclass(frozen=True)
class Limits:
    """The farm's numbers that decisions need; seconds."""

    lease_seconds: float
    max_attempts: int
    cancel_seconds: float
    queue_seconds: float
    no_agent_seconds: float
    end_grace_seconds: float = 60.0
    """How long past its timeout a build may wait for its worker's own report of it."""


@dataclass(frozen=True)
class DeadLetter:
    """A build that waits for a person, or how a person settled it."""

    build_id: str
    dead_at: datetime
    resolution: Literal["requeued", "dropped"] | None = None
    resolved_at: datetime | None = None
    resolved_by: str = ""
    note: str = ""
    """Why it was dropped."""
    requeued_as: str | None = None


@dataclass(frozen=True)
class Step:
    """What one decision changes: the store writes all of it in one transaction.

    `job` and `attempt` replace their records; `new_jobs` are added; `release` makes the waiting jobs of that kind
    ready; `close_jobs` ends every job that is not running with the given state; `fence` ends every live attempt of
    the build as lost, so that whatever its workers still report changes nothing.
    """

    build: Build
    job: Job | None = None
    attempt: Attempt | None = None
    new_jobs: tuple[Job, ...] = ()
    release: JobKind | None = None
    close_jobs: JobState | None = None
    fence: str = ""
    tickets: int = 0
    events: tuple[EventDraft, ...] = ()
    controls: tuple[CancelJob, ...] = ()
    dead: DeadLetter | None = None
    needs: str | None = None
    """When set: `job` needs this from now on."""
    missing_rows_error: str = ""
    """When set: rows of `job` without a result get this sentence as their error."""


@dataclass(frozen=True)
class Agent:
    """A worker process as it joined and was last heard of."""

    name: str
    pool: str
    hostname: str
    pid: int
    version: str
    capabilities: Capabilities
    health: AgentHealth
    joined_at: datetime
    seen_at: datetime
    draining: bool = False
    left: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Refusal:
    """The newest agent that a pool refused: what it lacks of what the pool declares, in words."""

    pool: str
    agent: str
    lacks: str
    at: datetime


@dataclass(frozen=True)
class StoredStage:
    """A stage of one attempt."""

    job_id: str
    attempt: int
    record: StageRecord


@dataclass(frozen=True)
class LogSegment:
    """A piece of a build's log in the object store.

    `build_first`..`build_last` number its lines within the build, in the order segments were recorded; `first` is
    its first line's number within the attempt.
    """

    build_first: int
    build_last: int
    job_id: str
    attempt: int
    first: int
    key: str
    size_bytes: int
    stages: frozenset[str]


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact with its id."""

    id: str
    build_id: str
    created_at: datetime
    record: ArtifactRecord
