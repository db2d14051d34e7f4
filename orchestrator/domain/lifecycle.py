"""The life of a build: which states follow which, and what each fact changes.

    received ──> queued ──> running ──> succeeded | failed | timed_out | rejected
       │           │           └─────> cancelling ──> cancelled | timed_out
       └───────────┴──────────────────────────────> cancelled | timed_out | rejected | failed

Every function takes the records a fact concerns and the store's time, and returns a Step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from buildyard.contracts.builds import BatchFound, BuildState, JobKind, JobState, Outcome, ReasonCode
from buildyard.contracts.messages import CancelJob, JobFinished
from buildyard.contracts.needs import Needs
from buildyard.errors import Conflict
from orchestrator.domain.dead_letters import is_dead
from orchestrator.domain.planning import plan_batch
from orchestrator.domain.records import Agent, Attempt, Build, DeadLetter, EventDraft, Job, JobCounts, Limits, Step
from orchestrator.domain.retrying import backoff_seconds, counted, given_up, worth_another

_ENDS = frozenset(state for state in BuildState if state.terminal)

WAYS: Mapping[BuildState, frozenset[BuildState]] = {
    BuildState.RECEIVED: frozenset(
        {BuildState.QUEUED, BuildState.CANCELLED, BuildState.REJECTED, BuildState.TIMED_OUT, BuildState.FAILED}
    ),
    BuildState.QUEUED: frozenset(
        {BuildState.RUNNING, BuildState.CANCELLED, BuildState.TIMED_OUT, BuildState.FAILED, BuildState.REJECTED}
    ),
    BuildState.RUNNING: (_ENDS - {BuildState.CANCELLED}) | {BuildState.CANCELLING},
    BuildState.CANCELLING: frozenset({BuildState.CANCELLED, BuildState.TIMED_OUT}),
    **dict.fromkeys(_ENDS, frozenset()),
}

_BUILD_ENDS: Mapping[Outcome, BuildState] = {
    Outcome.SUCCEEDED: BuildState.SUCCEEDED,
    Outcome.FAILED: BuildState.FAILED,
    Outcome.TIMED_OUT: BuildState.TIMED_OUT,
    Outcome.REJECTED: BuildState.REJECTED,
    Outcome.CANCELLED: BuildState.FAILED,
}
_JOB_ENDS: Mapping[Outcome, JobState] = {
    Outcome.SUCCEEDED: JobState.SUCCEEDED,
    Outcome.FAILED: JobState.FAILED,
    Outcome.TIMED_OUT: JobState.TIMED_OUT,
    Outcome.REJECTED: JobState.REJECTED,
    Outcome.CANCELLED: JobState.CANCELLED,
    Outcome.LOST: JobState.FAILED,
    Outcome.HANDED_BACK: JobState.CANCELLED,
}


def move(build: Build, to: BuildState) -> Build:
    """Take one legal way.

    Raises:
        Conflict: no way leads from the build's state to `to`.
    """
    if to not in WAYS[build.state]:
        raise Conflict(f"A build that is {build.state.value} cannot become {to.value}.")
    return replace(build, state=to)


def admit(build: Build, job: Job, now: datetime) -> Step:
    """The upload is clean: queue the build's first job."""
    queued = replace(move(build, BuildState.QUEUED), queued_at=now)
    ready = replace(job, state=JobState.READY, ready_at=now)
    events = (EventDraft("build_queued", {"pool": build.pool, "priority": build.priority.wire}),)
    return Step(queued, new_jobs=(ready,), tickets=1, events=events)


def claim(build: Build, job: Job, agent: Agent, claim_id: str, limits: Limits, now: datetime) -> Step:
    """An agent takes a ready job: a new attempt with a lease begins."""
    running = build if build.state is BuildState.RUNNING else move(build, BuildState.RUNNING)
    first = running.started_at is None
    running = replace(running, started_at=running.started_at or now)
    taken = replace(job, state=JobState.RUNNING, attempt=job.attempt + 1)
    attempt = Attempt(
        job_id=job.id,
        build_id=build.id,
        number=taken.attempt,
        agent=agent.name,
        hostname=agent.hostname,
        claim_id=claim_id,
        started_at=now,
        lease_until=now + timedelta(seconds=limits.lease_seconds),
    )
    events: tuple[EventDraft, ...] = (EventDraft("build_started", {"agent": agent.name}),) if first else ()
    if job.kind is JobKind.BUILD or job.attempt:
        events += (EventDraft("job_claimed", {"job": job.id, "attempt": taken.attempt, "agent": agent.name}),)
    return Step(running, job=taken, attempt=attempt, events=events)


