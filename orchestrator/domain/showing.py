"""Records as the API shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from buildyard.contracts.agents import AgentState, AgentView
from buildyard.contracts.api import (
    ArtifactView,
    AttemptView,
    BuildSummary,
    PoolIntake,
    RowCounts,
    StageView,
    TraceSpan,
)
from buildyard.contracts.builds import BuildState, JobKind, Outcome, StageName, StageRecord, StageStatus
from buildyard.contracts.changing import PoolEvent
from buildyard.contracts.dead import DeadLetterView
from orchestrator.domain.changing import PoolChange
from orchestrator.domain.records import Agent, Attempt, Build, DeadLetter, Job, StoredArtifact, StoredStage

_SLOT_NAME = re.compile(r".+-([1-9][0-9]{0,8})-([1-9][0-9]{0,8})")
_BATCH_STAGES = (StageName.FETCH, StageName.BUILD, StageName.PUBLISH)


def agent_state(agent: Agent, live: Attempt | None, now: datetime, silence: timedelta) -> AgentState:
    """Where an agent stands, from what was last heard of it."""
    if agent.left:
        return AgentState.LEFT
    if now - agent.seen_at > silence:
        return AgentState.LOST
    if agent.draining:
        return AgentState.DRAINING
    return AgentState.BUSY if live else AgentState.IDLE


def show_agent(agent: Agent, live: Attempt | None, now: datetime, silence: timedelta) -> AgentView:
    """An agent with the attempt it holds, if any."""
    return AgentView(
        name=agent.name,
        pool=agent.pool,
        state=agent_state(agent, live, now, silence).wire,
        hostname=agent.hostname,
        pid=agent.pid,
        version=agent.version,
        capabilities=agent.capabilities,
        health=agent.health,
        joined_at=agent.joined_at,
        seen_at=agent.seen_at,
        build_id=live.build_id if live else None,
        job_id=live.job_id if live else None,
        reason=agent.reason,
    )


def slot_of(name: str) -> tuple[int, int]:
    """Slot and generation of an agent named by them, `linux-3-12` -> (3, 12); (0, 0) for any other name."""
    match = _SLOT_NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def show_intake(change: PoolChange | None) -> PoolIntake:
    """How a pool's intake stands after its newest change."""
    if change is None or not change.paused:
        return PoolIntake()
    return PoolIntake(paused=True, reason=change.reason, by=change.requester, since=change.at)


def show_pool_change(change: PoolChange) -> PoolEvent:
    """One change of a pool's intake."""
    return PoolEvent(
        seq=change.seq,
        pool=change.pool,
        type="pool_paused" if change.paused else "pool_resumed",
        at=change.at,
        reason=change.reason,
        requester=change.requester,
    )


def row_counts(build: Build) -> RowCounts | None:
    """How far a batch is; None for what is no batch."""
    if build.rows_total is None:
        return None
    return RowCounts(total=build.rows_total, succeeded=build.rows_ok, failed=build.rows_failed)


def duration_of(build: Build, now: datetime) -> float | None:
    """Seconds a build ran or runs; None before it started."""
    if build.started_at is None:
        return None
    return ((build.ended_at or now) - build.started_at).total_seconds()


def show_summary(build: Build, now: datetime) -> BuildSummary:
    """A build as lists show it."""
    return BuildSummary(
        execution_id=build.id,
        project_name=build.project,
        target_pool=build.pool,
        priority=build.priority.wire,
        status=build.state.wire,
        created_at=build.created_at,
        start_time=build.started_at,
        duration=duration_of(build, now),
        toolchain=build.toolchain,
        rows=row_counts(build),
        reason=build.reason,
        reason_code=build.reason_code.value if build.reason_code else None,
    )


def show_dead(build: Build, letter: DeadLetter, attempts: int) -> DeadLetterView:
    """A dead letter with its build and how many attempts that had."""
    return DeadLetterView(
        execution_id=build.id,
        project_name=build.project,
        target_pool=build.pool,
        status=build.state.wire,
        reason=build.reason,
        reason_code=build.reason_code.value if build.reason_code else None,
        attempts=attempts,
        rows=row_counts(build),
        created_at=build.created_at,
        dead_at=letter.dead_at,
        resolution=letter.resolution,
        resolved_at=letter.resolved_at,
        resolved_by=letter.resolved_by,
        note=letter.note,
        requeued_as=letter.requeued_as,
    )


def show_attempt(attempt: Attempt) -> AttemptView:
    """One attempt."""
    return AttemptView(
        job_id=attempt.job_id,
        number=attempt.number,
        agent=attempt.agent,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        outcome=attempt.outcome.wire if attempt.outcome else None,
        reason_code=attempt.reason_code.value if attempt.reason_code else None,
        reason=attempt.reason,
    )


def show_artifact(stored: StoredArtifact) -> ArtifactView:
    """One artifact."""
    record = stored.record
    return ArtifactView(
        id=stored.id,
        name=record.name,
        path=record.path,
        size_bytes=record.size_bytes,
        content_type=record.content_type,
        sha256_hash=record.sha256,
        created_at=stored.created_at,
        download_url=f"/api/v1/artifacts/{stored.id}/download",
    )


