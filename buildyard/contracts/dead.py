"""Dead letters: what the API tells of builds that wait for a person, and what a person may ask for them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from buildyard.contracts.api import BuildStatus, RowCounts
from buildyard.contracts.builds import ReasonCode
from buildyard.contracts.events import BuildEvent
from buildyard.contracts.wire import AskedMoment, Count, Identifier, Moment, Request, Value

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
_SOMETHING_PRINTABLE = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
MAX_REQUEUED = 100
"""How many dead letters one request requeues at most."""


class DeadLetterView(Value):
    """A build that the farm failed; `resolution` is null while it waits for a person."""

    execution_id: Identifier
    project_name: str
    target_pool: str
    status: str
    reason: str
    reason_code: str | None
    attempts: Count
    rows: RowCounts | None
    created_at: Moment
    dead_at: Moment
    resolution: Literal["requeued", "dropped"] | None
    resolved_at: Moment | None
    resolved_by: str
    note: str
    """Why it was dropped."""
    requeued_as: Identifier | None


class DeadLetterList(Value):
    """A page of dead letters, the newest build first."""

    dead: tuple[DeadLetterView, ...]
    next_cursor: str | None


class DeadLetterDetail(Value):
    """A dead letter with all that is known of it."""

    letter: DeadLetterView
    build: BuildStatus
    """With its stages and every attempt."""
    events: tuple[BuildEvent, ...]
    """The build's newest events, in order."""
    log: tuple[str, ...]
    """The last lines of its log."""


class RequeueRequest(Request):
    """Which dead letters to requeue: all that match every field given, `limit` at a time."""

    project: str | None = Field(default=None, max_length=100, pattern=_PRINTABLE, examples=["my-project"])
    pool: str | None = Field(default=None, max_length=40, pattern=_PRINTABLE, examples=["linux"])
    reason_code: ReasonCode | None = Field(default=None, examples=["worker_lost"])
    since: AskedMoment | None = Field(default=None, description="Only those that died at or after this time.")
    limit: int = Field(default=MAX_REQUEUED, ge=1, le=MAX_REQUEUED)
    cursor: str | None = Field(
        default=None, max_length=500, pattern=_PRINTABLE, description="`nextCursor` of the answer before."
    )


class DropRequest(Request):
    """Why a dead letter is given up."""

    reason: str = Field(min_length=1, max_length=500, pattern=_SOMETHING_PRINTABLE, examples=["The project is gone."])


class Requeued(Value):
    """A dead letter and the build that took its place."""

    execution_id: Identifier
    retry_of: Identifier


class NotRequeued(Value):
    """A dead letter that could not be requeued, and why."""

    execution_id: Identifier
    reason: str


class RequeuedList(Value):
    """What became of the dead letters that matched; `next_cursor` leads to the rest."""

    requeued: tuple[Requeued, ...]
    refused: tuple[NotRequeued, ...]
    next_cursor: str | None
