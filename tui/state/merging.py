"""One row and one piece of news -> the next row. The rules that make the order of events not matter.

A build only goes up (`BUILD_RANK`), a job's attempts only grow and each goes through its phases once, a stage of an
attempt ends once. So news are taken by how far they go, never by when they arrive; of two answers that are equally
far the one that was asked for later counts.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from buildyard.contracts.api import AttemptView, BuildStatus, BuildSummary, RowCounts, StageView
from buildyard.contracts.events import BuildEvent
from tui.state.rows import BuildRow, JobRow, Stage, rank_of, summary_fields

_STATUS_OF_EVENT = {
    "build_received": "Received",
    "build_queued": "Queued",
    "build_started": "Running",
    "build_cancelling": "Cancelling",
}
_STAGE_ORDER = ("Fetch", "Restore", "Build", "Test", "Package", "Publish")
_STAGE_RANK = {"Pending": 0, "Running": 1}
_STAGE_ENDED = 2


def with_summary(row: BuildRow | None, summary: BuildSummary, at: datetime) -> BuildRow:
    """The build after a list named it."""
    if row is None:
        row = BuildRow(summary.execution_id, summary.status)
    if _is_old(row, summary.status, at):
        return row
    told = summary_fields(summary)
    told["ended_at"] = row.ended_at or told["ended_at"]
    return replace(row, seen_at=at, **told)  # type: ignore[arg-type]


def with_detail(row: BuildRow | None, build: BuildStatus, at: datetime) -> BuildRow:
    """The build after it was read in full."""
    if row is None:
        row = BuildRow(build.execution_id, build.status)
    if _is_old(row, build.status, at):
        return row
    attempt = max((one.number for one in build.attempts), default=0)
    return replace(
        row,
        status=build.status,
        project=build.project_name,
        pool=build.target_pool.lower(),
        priority=build.priority,
        created_at=build.created_at,
        started_at=build.start_time,
        ended_at=build.end_time,
        duration=build.duration,
        toolchain=build.toolchain,
        rows=build.rows,
        reason=build.reason,
        reason_code=build.reason_code or "",
        agent=build.agent.name if build.agent else row.agent,
        attempt=max(attempt, row.attempt),
        stages=tuple(_stage(stage) for stage in build.stages) if attempt >= row.attempt else row.stages,
        ref=build.source.ref or build.source.filename or "",
        queue_position=build.queue_position,
        retry_of=build.retry_of or "",
        seen_at=at,
    )


def with_event(row: BuildRow | None, event: BuildEvent) -> BuildRow:
    """The build after one of its events; the same event again changes nothing."""
    data = event.data
    if row is None:
        row = BuildRow(event.build_id, "Received")
    match event.type:
        case "build_received" | "build_queued" | "build_started" | "build_cancelling":
            return _moved(row, event)
        case "build_ended":
            return _ended(row, event)
        case "job_claimed":
            return _claimed(row, _number(data.get("attempt")), _text(data, "agent"))
        case "stage_started" | "stage_finished":
            return _with_stage(row, event)
        case "rows_done":
            return _with_rows(row, data)
        case _:
            return row


def _is_old(row: BuildRow, status: str, at: datetime) -> bool:
    rank, known = rank_of(status), rank_of(row.status)
    return rank < known or (rank == known and row.seen_at is not None and at < row.seen_at)


def _moved(row: BuildRow, event: BuildEvent) -> BuildRow:
    status, data = _STATUS_OF_EVENT[event.type], event.data
    if event.type == "build_received":
        row = row if row.created_at else replace(row, created_at=event.at)
    if event.type == "build_queued":
        row = replace(row, pool=row.pool or _text(data, "pool"), priority=row.priority or _text(data, "priority"))
    if event.type == "build_started":
        row = replace(row, started_at=row.started_at or event.at, agent=row.agent or _text(data, "agent"))
    return replace(row, status=status) if rank_of(status) > rank_of(row.status) else row


def _claimed(row: BuildRow, attempt: int, agent: str) -> BuildRow:
    if attempt < row.attempt:
        return row
    return replace(row, attempt=attempt, agent=agent or row.agent, stages=row.stages if attempt == row.attempt else ())


def _ended(row: BuildRow, event: BuildEvent) -> BuildRow:
    status = _text(event.data, "status")
    if row.ended or rank_of(status) != rank_of("Succeeded"):
        return row if row.ended_at else replace(row, ended_at=event.at)
    return replace(
        row,
        status=status,
        reason=_text(event.data, "reason"),
        reason_code=_text(event.data, "reasonCode"),
        ended_at=event.at,
        duration=(event.at - row.started_at).total_seconds() if row.started_at else row.duration,
    )


def _with_rows(row: BuildRow, data: dict[str, Any]) -> BuildRow:
    known = row.rows
    succeeded, failed = _number(data.get("succeeded")), _number(data.get("failed"))
    if known is not None and succeeded + failed <= known.succeeded + known.failed:
        return row
    total = max(_number(data.get("total")), known.total if known else 0)
    return replace(row, rows=RowCounts(total=total, succeeded=succeeded, failed=failed))


# ---------------------------------------------------------------- stages


def _stage(view: StageView) -> Stage:
    return Stage(
        view.name,
        view.status,
        view.start_time,
        view.duration,
        view.warnings_count,
        view.errors_count,
        view.reason,
    )


def _with_stage(row: BuildRow, event: BuildEvent) -> BuildRow:
    data = event.data
    name, attempt = _text(data, "stage"), _number(data.get("attempt"))
    if not name or attempt < row.attempt:
        return row
    stages = {} if attempt > row.attempt else {stage.name: stage for stage in row.stages}
    before = stages.get(name, Stage(name, "Pending"))
    if event.type == "stage_started":
        after = replace(before, status="Running", started_at=event.at)
    else:
        took = (event.at - before.started_at).total_seconds() if before.started_at else None
        after = Stage(
            name,
            _text(data, "status"),
            before.started_at,
            took,
            _number(data.get("warnings")),
            _number(data.get("errors")),
            _text(data, "reason"),
        )
    if _stage_rank(after) <= _stage_rank(before):
        return replace(row, attempt=attempt) if attempt > row.attempt else row
    stages[name] = after
    ordered = tuple(sorted(stages.values(), key=lambda stage: _place(stage.name)))
    return replace(row, attempt=attempt, stages=ordered)


def _stage_rank(stage: Stage) -> int:
    return _STAGE_RANK.get(stage.status, _STAGE_ENDED)


def _place(name: str) -> tuple[int, str]:
    return (_STAGE_ORDER.index(name), "") if name in _STAGE_ORDER else (len(_STAGE_ORDER), name)


# ---------------------------------------------------------------- jobs


def job_of_event(row: JobRow | None, event: BuildEvent) -> JobRow | None:
    """The job that an event is about, after it; None when it is about none."""
    data = event.data
    job_id = _text(data, "job")
    if not job_id:
        return row
    attempt = _number(data.get("attempt"))
    match event.type:
        case "job_claimed":
            news = JobRow(job_id, event.build_id, "Running", attempt, _text(data, "agent"), event.at, phase=1)
        case "stage_started" | "stage_finished":
            news = JobRow(job_id, event.build_id, "Running", attempt, phase=1)
        case "attempt_ended" | "job_ended":
            news = _job_ended(job_id, event, attempt)
        case _:
            news = JobRow(job_id, event.build_id, "Ready", attempt)
    return _further(row, news)


def job_of_attempt(row: JobRow | None, build_id: str, view: AttemptView) -> JobRow:
    """The job after one of its attempts was read."""
    ended = view.outcome is not None
    news = JobRow(
        view.job_id,
        build_id,
        view.outcome or "Running",
        view.number,
        view.agent,
        view.started_at,
        view.ended_at,
        view.reason,
        view.reason_code or "",
        phase=2 if ended else 1,
    )
    return _further(row, news)


def _job_ended(job_id: str, event: BuildEvent, attempt: int) -> JobRow:
    return JobRow(
        job_id,
        event.build_id,
        _text(event.data, "outcome"),
        attempt,
        ended_at=event.at,
        reason=_text(event.data, "reason"),
        reason_code=_text(event.data, "reasonCode"),
        phase=3 if event.type == "job_ended" else 2,
    )


def _further(row: JobRow | None, news: JobRow) -> JobRow:
    """The row that is further on, with what the other knows besides when both are of one attempt."""
    if row is None:
        return news
    if (row.attempt, row.phase) >= (news.attempt, news.phase):
        row, news = news, row
    if row.attempt != news.attempt:
        return news
    return replace(
        news,
        agent=news.agent or row.agent,
        started_at=news.started_at or row.started_at,
        ended_at=news.ended_at or row.ended_at,
        reason=news.reason or row.reason,
        reason_code=news.reason_code or row.reason_code,
    )


# ---------------------------------------------------------------- what events carry


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
