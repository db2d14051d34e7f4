"""An attempt that is over is refused at every effect, and whoever still works on it is told so."""

from __future__ import annotations

from buildyard.contracts.builds import ArtifactRecord, JobSpec, RowResult, StageName, StageStatus
from buildyard.contracts.messages import (
    AttemptOver,
    AttemptReport,
    Heartbeat,
    LogStored,
    RowsDone,
    StageFinished,
    StageStarted,
)
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import claimed, fact, finished


def effects(spec: JobSpec) -> list[AttemptReport]:
    """Every effect a worker may have."""
    row = RowResult(row=1, ok=True)
    artifact = ArtifactRecord(
        name="a", path="a", size_bytes=1, content_type="t", sha256="0" * 64, key=f"{spec.output_prefix}artifacts/a"
    )
    log = {"key": f"{spec.output_prefix}log/1.jsonl", "first": 1, "last": 1, "size_bytes": 1}
    return [
        Heartbeat(**fact(spec)),
        StageStarted(**fact(spec, stage=StageName.BUILD)),
        StageFinished(**fact(spec, stage=StageName.BUILD, status=StageStatus.SUCCEEDED)),
        LogStored(**fact(spec, stages=(StageName.BUILD,), **log)),
        RowsDone(**fact(spec, rows=(row,))),
        finished(spec).model_copy(update={"artifacts": (artifact,), "rows": (row,)}),
    ]


async def test_an_attempt_that_is_over_is_refused_at_every_effect_and_told_so(yard: Yard) -> None:
    spec = await claimed(yard)
    async with yard.store.begin() as tx:
        attempt = await tx.attempt(spec.job_id, spec.attempt)
        assert attempt is not None
        await tx.renew(attempt, attempt.started_at)
        now = await tx.now()
    assert await yard.service.expire(attempt, now)
    before = await yard.views.build(spec.build_id)

    assert [await yard.service.record(effect) for effect in effects(spec)] == [False] * 6

    after = await yard.views.build(spec.build_id)
    assert (after.status, after.stages, after.rows, after.attempts) == (
        before.status,
        before.stages,
        before.rows,
        before.attempts,
    )
    assert (await yard.views.artifacts(spec.build_id)).artifacts == ()
    [reason] = {one.reason for one in yard.caught.controls if isinstance(one, AttemptOver)}
    assert "was not heard of" in reason
    whose = {"job_id": spec.job_id, "attempt": spec.attempt, "reason": reason}
    assert yard.caught.controls == [AttemptOver.model_validate(whose)] * 6


async def test_a_report_that_comes_twice_of_a_living_attempt_tells_nobody_to_stop(yard: Yard) -> None:
    spec = await claimed(yard)
    started = StageStarted(**fact(spec, stage=StageName.FETCH))

    assert [await yard.service.record(started) for _ in range(2)] == [True, False]

    assert yard.caught.controls == []


async def test_who_reports_of_a_build_that_nobody_knows_is_told_too(yard: Yard) -> None:
    spec = (await claimed(yard)).model_copy(update={"build_id": yard.clock.new_id()})

    assert await yard.service.record(Heartbeat(**fact(spec))) is False

    assert [type(told) for told in yard.caught.controls] == [AttemptOver]
