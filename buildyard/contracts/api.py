"""Requests and answers of the HTTP APIs."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, model_validator

from buildyard.contracts.agents import AgentView
from buildyard.contracts.builds import (
    BuildProperties,
    Priority,
    RowResult,
    Source,
    StageRecord,
    Strategy,
    TestSummary,
    UploadKind,
)
from buildyard.contracts.scaling import Decision, PendingCode, PoolSuiting, Reading
from buildyard.contracts.wire import Count, Duration, Identifier, Moment, PoolName, Request, Sha256, Value


class BuildRequest(Request):
    """The full shape of a request for a build.

    The short shape (`project_name`, `git_url`, `branch`) is read too and becomes this one.
    """

    job: BuildProperties
    target_pool: str = Field(default="Linux", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,39}$")
    strategy: Strategy = Strategy.INCREMENTAL
    priority: Priority = Priority.NORMAL
    force_clean: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short_shape(cls, data: Any) -> Any:
        return _expand_short_shape(data) if isinstance(data, dict) and "job" not in data else data

    @property
    def pool(self) -> str:
        """The pool's name as pools are named: lower case."""
        return self.target_pool.lower()


_AROUND = ("target_pool", "targetPool", "strategy", "priority", "force_clean", "forceClean")
_SHORT = {"git_url": "repositoryUrl", "gitUrl": "repositoryUrl", "branch": "gitRef"}


def _expand_short_shape(data: dict[str, Any]) -> dict[str, Any]:
    """Sort flat fields into the full shape; unknown names stay in `job`, where they are refused by name."""
    full: dict[str, Any] = {key: data[key] for key in _AROUND if key in data}
    full["job"] = {_SHORT.get(key, key): value for key, value in data.items() if key not in _AROUND}
    return full


def project_name_of(filename: str) -> str:
    """A project name for an upload that brings none: the file's stem with safe characters only."""
    stem = re.split(r"[\\/]", filename)[-1].split(".")[0]
    return re.sub(r"[^A-Za-z0-9_ .@+\-]", "-", stem).strip(" .-+@")[:100] or "unnamed"


class Links(Value):
    """Where to read on, as paths of this API."""

    self_: str = Field(alias="self")
    logs: str
    events: str
    trace: str


class BuildAccepted(Value):
    """The answer 202: the build is durable from here on."""

    execution_id: Identifier
    status: str
    queue_position: Count
    estimated_start_time: Moment | None
    estimated_duration: Duration | None
    links: Links
    warnings: tuple[str, ...] = ()


class UploadStored(Value):
    """The answer 201 of an upload without a build."""

    job_id: Identifier
    kind: UploadKind
    filename: str
    size_bytes: Count
    sha256: Sha256
    expires_at: Moment


class StageView(Value):
    """One stage of a build."""

    name: str
    status: str
    start_time: Moment | None = None
    duration: Duration | None = None
    warnings_count: Count = 0
    errors_count: Count = 0
    reason: str = ""

    @classmethod
    def of(cls, record: StageRecord, duration: float | None) -> StageView:
        """The API's view of a record; `duration` in seconds, None while it has not begun."""
        return cls(
            name=record.name.wire,
            status=record.status.wire,
            start_time=record.started_at,
            duration=duration,
            warnings_count=record.warnings,
            errors_count=record.errors,
            reason=record.reason,
        )


class AgentOfBuild(Value):
    """Which machine ran or runs the build's newest attempt."""

    name: str
    hostname: str
    target_type: str


class RowCounts(Value):
    """How far a batch is."""

    total: Count
    succeeded: Count
    failed: Count


class AttemptView(Value):
    """One attempt of one job."""

    job_id: Identifier
    number: int
    agent: str
    started_at: Moment
    ended_at: Moment | None
    outcome: str | None
    reason_code: str | None
    reason: str


class SourceView(Value):
    """Where a build's source came from: an upload or a repository."""

    type: Literal["upload", "git"]
    filename: str | None = None
    kind: UploadKind | None = None
    sha256: Sha256 | None = None
    size_bytes: Count | None = None
    url: str | None = None
    ref: str | None = None

    @classmethod
    def of(cls, source: Source) -> SourceView:
        """The API's view of a source; where its object lies is nobody's business."""
        return cls.model_validate(source.model_dump())


class BuildStatus(Value):
    """A build as the API shows it."""

    execution_id: Identifier
    project_name: str
    configuration: str
    target_pool: str
    priority: str
    strategy: str
    strategy_used: str
    status: str
    current_stage: str | None
    created_at: Moment
    start_time: Moment | None
    end_time: Moment | None
    duration: Duration | None
    queue_position: Count | None
    estimated_start_time: Moment | None = None
    """While it waits: when it may begin, where that can be guessed."""
    estimated_duration: Duration | None = None
    """Until it has ended: how long it may take in all, where that can be guessed."""
    stages: tuple[StageView, ...]
    agent: AgentOfBuild | None
    toolchain: str
    toolchain_why: str
    tests: TestSummary | None
    rows: RowCounts | None
    artifacts_count: Count
    reason: str
    reason_code: str | None
    attempts: tuple[AttemptView, ...]
    retry_of: Identifier | None = None
    source: SourceView
    metadata: dict[str, str]
    warnings: tuple[str, ...]
    outputs_removed: bool = False
    """Whether log and artifacts were removed, since their time was over."""
    links: Links