def stages_of(
    build: Build,
    jobs: Sequence[Job],
    attempts: Sequence[Attempt],
    stored: Sequence[StoredStage],
    rows_between: tuple[datetime | None, datetime | None],
) -> tuple[StageRecord, ...]:
    """All six stages of a build: of each job's newest attempt; of a batch, Build is the work on its rows."""
    newest = {(job.id, job.attempt): job.kind for job in jobs}
    known: dict[StageName, StageRecord] = {}
    of_token = {(attempt.job_id, attempt.number): attempt for attempt in attempts}
    for one in stored:
        kind = newest.get((one.job_id, one.attempt))
        if kind is JobKind.BUILD or (kind is JobKind.COLLECT and one.record.name is StageName.PUBLISH):
            known[one.record.name] = _closed(one.record, of_token.get((one.job_id, one.attempt)))
    if build.rows_total is not None:
        known[StageName.BUILD] = _rows_stage(build, rows_between)
        for name in set(StageName) - set(_BATCH_STAGES):
            known[name] = StageRecord(name=name, status=StageStatus.SKIPPED, reason="A batch has no such stage.")
        if known.get(StageName.PUBLISH, _pending(StageName.PUBLISH)).status is StageStatus.SKIPPED:
            known.pop(StageName.PUBLISH)
    return tuple(_settled(build, known.get(name, _pending(name))) for name in StageName)


def current_stage(build: Build, stages: Sequence[StageRecord]) -> StageName | None:
    """The stage that runs now."""
    if build.state.terminal:
        return None
    return next((stage.name for stage in stages if stage.status is StageStatus.RUNNING), None)


def show_stage(stage: StageRecord, now: datetime) -> StageView:
    """A stage with its duration so far."""
    seconds = None
    if stage.started_at is not None:
        seconds = ((stage.finished_at or now) - stage.started_at).total_seconds()
    return StageView.of(stage, seconds)


def trace_of(build: Build, attempts: Sequence[Attempt], stored: Sequence[StoredStage]) -> tuple[TraceSpan, ...]:
    """A build's way as spans: waiting, each attempt, each stage; oldest first."""
    spans = [
        TraceSpan(name="build", start=build.created_at, end=build.ended_at, attributes={"status": build.state.wire})
    ]
    if build.queued_at:
        end = build.started_at or build.ended_at
        spans.append(TraceSpan(name="queue", start=build.queued_at, end=end, attributes={"pool": build.pool}))
    ends = {(attempt.job_id, attempt.number): attempt.ended_at for attempt in attempts}
    for attempt in attempts:
        attributes = {"job": attempt.job_id, "attempt": str(attempt.number), "agent": attempt.agent}
        attributes["outcome"] = attempt.outcome.wire if attempt.outcome else ""
        spans.append(TraceSpan(name="attempt", start=attempt.started_at, end=attempt.ended_at, attributes=attributes))
    for one in stored:
        if one.record.started_at is not None:
            attributes = {"job": one.job_id, "attempt": str(one.attempt), "status": one.record.status.wire}
            name = f"stage {one.record.name.wire}"
            start, end = one.record.started_at, one.record.finished_at or ends.get((one.job_id, one.attempt))
            spans.append(TraceSpan(name=name, start=start, end=end, attributes=attributes))
    return tuple(sorted(spans, key=lambda span: span.start))


def _pending(name: StageName) -> StageRecord:
    return StageRecord(name=name, status=StageStatus.PENDING)


def _rows_stage(build: Build, between: tuple[datetime | None, datetime | None]) -> StageRecord:
    began, ended = between
    done = build.rows_ok + build.rows_failed
    if began is None and done < (build.rows_total or 0):
        return _pending(StageName.BUILD)
    if began is None:
        reason = "All rows are those of an earlier build."
        return StageRecord(name=StageName.BUILD, status=StageStatus.SUCCEEDED, reason=reason)
    if done < (build.rows_total or 0):
        return StageRecord(name=StageName.BUILD, status=StageStatus.RUNNING, started_at=began)
    status = StageStatus.FAILED if build.rows_failed else StageStatus.SUCCEEDED
    reason = f"{build.rows_failed} of {build.rows_total} rows failed." if build.rows_failed else ""
    return StageRecord(
        name=StageName.BUILD,
        status=status,
        started_at=began,
        finished_at=ended,
        errors=build.rows_failed,
        reason=reason,
    )


def _closed(stage: StageRecord, attempt: Attempt | None) -> StageRecord:
    """A stage of an attempt that succeeded did so too, by that end at the latest, though nobody has said so yet."""
    if stage.status is not StageStatus.RUNNING or attempt is None or attempt.outcome is not Outcome.SUCCEEDED:
        return stage
    return stage.model_copy(update={"status": StageStatus.SUCCEEDED, "finished_at": attempt.ended_at})


def _settled(build: Build, stage: StageRecord) -> StageRecord:
    """A stage of a build that is over cannot be pending or running any more."""
    if not build.state.terminal or stage.status not in {StageStatus.PENDING, StageStatus.RUNNING}:
        return stage
    if stage.status is StageStatus.RUNNING:
        status = StageStatus.CANCELLED if build.state is BuildState.CANCELLED else StageStatus.FAILED
        return stage.model_copy(update={"status": status, "finished_at": build.ended_at, "reason": build.reason})
    status = StageStatus.CANCELLED if build.state is BuildState.CANCELLED else StageStatus.SKIPPED
    return stage.model_copy(update={"status": status, "reason": "The build ended before this stage."})
