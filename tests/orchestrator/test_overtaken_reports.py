"""Reports that come in another order than they were sent: what an attempt did before its end is not lost by it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from buildyard.contracts.builds import JobKind, JobSpec, Outcome, RowResult, StageName, StageStatus
from buildyard.contracts.messages import LogStored, RowsDone, StageFinished, StageStarted
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import claim, claimed, fact, finished
from tests.orchestrator.world import a_batch


def segment(spec: JobSpec, key: str = "") -> LogStored:
    stored = {"key": key or f"{spec.output_prefix}log/1.jsonl", "first": 1, "last": 7, "size_bytes": 1}
    return LogStored(**fact(spec, stages=(StageName.BUILD,), **stored))


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
async def test_a_log_segment_behind_its_attempts_end_is_kept_once(yard: Yard, outcome: Outcome) -> None:
    spec = await claimed(yard)
    await yard.service.record(finished(spec, outcome))

    assert [await yard.service.record(segment(spec)) for _ in range(2)] == [True, False]

    [kept] = await yard.views.log_segments(spec.build_id)
    assert (kept.build_first, kept.build_last) == (1, 7)


async def test_a_foreign_log_segment_is_refused_behind_the_end_as_before_it(yard: Yard) -> None:
    spec = await claimed(yard)
    await yard.service.record(finished(spec))

    assert await yard.service.record(segment(spec, "forged")) is False


async def test_rows_behind_the_end_of_their_job_are_kept_and_others_are_not(yard: Yard) -> None:
    plan = await claimed(yard)
    found = a_batch(2).model_copy(update={"rows_key": f"{plan.output_prefix}rows.jsonl"})
    await yard.service.record(finished(plan, found=found))
    rows = await claim(yard)
    assert rows is not None
    assert rows.kind is JobKind.ROWS
    assert rows.rows is not None
    own = rows.rows.span.first
    await yard.service.record(finished(rows))

    told = [RowsDone(**fact(rows, rows=(RowResult(row=row, ok=True),))) for row in (own, own, 3 - own, 99)]
    assert [await yard.service.record(report) for report in told] == [True, False, False, False]


def built(spec: JobSpec, status: StageStatus = StageStatus.SUCCEEDED) -> StageFinished:
    return StageFinished(**fact(spec, stage=StageName.BUILD, status=status, warnings=2, errors=1, reason="Told late."))


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
async def test_a_stage_told_of_behind_its_attempts_end_is_kept_once_and_changes_no_end(
    yard: Yard, outcome: Outcome
) -> None:
    spec = await claimed(yard)
    await yard.service.record(finished(spec, outcome))
    before = await yard.views.build(spec.build_id)
    yard.clock.ahead += timedelta(seconds=5)

    late: list[StageStarted | StageFinished] = [
        StageStarted(**fact(spec, stage=StageName.BUILD)),
        built(spec),
        built(spec, StageStatus.FAILED),
    ]
    assert [await yard.service.record(report) for report in late] == [True, True, False]

    after = await yard.views.build(spec.build_id)
    [stage] = [stage for stage in after.stages if stage.name == "Build"]
    assert (stage.status, stage.warnings_count, stage.errors_count, stage.reason) == ("Succeeded", 2, 1, "Told late.")
    assert (stage.start_time, stage.duration) == (before.end_time, 0.0)
    assert (after.status, after.end_time, after.reason) == (before.status, before.end_time, before.reason)
    assert after.attempts == before.attempts


@pytest.mark.parametrize(("outcome", "shown"), [(Outcome.SUCCEEDED, "Succeeded"), (Outcome.FAILED, "Failed")])
async def test_a_stage_whose_end_is_never_told_closes_with_its_attempt(
    yard: Yard, outcome: Outcome, shown: str
) -> None:
    spec = await claimed(yard)
    await yard.service.record(StageStarted(**fact(spec, stage=StageName.BUILD)))
    await yard.service.record(finished(spec, outcome))

    status = await yard.views.build(spec.build_id)

    [stage] = [stage for stage in status.stages if stage.name == "Build"]
    assert stage.status == shown
    trace = await yard.views.trace(spec.build_id)
    assert {span.end for span in trace.spans if span.name == "stage Build"} == {status.end_time}


async def test_a_stage_of_an_attempt_that_was_lost_is_refused(yard: Yard) -> None:
    spec = await claimed(yard)
    async with yard.store.begin() as tx:
        attempt = await tx.attempt(spec.job_id, spec.attempt)
    assert attempt is not None
    assert await yard.service.expire(attempt, attempt.lease_until)

    assert await yard.service.record(built(spec)) is False
