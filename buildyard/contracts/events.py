"""Events: what clients see of a build, numbered from 1 per build without gaps, so that a reader resumes."""

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
