"""Planning: which jobs a build needs, from what its first job found."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime

from buildyard.contracts.builds import BatchFound, JobKind, JobState, RowSpan, RowsPart, Strategy
from buildyard.errors import InvalidRequest
from orchestrator.domain.records import Build, Job

BUILT_STRATEGIES = frozenset({Strategy.CLEAN})


def strategy_used(asked: Strategy, *, asked_for: bool) -> tuple[Strategy, tuple[str, ...]]:
    """The strategy that runs, and a warning where it is not the one that was asked for by name."""
    if asked in BUILT_STRATEGIES:
        return asked, ()
    if not asked_for:
        return Strategy.CLEAN, ()
    return Strategy.CLEAN, (f"The strategy {asked.wire} is not available yet: the build runs as Clean.",)


def first_job(build: Build, job_id: str) -> Job:
    """The job every build begins with: fetch the source and find out what it is."""
    return Job(
        id=job_id,
        build_id=build.id,
        kind=JobKind.BUILD,
        pool=build.pool,
        priority=build.priority,
        state=JobState.WAITING,
        needs=build.properties.needs.text() if build.properties.needs else "",
    )


def plan_batch(
    build: Build,
    found: BatchFound,
    new_ids: tuple[str, ...],
    now: datetime,
    done_rows: Sequence[int] = (),
    needs: str = "",
) -> tuple[Job, ...]:
    """One ready job for each chunk of rows, and one that waits to collect their results; that one is last.

    `needs` are those of the first job, which the rows' jobs share.

    A chunk whose rows are all among `done_rows` (in order) needs no job; with no chunk left, collecting is ready.

    Raises:
        InvalidRequest: the report's chunks do not cover rows 1..n exactly once.
    """
    _check_chunks(found)
    jobs = [
        Job(
            id=job_id,
            build_id=build.id,
            kind=JobKind.ROWS,
            pool=build.pool,
            priority=build.priority,
            ready_at=now,
            part=RowsPart(
                span=chunk.span,
                key=found.rows_key,
                byte_start=chunk.byte_start,
                byte_end=chunk.byte_end,
                handler=found.handler,
                sharers=len(found.chunks),
            ),
            needs=needs,
        )
        for job_id, chunk in zip(new_ids, found.chunks, strict=False)
        if _done_in(chunk.span, done_rows) < chunk.span.count
    ]
    collect = Job(
        id=new_ids[len(found.chunks)],
        build_id=build.id,
        kind=JobKind.COLLECT,
        pool=build.pool,
        priority=build.priority,
        state=JobState.WAITING if jobs else JobState.READY,
        ready_at=None if jobs else now,
    )
    return (*jobs, collect)


def _check_chunks(found: BatchFound) -> None:
    expected = 1
    for chunk in found.chunks:
        if chunk.span.first != expected:
            raise InvalidRequest(f"The batch's chunks leave row {expected} out or count it twice.")
        expected += chunk.span.count
    if expected != found.rows + 1:
        raise InvalidRequest(f"The batch's chunks end at row {expected - 1} of {found.rows}.")


def _done_in(span: RowSpan, done_rows: Sequence[int]) -> int:
    return bisect_left(done_rows, span.first + span.count) - bisect_left(done_rows, span.first)
