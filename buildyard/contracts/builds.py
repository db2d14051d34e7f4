"""Builds, their jobs and stages: the words of the domain."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from buildyard.contracts.needs import Needs
from buildyard.contracts.properties import check_path_in_source, check_property
from buildyard.contracts.wire import Count, Identifier, Moment, PoolName, Request, Sha256, Text, Value, WireEnum


class UploadKind(WireEnum):
    """What an upload's first bytes say it is."""

    ZIP = "zip"
    TAR_GZ = "tar.gz"
    TAR_ZST = "tar.zst"
    CSV = "csv"


class Strategy(WireEnum):
    """How a build is planned."""

    INCREMENTAL = "incremental"
    CLEAN = "clean"
    DISTRIBUTED = "distributed"
    CACHED = "cached"
    CANARY = "canary"


class Priority(WireEnum):
    """Which ready job a free agent takes first; equal priorities go by age."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for the least urgent."""
        return list(Priority).index(self)


class BuildState(WireEnum):
    """Where a build stands; see `orchestrator.domain.lifecycle` for the ways between them."""

    RECEIVED = "received"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow."""
        return self in _TERMINAL_BUILD


class JobState(WireEnum):
    """Where one job of a build stands."""

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow."""
        return self not in {JobState.WAITING, JobState.READY, JobState.RUNNING}


_TERMINAL_BUILD = frozenset(
    {
        BuildState.SUCCEEDED,
        BuildState.FAILED,
        BuildState.CANCELLED,
        BuildState.TIMED_OUT,
        BuildState.REJECTED,
    }
)


class Outcome(WireEnum):
    """How one attempt of a job ended. `handed_back` and `lost` send the job to another agent."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    HANDED_BACK = "handed_back"
    LOST = "lost"


class JobKind(WireEnum):
    """What a worker does with a job.

    `build` fetches a source and builds it, or finds that it is a batch and writes its rows down; `rows` works
    through a part of a batch; `collect` turns all row results into artifacts.
    """

    BUILD = "build"
    ROWS = "rows"
    COLLECT = "collect"


class StageName(WireEnum):
    """The stages of the pipeline, in their order."""

    FETCH = "fetch"
    RESTORE = "restore"
    BUILD = "build"
    TEST = "test"
    PACKAGE = "package"
    PUBLISH = "publish"


class StageStatus(WireEnum):
    """Where a stage stands."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class ReasonCode(WireEnum):
    """Why a build or an attempt ended: a closed list, written as these very words on the wire."""

    SUCCEEDED = "succeeded"
    COMMAND_FAILED = "command_failed"
    TESTS_FAILED = "tests_failed"
    ROWS_FAILED = "rows_failed"
    ARTIFACT_FAILED = "artifact_failed"
    TIMED_OUT = "timed_out"
    QUEUED_TOO_LONG = "queued_too_long"
    NO_AGENT = "no_agent"
    CANCELLED = "cancelled"
    ARCHIVE_REFUSED = "archive_refused"
    CSV_REFUSED = "csv_refused"
    CONFIGURATION_REFUSED = "configuration_refused"
    NO_TOOLCHAIN = "no_toolchain"
    TOOL_MISSING = "tool_missing"
    SOURCE_REFUSED = "source_refused"
    SOURCE_UNAVAILABLE = "source_unavailable"
    INFECTED = "infected"
    UNSCANNABLE = "unscannable"
    UPLOAD_GONE = "upload_gone"
    WORKER_LOST = "worker_lost"
    WORKER_ERROR = "worker_error"
    DISK_FULL = "disk_full"
    HANDED_BACK = "handed_back"


class UploadSource(Value):
    """Bytes that a user sent: an immutable object, found by `key` in the object store."""

    type: Literal["upload"] = "upload"
    upload_id: Identifier
    key: str
    kind: UploadKind
    sha256: Sha256
    size_bytes: Count
    filename: str = ""


class GitSource(Value):
    """A repository and what to check out of it; both were checked against the allowed hosts."""

    type: Literal["git"] = "git"
    url: str
    ref: str
    submodules: bool = False


Source = Annotated[UploadSource | GitSource, Field(discriminator="type")]

MAX_PROPERTIES = 100
_NAME = r"^[\w][\w .@+\-]{0,99}$"


