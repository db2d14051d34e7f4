"""The bounds of a build that nobody moves: not a moment too early, and each with its sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from buildyard.contracts.builds import BuildState, ReasonCode
from orchestrator.domain.records import Build
from orchestrator.domain.sweeping import overdue
from tests.orchestrator.world import LIMITS, START, a_build

_BUILD = a_build()
_RUN_SECONDS = _BUILD.properties.timeout_minutes * 60 + LIMITS.end_grace_seconds
BOUNDS: dict[str, tuple[Build, float, BuildState, ReasonCode, str]] = {
    "received, never admitted": (
        replace(_BUILD, state=BuildState.RECEIVED),
        LIMITS.queue_seconds,
        BuildState.TIMED_OUT,
        ReasonCode.QUEUED_TOO_LONG,
        "The upload was not admitted within 24 h.",
    ),
    "running, never ended": (
        replace(_BUILD, state=BuildState.RUNNING, started_at=START),
        _RUN_SECONDS,
        BuildState.TIMED_OUT,
        ReasonCode.TIMED_OUT,
        "and its agent did not say so.",
    ),
    "cancelling, never confirmed": (
        replace(_BUILD, state=BuildState.CANCELLING, started_at=START, cancelling_at=START, reason="You asked for it."),
        LIMITS.cancel_seconds,
        BuildState.CANCELLED,
        ReasonCode.CANCELLED,
        "You asked for it. Its agent did not confirm the stop within 30 s.",
    ),
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_build_ends_at_its_bound_and_says_why(bound: str) -> None:
    build, seconds, state, code, words = BOUNDS[bound]

    assert overdue(build, START, LIMITS, START + timedelta(seconds=seconds - 0.001)) is None
    step = overdue(build, START, LIMITS, START + timedelta(seconds=seconds))

    assert step is not None
    assert (step.build.state, step.build.reason_code) == (state, code)
    assert step.build.reason.endswith(words)
