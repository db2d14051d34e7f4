"""Messages on the broker: tickets, reports, log lines, control and the doorbell.

Every message carries its version `v`. Shapes are held by golden files in the tests: a changed shape fails there
until its version is raised.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from buildyard.contracts.agents import AgentHealth
from buildyard.contracts.builds import (
    ArtifactRecord,
    BatchFound,
    Outcome,
    ReasonCode,
    RowResult,
    StageName,
    StageStatus,
    TestSummary,
)
from buildyard.contracts.diagnostics import MAX_DIAGNOSTICS, Diagnostic
from buildyard.contracts.needs import Needs
from buildyard.contracts.wire import AgentName, Count, Identifier, Moment, PoolName, Text, Value
from buildyard.errors import UnreadableMessage


class Ticket(Value):
    """A job is ready in this pool. It names no job: the claim picks one."""

    v: Literal[1] = 1
    ticket_id: Identifier
    pool: PoolName


class _AttemptFact(Value):
    """What every report about an attempt says: whose it is. (job, attempt) is the fence."""

    v: Literal[1] = 1
    build_id: Identifier
    job_id: Identifier
    attempt: int = Field(ge=1)
    agent: AgentName
    at: Moment
    """The worker's own clock: shown, never decided upon."""


class StageStarted(_AttemptFact):
    """A stage began."""

    type: Literal["stage_started"] = "stage_started"
    stage: StageName


class StageFinished(_AttemptFact):
    """A stage ended, or was skipped with its reason."""

    type: Literal["stage_finished"] = "stage_finished"
    stage: StageName
    status: StageStatus
    warnings: Count = 0
    errors: Count = 0
    reason: Text = ""
    diagnostics: tuple[Diagnostic, ...] = Field(default=(), max_length=MAX_DIAGNOSTICS)


class Heartbeat(_AttemptFact):
    """The attempt is alive: its lease is renewed."""

    type: Literal["heartbeat"] = "heartbeat"


class LogStored(_AttemptFact):
    """A segment of the attempt's log lies in the object store: JSON lines `first`..`last`, counted from 1."""

    type: Literal["log_stored"] = "log_stored"
    key: str
    first: int = Field(ge=1)
    last: int = Field(ge=1)
    size_bytes: Count
    stages: tuple[StageName, ...]


class RowsDone(_AttemptFact):
    """Some rows of a batch are finished."""

    type: Literal["rows_done"] = "rows_done"
    rows: tuple[RowResult, ...]


class JobFinished(_AttemptFact):
    """The attempt ended. The ticket is acknowledged only after this is confirmed."""

    type: Literal["job_finished"] = "job_finished"
    outcome: Outcome
    reason_code: ReasonCode
    reason: Text
    toolchain: Text = ""
    toolchain_why: Text = ""
    tests: TestSummary | None = None
    tests_key: str = ""
    """Where the list of tests lies (`buildyard.contracts.testing`); empty where there is none."""
    artifacts: tuple[ArtifactRecord, ...] = ()
    rows: tuple[RowResult, ...] = ()
    """Row results that no `RowsDone` told yet."""
    found: BatchFound | None = None
    needs: Needs | None = None
    """Of an attempt that is handed back since its agent lacks what the source needs: another agent that has it may."""
    log_lines: Count = 0


class AgentHeartbeat(Value):
    """An agent is alive, with or without a job."""

    v: Literal[1] = 1
    type: Literal["agent_heartbeat"] = "agent_heartbeat"
    agent: AgentName
    at: Moment
    health: AgentHealth


class AgentLeft(Value):
    """An agent ends of its own will; `reason` says why."""

    v: Literal[1] = 1
    type: Literal["agent_left"] = "agent_left"
    agent: AgentName
    at: Moment
    reason: Text


AttemptReport = StageStarted | StageFinished | Heartbeat | LogStored | RowsDone | JobFinished
Report = Annotated[AttemptReport | AgentHeartbeat | AgentLeft, Field(discriminator="type")]


class LogLine(Value):
    """One line of a log: numbered from 1 within its attempt, control codes stripped save colours."""

    n: int = Field(ge=1)
    at: Moment
    stage: StageName
    text: str


class LogLines(Value):
    """Fresh lines for whoever watches; the full log is in the object store."""

    v: Literal[1] = 1
    build_id: Identifier
    job_id: Identifier
    attempt: int = Field(ge=1)
    lines: tuple[LogLine, ...]


class CancelJob(Value):
    """Stop this attempt: a hint for speed, repeated until the attempt is known to have ended."""

    v: Literal[1] = 1
    type: Literal["cancel_job"] = "cancel_job"
    job_id: Identifier
    attempt: int


class AttemptOver(Value):
    """A report of this attempt was refused, since the attempt had ended: whoever still works on it stops."""

    v: Literal[1] = 1
    type: Literal["attempt_over"] = "attempt_over"
    job_id: Identifier
    attempt: int
    reason: Text
    """How the attempt ended, in a sentence."""


class DrainAgent(Value):
    """Finish what is in hand, take nothing more, leave."""

    v: Literal[1] = 1
    type: Literal["drain_agent"] = "drain_agent"
    agent: AgentName
    reason: Text


Order = AttemptOver | CancelJob | DrainAgent
Control = Annotated[Order, Field(discriminator="type")]


class Ring(Value):
    """The doorbell: something changed in this pool."""

    v: Literal[1] = 1
    pool: PoolName


_Message = TypeVar("_Message")

REPORT: TypeAdapter[AttemptReport | AgentHeartbeat | AgentLeft] = TypeAdapter(Report)
CONTROL: TypeAdapter[Order] = TypeAdapter(Control)
TICKET = TypeAdapter(Ticket)
LOG_LINES = TypeAdapter(LogLines)
RING = TypeAdapter(Ring)


def read_message(adapter: TypeAdapter[_Message], body: bytes) -> _Message:
    """Parse one message.

    Raises:
        UnreadableMessage: it is not JSON, not of this shape, or of a version we do not know.
    """
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole message"
        raise UnreadableMessage(f"A message cannot be read: {place}: {first['msg']}.") from error
