"""Recording what workers report. The fencing token (job, attempt) is checked before anything else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from buildyard.contracts.builds import BatchFound, JobKind, Outcome
from buildyard.contracts.messages import (
    AgentHeartbeat,
    AgentLeft,
    AttemptOver,
    AttemptReport,
    Heartbeat,
    JobFinished,
    LogStored,
    RowsDone,
    StageFinished,
    StageStarted,
)
from buildyard.contracts.wire import rfc3339
from buildyard.errors import InvalidRequest, NotFound
from buildyard.telemetry import logger
from orchestrator.domain import lifecycle
from orchestrator.domain.dead_letters import carries_over
from orchestrator.domain.records import Attempt, Build, EventDraft, Job, JobCounts, Step
from orchestrator.domain.retention import Kept
from orchestrator.domain.sweeping import lapsed, needs_renewal
from orchestrator.service.core import Core
from orchestrator.service.dispatching import output_prefix
from orchestrator.store.transaction import Saved, Transaction

_log = logger("record")
_SAID_BY_THE_WORKER = frozenset({Outcome.SUCCEEDED, Outcome.FAILED})
_LONGEST_CHAIN = 100
"""How many builds without a plan may lie between a build and the one whose rows it takes over."""


class Recording(Core):
    """Facts become state."""

    async def record(self, report: AttemptReport | AgentHeartbeat | AgentLeft) -> bool:
        """Record one report; False when it changes nothing: a repeat, or from an attempt that is over.

        Who reports of an attempt that is over is told so by a control message.

        Raises:
            InvalidRequest: the report claims what is not its own.
            StoreUnavailable: nothing was recorded; report again.
        """
        if isinstance(report, AgentHeartbeat | AgentLeft):
            return await self._record_agent(report)
        [changed] = await self.record_together([report])
        return changed

    async def record_together(self, reports: Sequence[AttemptReport]) -> list[bool]:
        """Record reports, those of each build in their order; which of them change anything.

        They share a transaction, all or none, but for those of builds that another transaction holds, or that there
        are not: these come after it, each by itself.

        Raises:
            as `record`: the fault is one report's. Those that are recorded by then count as repeats from then on.
        """
        async with self._store.begin() as tx:
            held = await tx.lock_builds({report.build_id for report in reports})
            shared = [one for one in reports if one.build_id in held]
            found = [await self._record_attempt(tx, report) for report in shared]
        changed = [self._told(report, saved) for report, saved in zip(shared, found, strict=True)]
        if len(shared) == len(reports):
            return changed
        ready = iter(changed)
        return [next(ready) if one.build_id in held else await self.record(one) for one in reports]

    async def expire(self, attempt: Attempt, heard_until: datetime) -> bool:
        """End an attempt whose lease ran out by the store's clock; False when it lives after all.

        `heard_until` is until when, by that clock, all that workers said is recorded.
        """
        async with self._store.begin() as tx:
            build = await tx.lock_build(attempt.build_id)
            current = await tx.attempt(attempt.job_id, attempt.number)
            job = await tx.job(attempt.job_id)
            now = await tx.now()
            if current is None or job is None or current.ended_at is not None:
                return False
            if not lapsed(current.lease_until, self._farm.limits.lease_seconds, heard_until):
                return False
            others = await tx.counts_beside(job, self._farm.limits.max_attempts)
            saved = await tx.save(lifecycle.lose(build, job, current, others, self._farm.limits, now))
        self._tell(saved)
        return True

    # ------------------------------------------------------------------ inside

    def _told(self, report: AttemptReport, saved: Saved | AttemptOver | None) -> bool:
        """Hand on what came of a report; whether it changed anything."""
        if isinstance(saved, AttemptOver):
            self._outlets.controls((saved,))
            self._outlets.refused(report.type)
        if not isinstance(saved, Saved):
            _log.info("refused", report=report.type, job=report.job_id, attempt=report.attempt, agent=report.agent)
            return False
        self._tell(saved)
        return True

    async def _record_agent(self, report: AgentHeartbeat | AgentLeft) -> bool:
        async with self._store.begin() as tx:
            agent = await tx.agent(report.agent)
            if agent is None:
                return False
            if isinstance(report, AgentHeartbeat):
                await tx.see_agent(report.agent, report.health)
            else:
                await tx.mark_agent(report.agent, draining=agent.draining, left=True, reason=report.reason)
        return True

    async def _record_attempt(self, tx: Transaction, report: AttemptReport) -> Saved | AttemptOver | None:
        try:
            build = await tx.lock_build(report.build_id)
        except NotFound as error:
            return _over(report, str(error))
        known = await tx.attempt_and_job(report.job_id, report.attempt)
        if known is None or known[1].build_id != build.id:
            return _over(report, "There is no such attempt.")
        attempt, job = known
        if attempt.ended_at is not None:
            late = build.kept is Kept.ALL and _overtaken(job, attempt, report)
            kept = await _note(tx, build, attempt, report) if late else None
            return kept or _over(report, attempt.reason)
        if isinstance(report, JobFinished):
            return await self._finish(tx, build, job, attempt, report)
        seconds = self._farm.limits.lease_seconds
        if needs_renewal(attempt.lease_until, seconds, await tx.now()):
            await tx.renew(attempt, await tx.now() + timedelta(seconds=seconds))
        return await _note(tx, build, attempt, report)

    async def _finish(self, tx: Transaction, build: Build, job: Job, attempt: Attempt, report: JobFinished) -> Saved:
        _check_own(attempt, report)
        counted = await tx.add_rows(build, report.rows)
        ids = tuple(self._clock.new_id() for _ in range(len(report.found.chunks) + 1)) if report.found else ()
        alone = job.kind is JobKind.BUILD
        others = JobCounts() if alone else await tx.counts_beside(job, self._farm.limits.max_attempts)
        done: tuple[int, ...] = ()
        if report.found and (earlier := await _earlier(tx, build, report.found)):
            counted = await tx.carry_rows(earlier, counted)
            done = await tx.done_rows(build.id, 1, report.found.rows)
        now = await tx.now()
        step = lifecycle.finish(counted, job, attempt, report, others, ids, self._farm.limits, now, done)
        if step.job is not None and step.job.state.terminal:  # another attempt makes its own
            await tx.add_artifacts(build.id, report.artifacts)
        return await tx.save(step)


async def _earlier(tx: Transaction, build: Build, found: BatchFound) -> Build | None:
    """The build whose finished rows stand for this one: the newest before it that came so far as to have any."""
    before: Build | None = build
    for _ in range(_LONGEST_CHAIN):
        if before is None or before.retry_of is None or not before.carries:
            return None
        before = await tx.build_if_kept(before.retry_of)
        if before is not None and before.rows_total is not None:
            return before if carries_over(before, build, found) else None
    return None


def _overtaken(job: Job, attempt: Attempt, report: AttemptReport) -> bool:
    """Whether a fact only comes after the end that its own worker reported: two producers read side by side.

    It is no zombie's then: stages, log lines and rows are kept, once, and none but those that the attempt could have
    made.
    """
    if attempt.outcome not in _SAID_BY_THE_WORKER:
        return False
    if isinstance(report, StageStarted | StageFinished):
        return True
    if isinstance(report, LogStored):
        return report.key.startswith(output_prefix(attempt))
    if not isinstance(report, RowsDone) or job.part is None:
        return False
    span = job.part.span
    return all(span.first <= row.row < span.first + span.count for row in report.rows)


async def _note(tx: Transaction, build: Build, attempt: Attempt, report: AttemptReport) -> Saved | None:
    """Record a fact of an attempt that is live, or whose end overtook it."""
    match report:
        case Heartbeat():
            return Saved(build, (), ())
        case StageStarted() | StageFinished():
            noted = await tx.note_stage(report, attempt.ended_at)
            return await tx.save(Step(build, events=(_stage_event(report),))) if noted else None
        case LogStored():
            _check_key(attempt, report.key)
            longer = await tx.add_segment(build, report)
            if longer is None:
                return None
            lines = {"first": build.log_lines + 1, "last": longer.log_lines, "job": attempt.job_id}
            return await tx.save(Step(longer, events=(EventDraft("log_stored", {**lines, "attempt": attempt.number}),)))
        case RowsDone():
            counted = await tx.add_rows(build, report.rows)
            done = {"succeeded": counted.rows_ok, "failed": counted.rows_failed, "total": counted.rows_total}
            told = (EventDraft("rows_done", done),)
            return await tx.save(Step(counted, events=told)) if counted != build else None
        case _:
            return None


def _over(report: AttemptReport, reason: str) -> AttemptOver:
    return AttemptOver(job_id=report.job_id, attempt=report.attempt, reason=reason)


def _stage_event(report: StageStarted | StageFinished) -> EventDraft:
    data = {"job": report.job_id, "attempt": report.attempt, "stage": report.stage.wire}
    if isinstance(report, StageStarted):
        return EventDraft("stage_started", {**data, "agentTime": rfc3339(report.at)})
    more = {"status": report.status.wire, "warnings": report.warnings, "errors": report.errors}
    return EventDraft("stage_finished", {**data, **more, "reason": report.reason})


def _check_own(attempt: Attempt, report: JobFinished) -> None:
    for artifact in report.artifacts:
        _check_key(attempt, artifact.key)
    if report.found is not None:
        _check_key(attempt, report.found.rows_key)
    if report.tests_key:
        _check_key(attempt, report.tests_key)


def _check_key(attempt: Attempt, key: str) -> None:
    if not key.startswith(output_prefix(attempt)):
        raise InvalidRequest(f"Agent {attempt.agent} reports an object that is not its own: {key[:200]!r}.")