def finish(
    build: Build,
    job: Job,
    attempt: Attempt,
    report: JobFinished,
    others: JobCounts,
    new_ids: tuple[str, ...],
    limits: Limits,
    now: datetime,
    done_rows: Sequence[int] = (),
) -> Step:
    """An attempt reports its end.

    `new_ids` are ids for jobs that a batch needs: one a chunk and one more. `done_rows` are rows, in order, whose
    results an earlier build of the same batch left behind.
    """
    ended = _ended(attempt, report.outcome, report.reason_code, report.reason, now)
    if worth_another(report.outcome, report.reason_code):
        again = partial(_to_a_suited_agent, found=report.needs) if report.needs is not None else _again_or_over
        return again(build, counted(job, report.outcome), ended, others=others, limits=limits, now=now)
    closed = replace(job, state=_JOB_ENDS[report.outcome])
    named = replace(
        build,
        toolchain=report.toolchain or build.toolchain,
        toolchain_why=report.toolchain_why or build.toolchain_why,
        tests=report.tests or build.tests,
        tests_key=report.tests_key if report.tests else build.tests_key,
    )
    event = _job_ended(closed, ended)
    if build.state is BuildState.CANCELLING:
        return _cancel_goes_on(named, closed, ended, others, now, event)
    if job.kind is JobKind.ROWS:
        return _rows_ended(named, closed, ended, others, event)
    if job.kind is JobKind.COLLECT:
        return _collected(named, closed, ended, others, now, event)
    if report.found is not None and report.outcome is Outcome.SUCCEEDED:
        planned = plan_batch(named, report.found, new_ids, now, done_rows, job.needs)
        return _planned(named, closed, ended, report.found, planned, len(done_rows), event)
    return end(named, _BUILD_ENDS[report.outcome], report.reason_code, report.reason, now, closed, ended, (event,))


def lose(build: Build, job: Job, attempt: Attempt, others: JobCounts, limits: Limits, now: datetime) -> Step:
    """The lease ran out: the worker is gone, frozen or cut off. Another agent gets the job, or it is over."""
    reason = (
        f"Agent {attempt.agent} was not heard of for {limits.lease_seconds:g} s "
        f"(attempt {attempt.number} of at most {limits.max_attempts})."
    )
    ended = _ended(attempt, Outcome.LOST, ReasonCode.WORKER_LOST, reason, now)
    return _again_or_over(build, counted(job, Outcome.LOST), ended, others, limits, now)


def cancel(build: Build, live: tuple[Attempt, ...], requester: str, now: datetime) -> Step:
    """Somebody wants the build ended.

    Raises:
        Conflict: it ended otherwise already.
    """
    reason = f"Cancelled by {requester}."
    if build.state in {BuildState.CANCELLING, BuildState.CANCELLED}:
        return Step(build, controls=_stop(live))
    if build.state.terminal:
        raise Conflict(
            f"The build has ended already: {build.state.wire}.", remedy="A build that ended cannot be cancelled."
        )
    if not live:
        target = build if build.state is not BuildState.RUNNING else move(build, BuildState.CANCELLING)
        return end(target, BuildState.CANCELLED, ReasonCode.CANCELLED, reason, now)
    stopping = replace(
        move(build, BuildState.CANCELLING), cancelling_at=now, reason_code=ReasonCode.CANCELLED, reason=reason
    )
    events = (EventDraft("build_cancelling", {"reason": reason}),)
    return Step(stopping, close_jobs=JobState.CANCELLED, events=events, controls=_stop(live))


def end(
    build: Build,
    state: BuildState,
    code: ReasonCode,
    reason: str,
    now: datetime,
    job: Job | None = None,
    attempt: Attempt | None = None,
    events: tuple[EventDraft, ...] = (),
    *,
    gave_up: bool = False,
) -> Step:
    """End a build for good: its other jobs close, its live attempts are fenced.

    It becomes a dead letter when its cause is one for a person to look at, or `gave_up` says so.
    """
    over = replace(move(build, state), reason_code=code, reason=reason, ended_at=now)
    ended = EventDraft("build_ended", {"status": state.wire, "reasonCode": code.value, "reason": reason})
    letter = DeadLetter(build.id, now) if gave_up or is_dead(state, code) else None
    dead = (EventDraft("build_dead", {"reasonCode": code.value, "reason": reason}),) if letter else ()
    return Step(
        over,
        job,
        attempt,
        close_jobs=JobState.CANCELLED,
        fence=f"The build ended: {reason}",
        events=(*events, *dead, ended),
        dead=letter,
    )


def _again_or_over(build: Build, job: Job, ended: Attempt, others: JobCounts, limits: Limits, now: datetime) -> Step:
    """After an attempt worth another: the job goes to an agent again, unless nobody wants it or it keeps failing."""
    event = EventDraft("attempt_ended", _end_of(job, ended))
    if build.state is BuildState.CANCELLING:
        return _cancel_goes_on(build, replace(job, state=JobState.CANCELLED), ended, others, now, event)
    if ended.outcome is Outcome.HANDED_BACK:
        again = replace(job, state=JobState.READY, ready_at=now)
        return Step(build, again, ended, tickets=1, events=(event,))
    if job.tries < limits.max_attempts:
        pause = backoff_seconds(job.tries)
        waiting = replace(job, state=JobState.WAITING, not_before=now + timedelta(seconds=pause))
        told = EventDraft("attempt_ended", {**_end_of(job, ended), "retryInSeconds": pause})
        return Step(build, waiting, ended, events=(told,))
    reason = given_up(job, ended.reason)
    closed = replace(job, state=JobState.FAILED)
    if job.kind is JobKind.ROWS:
        return _rows_ended(build, closed, replace(ended, reason=reason), others, event)
    code = ended.reason_code or ReasonCode.WORKER_LOST
    return end(build, BuildState.FAILED, code, reason, now, closed, ended, (event,))


