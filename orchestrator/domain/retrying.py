"""Trying again: which ends of an attempt are worth another, how long to wait for it, and when to give up.

A wait is held in the store (`Job.not_before`), so that it outlives every process; the sweeper ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from buildyard.contracts.builds import JobState, Outcome, ReasonCode
from buildyard.contracts.wire import rfc3339
from orchestrator.domain.records import Attempt, Job

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
TEMPORARY_CODES = frozenset({ReasonCode.SOURCE_UNAVAILABLE, ReasonCode.DISK_FULL, ReasonCode.WORKER_ERROR})
"""Causes that another agent, or the same one later, may not meet."""


def worth_another(outcome: Outcome, code: ReasonCode) -> bool:
    """Whether an attempt that ended so says nothing against the job itself."""
    if outcome in {Outcome.HANDED_BACK, Outcome.LOST}:
        return True
    return outcome is Outcome.FAILED and code in TEMPORARY_CODES


def counted(job: Job, outcome: Outcome) -> Job:
    """The job with an attempt more that went wrong; one that was handed back went not wrong."""
    if outcome is Outcome.HANDED_BACK:
        return job
    if outcome is Outcome.LOST:
        return replace(job, crashes=job.crashes + 1)
    return replace(job, failures=job.failures + 1)


def backoff_seconds(tries: int) -> float:
    """How long a job waits after so many attempts that went wrong: 0, then 1, 2, 4 … up to 60 s."""
    if tries <= 0:
        return 0.0
    doubled = FIRST_BACKOFF_SECONDS * 2.0 ** min(tries - 1, 10)
    return min(LONGEST_BACKOFF_SECONDS, doubled)


def is_due(not_before: datetime, now: datetime) -> bool:
    """Whether a wait is over. One that is longer than any wait there is was set by a clock that ran ahead."""
    return not_before <= now or not_before - now > timedelta(seconds=LONGEST_BACKOFF_SECONDS)


def why_it_waits(jobs: Sequence[Job], attempts: Sequence[Attempt]) -> str:
    """Why a build's only job stands still between two attempts; empty when none does. `attempts` are oldest first."""
    job = next((job for job in jobs if job.state is JobState.WAITING and job.not_before), None)
    if job is None or job.not_before is None:
        return ""
    last = next((attempt.reason for attempt in reversed(attempts) if attempt.job_id == job.id), "")
    return f"{last} It is tried again at {rfc3339(job.not_before)}.".lstrip()


def given_up(job: Job, last_reason: str) -> str:
    """Why a job gets no other attempt, in a sentence."""
    if job.failures == 0:
        return f"Its worker died {job.crashes} times; the last time: {last_reason}"
    times = "once" if job.tries == 1 else f"{job.tries} times"
    return f"It was tried {times}; the last time: {last_reason}"