class BuildProperties(Request):
    """What a user may say of a build, with the defaults of the API."""

    project_name: str = Field(default="unnamed", pattern=_NAME, examples=["my-project"])
    repository_url: str | None = Field(default=None, max_length=2048)
    git_ref: str = Field(default="HEAD", max_length=255)
    submodules: bool = False
    solution_path: str | None = Field(default=None, max_length=1024)
    configuration: str = Field(default="Release", pattern=r"^[A-Za-z0-9_.\-]{1,64}$")
    target_framework: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.\-]{1,64}$")
    platform: str = Field(default="AnyCPU", pattern=r"^[A-Za-z0-9_.\- ]{1,64}$")
    runtime_identifier: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.\-]{1,64}$")
    build_properties: dict[str, str] = Field(default_factory=dict, max_length=MAX_PROPERTIES)
    run_tests: bool = True
    create_packages: bool = False
    publish_artifacts: bool = True
    timeout_minutes: float = Field(default=60, gt=0, le=7 * 24 * 60, allow_inf_nan=False)
    metadata: dict[str, str] = Field(default_factory=dict, max_length=MAX_PROPERTIES)
    toolchain: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]{0,31}$")
    rows_per_job: int | None = Field(default=None, ge=1, le=100_000)
    needs: Needs | None = None

    @field_validator("build_properties")
    @classmethod
    def _property_names_and_values_are_plain(cls, properties: dict[str, str]) -> dict[str, str]:
        for name, value in properties.items():
            check_property(name, value)
        return properties

    @field_validator("solution_path")
    @classmethod
    def _solution_lies_in_the_source(cls, path: str | None) -> str | None:
        if path is not None:
            check_path_in_source(path)
        return path


RowHandler = Literal["builtin", "program", "call", "build"]
"""What becomes of a batch's rows: the built-in check sees them, or the sender's program; each is a call to an HTTP
service; or each asks for a build of its own."""


class RowSpan(Value):
    """A run of rows: `first` counts from 1, the header not counted."""

    first: int = Field(ge=1)
    count: int = Field(ge=1)


class RowsPart(Value):
    """The rows of one job: lines of a JSON-lines object, found by byte range."""

    span: RowSpan
    key: str
    byte_start: Count
    byte_end: Count
    handler: RowHandler
    done: tuple[int, ...] = ()
    """Rows whose results are already recorded: an attempt after a crash leaves them out."""
    sharers: int = Field(default=1, ge=1)
    """Jobs of the batch, which share the limits of a service that is called."""


class RowChunk(Value):
    """Where in the rows object one job's rows lie."""

    span: RowSpan
    byte_start: Count
    byte_end: Count


class BatchFound(Value):
    """What the first job of a batch reports: the rows object and how it is cut into jobs."""

    rows_key: str
    rows: Count
    columns: tuple[str, ...]
    handler: RowHandler
    chunks: tuple[RowChunk, ...]


class JobSpec(Value):
    """Everything a worker needs for one attempt of one job."""

    v: Literal[1] = 1
    job_id: Identifier
    build_id: Identifier
    attempt: int = Field(ge=1)
    kind: JobKind
    pool: PoolName
    priority: Priority
    source: Source
    properties: BuildProperties
    strategy: Strategy
    force_clean: bool = False
    timeout_seconds: float = Field(gt=0)
    lease_seconds: float = Field(gt=0)
    output_prefix: str
    """Where this attempt writes in the object store; nobody else writes there. Ends with `/`."""
    rows: RowsPart | None = None


CaseStatus = Literal["passed", "failed", "skipped"]


class TestCase(Value):
    """One test, as its runner tells it; message and place are those of a failure."""

    __test__ = False  # pytest: not a test class
    name: str
    status: CaseStatus = "failed"
    suite: str = ""
    message: str = ""
    place: str = ""
    duration_seconds: float = 0.0


class TestSummary(Value):
    """Test counts of a build, with up to 100 failures by name; the duration is the sum of its suites', in seconds."""

    __test__ = False  # pytest: not a test class
    total: Count = 0
    passed: Count = 0
    failed: Count = 0
    skipped: Count = 0
    duration_seconds: float = 0.0
    failures: tuple[TestCase, ...] = ()


class ArtifactRecord(Value):
    """A file a build hands back; `key` is its place in the object store."""

    name: str
    path: str
    size_bytes: Count
    content_type: str
    sha256: Sha256
    key: str


class RowResult(Value):
    """The result of one row: `result` is a JSON object, or `error` a sentence."""

    row: int = Field(ge=1)
    ok: bool
    result: dict[str, object] = Field(default_factory=dict)
    error: Text = ""


class StageRecord(Value):
    """One stage of one attempt as it stands."""

    name: StageName
    status: StageStatus
    started_at: Moment | None = None
    finished_at: Moment | None = None
    warnings: Count = 0
    errors: Count = 0
    reason: str = ""