def _to_a_suited_agent(
    build: Build, job: Job, ended: Attempt, *, found: Needs, others: JobCounts, limits: Limits, now: datetime
) -> Step:
    """The source needs more than the agent has: the job waits for one that has it; but once for the same needs."""
    known = Needs.model_validate_json(job.needs) if job.needs else Needs()
    try:
        needs = known.and_also(found).text()
    except ValueError:  # both together are too long
        needs = job.needs
    if needs == job.needs and build.state is not BuildState.CANCELLING:
        event = EventDraft("job_ended", _end_of(replace(job, state=JobState.FAILED), ended))
        failed = replace(job, state=JobState.FAILED)
        return end(build, BuildState.FAILED, ReasonCode.TOOL_MISSING, ended.reason, now, failed, ended, (event,))
    step = _again_or_over(build, job, ended, others, limits, now)
    if step.job is None or step.job.state is not JobState.READY:
        return step
    told = tuple(replace(event, data={**event.data, "needs": needs}) for event in step.events)
    return replace(step, needs=needs, events=told)


def _cancel_goes_on(
    build: Build, job: Job, ended: Attempt, others: JobCounts, now: datetime, event: EventDraft
) -> Step:
    """One attempt of a cancelled build stopped; the last one ends the build."""
    if others.running:
        return Step(build, job, ended, events=(event,))
    return end(build, BuildState.CANCELLED, ReasonCode.CANCELLED, build.reason, now, job, ended, (event,))


def _planned(
    build: Build,
    job: Job,
    ended: Attempt,
    found: BatchFound,
    planned: tuple[Job, ...],
    carried: int,
    event: EventDraft,
) -> Step:
    """A batch knows its rows: its jobs are there, each ready one with a ticket."""
    plan = {"rows": found.rows, "jobs": len(planned) - 1, "carriedRows": carried}
    ready = sum(one.state is JobState.READY for one in planned)
    waiting = replace(build, rows_total=found.rows)
    told = (event, EventDraft("build_planned", plan))
    return Step(waiting, job, ended, new_jobs=planned, tickets=ready, events=told)


def _rows_ended(build: Build, job: Job, ended: Attempt, others: JobCounts, event: EventDraft) -> Step:
    """A part of a batch is through: when it was the last, its results are collected."""
    missing = "" if job.state is JobState.SUCCEEDED else ended.reason
    events = () if job.state is JobState.SUCCEEDED else (event,)
    if others.open_rows:
        return Step(build, job, ended, events=events, missing_rows_error=missing)
    return Step(build, job, ended, release=JobKind.COLLECT, tickets=1, events=events, missing_rows_error=missing)


def _collected(build: Build, job: Job, ended: Attempt, others: JobCounts, now: datetime, event: EventDraft) -> Step:
    """All results of a batch lie ready, or could not be written."""
    total = build.rows_total or 0
    if job.state is JobState.TIMED_OUT:
        return end(build, BuildState.TIMED_OUT, ReasonCode.TIMED_OUT, ended.reason, now, job, ended, (event,))
    if job.state is not JobState.SUCCEEDED:
        code = ended.reason_code or ReasonCode.ARTIFACT_FAILED
        return end(build, BuildState.FAILED, code, ended.reason, now, job, ended, (event,))
    if build.rows_failed:
        reason = f"{build.rows_failed} of {total} rows failed; errors.csv names them."
        gave_up = others.given_up > 0
        if gave_up:
            reason += f" {others.given_up} of its jobs used up their attempts."
        return end(build, BuildState.FAILED, ReasonCode.ROWS_FAILED, reason, now, job, ended, (event,), gave_up=gave_up)
    reason = f"All {total} rows succeeded."
    return end(build, BuildState.SUCCEEDED, ReasonCode.SUCCEEDED, reason, now, job, ended, (event,))


def _ended(attempt: Attempt, outcome: Outcome, code: ReasonCode, reason: str, now: datetime) -> Attempt:
    return replace(attempt, outcome=outcome, reason_code=code, reason=reason, ended_at=now)


def _job_ended(job: Job, ended: Attempt) -> EventDraft:
    return EventDraft("job_ended", _end_of(job, ended))


def _end_of(job: Job, ended: Attempt) -> dict[str, Any]:
    return {
        "job": job.id,
        "attempt": ended.number,
        "outcome": _word(ended.outcome),
        "reasonCode": ended.reason_code.value if ended.reason_code else "",
        "reason": ended.reason,
    }


def _word(outcome: Outcome | None) -> str:
    return outcome.wire if outcome else ""


def _stop(live: tuple[Attempt, ...]) -> tuple[CancelJob, ...]:
    return tuple(CancelJob(job_id=attempt.job_id, attempt=attempt.number) for attempt in live)
