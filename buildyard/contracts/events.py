"""Events: what clients see of builds.

They are numbered from 1 per build without gaps, and have one order over all builds, so that a reader of either resumes.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from buildyard.contracts.wire import Identifier, Moment, Value

EventType = Literal[
    "build_received",
    "build_queued",
    "build_started",
    "build_cancelling",
    "build_ended",
    "build_reprioritised",
    "build_planned",
    "build_dead",
    "build_requeued",
    "build_dropped",
    "build_annotated",
    "outputs_removed",
    "job_ready",
    "job_claimed",
    "job_ended",
    "attempt_ended",
    "stage_started",
    "stage_finished",
    "rows_done",
    "log_stored",
]


class BuildEvent(Value):
    """One change of one build."""

    v: Literal[1, 2] = 2
    build_id: Identifier
    seq: int = Field(ge=1)
    type: EventType
    at: Moment
    data: dict[str, Any] = Field(default_factory=dict)


class FarmEvent(BuildEvent):
    """One change of any build, as the stream of all builds tells it.

    `id` is its place in that stream: later events have greater numbers, with gaps. Resume after the last one seen.
    """

    id: str = Field(pattern=r"^[0-9]{1,19}$")
    project: str
    pool: str


class StreamReset(Value):
    """The stream of all builds cannot go on after the id it was given: what was known of builds must be read anew."""

    reason: str