class BuildSummary(Value):
    """A build as lists show it."""

    execution_id: Identifier
    project_name: str
    target_pool: str
    priority: str
    status: str
    created_at: Moment
    start_time: Moment | None
    duration: Duration | None
    toolchain: str
    rows: RowCounts | None
    reason: str
    reason_code: str | None


class BuildList(Value):
    """A page of builds, newest first."""

    builds: tuple[BuildSummary, ...]
    next_cursor: str | None


class ArtifactView(Value):
    """A file to download."""

    id: Identifier
    name: str
    path: str
    size_bytes: Count
    content_type: str
    sha256_hash: Sha256
    created_at: Moment
    download_url: str


class ArtifactList(Value):
    """All artifacts of a build."""

    artifacts: tuple[ArtifactView, ...]


class RowList(Value):
    """A page of row results."""

    rows: tuple[RowResult, ...]
    next_cursor: str | None


class CancelAccepted(Value):
    """The answer to a cancel: cancelled already, or on the way."""

    execution_id: Identifier
    status: str


class AgentList(Value):
    """Agents, those present first."""

    agents: tuple[AgentView, ...]


class AgentHealthAnswer(Value):
    """How an agent is."""

    agent: AgentView
    healthy: bool
    seen_seconds_ago: float
    reason: str


class PoolIntake(Value):
    """Whether a pool hands out jobs, and since when and why not."""

    paused: bool = False
    reason: str = ""
    by: str = ""
    since: Moment | None = None


class PoolView(Value):
    """A pool as the producer counts it."""

    name: PoolName
    ready: Count
    waiting: Count
    leases: Count
    oldest_wait_seconds: float | None
    agents: dict[str, int]
    """Present agents by state."""
    generations: dict[int, int]
    """Slot -> the highest generation that ever joined."""
    unserved: tuple[str, ...] = ()
    """Why ready jobs wait for another agent than those there are; such jobs count as waiting, too."""
    suiting: PoolSuiting | None = None
    """Who suits which ready jobs; null while none needs anything, or the pool is paused."""
    intake: PoolIntake = PoolIntake()
    """While it is paused, its ready jobs count as waiting: nobody is to be started for them."""
    job_seconds: float | None = None
    """What a job takes here, by the newest that ended; null while none has."""


class PoolList(Value):
    """All pools; `at` is the store's time of the counts."""

    pools: tuple[PoolView, ...]
    at: Moment


class CheckView(Value):
    """One part's health: `detail` says what is wrong, or how it answered."""

    name: str
    ok: bool
    detail: str


class HealthAnswer(Value):
    """Ready when every check is ok."""

    status: Literal["ok", "degraded", "starting", "stopping"]
    version: str
    checks: tuple[CheckView, ...]


class Problem(Value):
    """An error answer as RFC 9457 has it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str = ""
    code: str
    remedy: str = ""
    errors: tuple[dict[str, str], ...] = ()


class TraceSpan(Value):
    """Something that took time on a build's way."""

    name: str
    start: Moment
    end: Moment | None
    attributes: dict[str, str]


class Trace(Value):
    """A build's way as spans, oldest first."""

    execution_id: Identifier
    spans: tuple[TraceSpan, ...]


class DecisionList(Value):
    """The newest decisions, newest first."""

    decisions: tuple[Decision, ...]
    next_cursor: str | None = None
    """Given as `cursor`, it continues with older ones; None: there are none."""


class WorkerInfo(Value):
    """A worker as its executor knows it."""

    name: str
    pool: PoolName
    state: str
    """`Running` or `Exited` for its executor: one that waits for its platform counts as running."""
    pid: int | None = None
    age_seconds: float = 0
    exit_code: int | None = None
    detail: str = ""
    phase: str = ""
    """The platform's own word for where it stands."""
    node: str = ""
    """The machine it runs on, where the platform tells."""
    restarts: Count = 0
    pending_code: PendingCode | None = None
    """Why it does not run yet, or never did; None: it runs, or ran."""
    pending_reason: str = ""
    """The same as one sentence."""


class WorkerList(Value):
    """The scaler's workers."""

    workers: tuple[WorkerInfo, ...]
    readings: dict[str, dict[str, Reading]] = Field(default_factory=dict)
    troubles: tuple[str, ...] = ()
    """Why workers are missing here: executors that could not be asked, each as a sentence."""
