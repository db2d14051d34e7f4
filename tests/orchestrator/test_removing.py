"""Ended builds, their outputs and their leftovers go when their time is over, on both databases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from buildyard.contracts.builds import (
    ArtifactRecord,
    BatchFound,
    JobSpec,
    Outcome,
    ReasonCode,
    RowChunk,
    RowResult,
    RowSpan,
)
from buildyard.contracts.messages import LogStored
from buildyard.errors import Gone, NotFound, ObjectsUnavailable
from orchestrator.domain.retention import Keep
from orchestrator.service import Service
from orchestrator.service import removing as service_removing
from orchestrator.store import removing, schema
from tests.orchestrator.conftest import Uploads, Yard
from tests.orchestrator.test_dead_letters import dead
from tests.orchestrator.test_once import on_sqlite, serving
from tests.orchestrator.test_service import (
    claim,
    claimed,
    ended,
    fact,
    finished,
    submit,
    waited,
)

LONG = timedelta(days=3650)
AT_ONCE = timedelta(0)
ALL_KEPT = Keep(LONG, LONG, builds=LONG, outputs=LONG, newest=AT_ONCE, leftovers=LONG, orphans=LONG)
GONE_AT_ONCE = replace(ALL_KEPT, builds=AT_ONCE)
OUTPUTS_GONE = replace(ALL_KEPT, outputs=AT_ONCE)
LEFTOVERS_GONE = replace(ALL_KEPT, leftovers=AT_ONCE)
_KEYS = [
    key for table in schema.metadata.sorted_tables for key in table.foreign_keys if key.column is schema.builds.c.id
]
BUILD_TABLES = ("builds", *(key.parent.table.name for key in _KEYS))


async def keys(yard: Yard, prefix: str = "builds/") -> list[str]:
    return [info.key async for info in yard.objects.list(prefix)]


async def counted(yard: Yard, *names: str) -> dict[str, int]:
    """How many rows the tables hold, those with any."""
    async with yard.store.reader.connect() as connection:
        counts = {
            name: (
                await connection.execute(select(func.count()).select_from(schema.metadata.tables[name]))
            ).scalar_one()
            for name in names or BUILD_TABLES
        }
    return {name: count for name, count in counts.items() if count}


def prefix_of(spec: JobSpec) -> str:
    return f"builds/{spec.build_id}/jobs/{spec.job_id}/{spec.attempt}/"


async def logged(yard: Yard, spec: JobSpec) -> str:
    """Store a segment of the log and report it; its key."""
    key = f"{prefix_of(spec)}log/1"
    await yard.objects.put(key, b"line\n")
    await yard.service.record(LogStored(**fact(spec, key=key, first=1, last=1, size_bytes=5, stages=("build",))))
    return key


async def made(yard: Yard, spec: JobSpec) -> ArtifactRecord:
    """Store an artifact; its record, which the report of the job's end brings."""
    key = f"{prefix_of(spec)}artifacts/a"
    await yard.objects.put(key, b"abc")
    return ArtifactRecord(
        name="a", path="a", key=key, size_bytes=3, content_type="text/plain", sha256="a" * 64, stage="publish"
    )


async def built(yard: Yard) -> JobSpec:
    """A build that succeeded, with a log and an artifact."""
    spec = await claimed(yard)
    await logged(yard, spec)
    await yard.service.record(finished(spec, artifacts=(await made(yard, spec),)))
    return spec


async def retire(yard: Yard, keep: Keep, service: Service | None = None) -> dict[str, int]:
    service = service or yard.service
    await service.mark_old(keep)
    return dict(await service.finish_removals())


async def test_an_ended_build_goes_with_its_rows_and_objects_and_whoever_asks_learns_that_it_was_there(
    yard: Yard,
) -> None:
    spec = await built(yard)
    [artifact] = (await yard.views.artifacts(spec.build_id)).artifacts
    artifact_id = artifact.download_url.split("/")[-2]

    assert await retire(yard, GONE_AT_ONCE) == {"builds": 1}

    assert await counted(yard) == {}
    assert await keys(yard) == []
    questions: list[Callable[[], Awaitable[object]]] = [
        lambda: yard.views.build(spec.build_id),
        lambda: yard.views.log_segments(spec.build_id),
        lambda: yard.views.artifacts(spec.build_id),
        lambda: yard.views.trace(spec.build_id),
        lambda: yard.views.artifact(artifact_id),
        lambda: yard.service.retry(spec.build_id, requester="me"),
        lambda: yard.service.cancel(spec.build_id, requester="me"),
    ]
    for question in questions:
        with pytest.raises(Gone, match="was removed"):
            await question()
    assert (await yard.views.builds(status=None, project=None, pool=None, cursor=None, limit=9)).builds == ()
    assert await retire(yard, GONE_AT_ONCE) == {}


@on_sqlite
async def test_every_address_of_a_removed_build_answers_410_and_of_one_that_never_was_404(yard: Yard) -> None:
    spec = await built(yard)
    [artifact] = (await yard.views.artifacts(spec.build_id)).artifacts
    never = "01938a2e-7c1b-7d8e-9f00-123456789abc"

    async with serving(yard) as api:

        async def told(method: str, path: str) -> tuple[int, str]:
            answer = await api.client.request(method, path)
            return answer.status_code, answer.json()["code"]

        outputs = ["artifacts", "artifacts.zip", "logs", "logs?follow=true"]
        rest = ["", "events", "rows", "trace", "annotations"]
        await retire(yard, OUTPUTS_GONE)
        for end in outputs:
            assert await told("GET", f"/api/v1/builds/{spec.build_id}/{end}") == (410, "gone"), end
        assert (await api.client.get(f"/api/v1/builds/{spec.build_id}")).json()["outputsRemoved"]
        assert await told("GET", artifact.download_url) == (410, "gone")

        await retire(yard, GONE_AT_ONCE)
        for end in (*outputs, *rest):
            assert await told("GET", f"/api/v1/builds/{spec.build_id}/{end}".rstrip("/")) == (410, "gone"), end
            assert await told("GET", f"/api/v1/builds/{never}/{end}".rstrip("/")) == (404, "not_found"), end
        for end in ("retry", "cancel"):
            assert await told("POST", f"/api/v1/builds/{spec.build_id}/{end}") == (410, "gone"), end
        assert await told("GET", artifact.download_url) == (410, "gone")
        assert await told("GET", f"/api/v1/dead/{spec.build_id}") == (410, "gone")


@on_sqlite
async def test_an_id_that_never_was_is_not_found_and_not_gone(yard: Yard) -> None:
    for question in (yard.views.build, yard.views.artifact):
        with pytest.raises(NotFound) as told:
            await question("01938a2e-7c1b-7d8e-9f00-123456789abc")
        assert not isinstance(told.value, Gone)


@on_sqlite
async def test_a_build_that_has_not_ended_keeps_all_it_has(yard: Yard) -> None:
    spec = await claimed(yard)
    await logged(yard, spec)
    await submit(yard)
    before = await counted(yard)

    keep = replace(GONE_AT_ONCE, outputs=AT_ONCE, leftovers=AT_ONCE)
    assert await retire(yard, keep) == {}

    assert await counted(yard) == before
    assert len(await keys(yard)) == 1
    await yard.service.record(finished(spec))
    assert (await yard.views.build(spec.build_id)).status == "Succeeded"


async def test_outputs_go_before_the_record_and_the_build_says_so(yard: Yard) -> None:
    spec = await built(yard)

    assert await retire(yard, OUTPUTS_GONE) == {"outputs": 1}

    assert await keys(yard) == []
    status = await yard.views.build(spec.build_id)
    assert (status.status, status.outputs_removed, status.artifacts_count) == ("Succeeded", True, 0)
    assert [event.type for event in await yard.views.events(spec.build_id, after=0, limit=99)][-1] == "outputs_removed"
    for question in (yard.views.log_segments, yard.views.artifacts, yard.views.stored_artifacts):
        with pytest.raises(Gone, match="Log and artifacts"):
            await question(spec.build_id)
    assert await retire(yard, OUTPUTS_GONE) == {}
    assert await retire(yard, GONE_AT_ONCE) == {"builds": 1}
    assert await counted(yard) == {}


@on_sqlite
async def test_what_a_lost_attempt_stored_goes_and_what_log_and_artifacts_lie_in_stays(yard: Yard) -> None:
    first = await claimed(yard)
    lost_log = await logged(yard, first)
    await made(yard, first)
    await yard.service.record(ended(first, Outcome.FAILED, ReasonCode.WORKER_ERROR, "Its disk broke."))
    await waited(yard)
    second = await claim(yard)
    assert second is not None
    artifact = await made(yard, second)
    await yard.service.record(finished(second, artifacts=(artifact,)))
    assert len(await keys(yard)) == 3

    assert await retire(yard, LEFTOVERS_GONE) == {"leftovers": 1}

    assert await keys(yard) == sorted([lost_log, artifact.key])
    assert len(await yard.views.log_segments(first.build_id)) == 1
    assert await retire(yard, LEFTOVERS_GONE) == {}


@on_sqlite
async def test_a_log_that_is_told_of_only_after_the_leftovers_went_is_not_recorded(yard: Yard) -> None:
    spec = await claimed(yard)
    await yard.service.record(finished(spec))
    await yard.service.mark_old(LEFTOVERS_GONE)

    key = await logged(yard, spec)

    assert await yard.views.log_segments(spec.build_id) == (), "else a row would lead to nothing"
    assert await keys(yard) == [key], "the build's own removal takes it along"
    assert await retire(yard, GONE_AT_ONCE) == {"builds": 1}
    assert await keys(yard) == []


@on_sqlite
async def test_a_worker_that_reports_of_a_removed_build_is_told_that_its_attempt_is_over(yard: Yard) -> None:
    spec = await built(yard)
    await yard.service.mark_old(GONE_AT_ONCE)
    for _ in range(2):  # while it is being removed, and afterwards
        yard.caught.controls.clear()
        assert not await yard.service.record(finished(spec))
        assert [type(order).__name__ for order in yard.caught.controls] == ["AttemptOver"]
        await yard.service.finish_removals()
    assert await counted(yard) == {}


async def test_a_dead_letter_stays_until_it_is_settled(yard: Yard) -> None:
    spec = await claimed(yard)
    key = await logged(yard, spec)
    for number in range(3):
        if number:
            await waited(yard)
            again = await claim(yard)
            assert again is not None
            spec = again
        await yard.service.record(ended(spec, Outcome.FAILED, ReasonCode.WORKER_ERROR, "Its disk broke."))
    assert await retire(yard, replace(GONE_AT_ONCE, outputs=AT_ONCE)) == {}
    assert await keys(yard) == [key]

    await yard.service.drop(spec.build_id, "Nobody needs it.", requester="me")

    assert await retire(yard, GONE_AT_ONCE) == {"builds": 1}
    with pytest.raises(Gone):
        await yard.views.dead_letter(spec.build_id)
    assert await counted(yard) == {}


async def test_a_batch_stays_while_a_retry_of_its_retry_is_open_and_may_take_over_its_rows(yard: Yard) -> None:
    spec = await claimed(yard)
    chunk = RowChunk(span=RowSpan(first=1, count=1), byte_start=0, byte_end=9)
    found = BatchFound(rows_key=f"{prefix_of(spec)}rows", rows=1, columns=("a",), handler="builtin", chunks=(chunk,))
    await yard.service.record(finished(spec, found=found))
    await yard.service.cancel(spec.build_id, requester="me")
    retried = (await yard.service.retry(spec.build_id, requester="me")).execution_id
    await yard.service.cancel(retried, requester="me")
    newest = (await yard.service.retry(retried, requester="me")).execution_id

    assert await retire(yard, GONE_AT_ONCE) == {"outputs": 2}, "the records stay, with the rows"
    assert (await yard.views.build(spec.build_id)).rows is not None
    assert await retire(yard, GONE_AT_ONCE) == {}

    await yard.service.cancel(newest, requester="me")
    assert await retire(yard, GONE_AT_ONCE) == {"builds": 3}
    assert await counted(yard) == {}


async def test_the_newest_success_of_a_project_outlives_the_others_and_all_its_failures(yard: Yard) -> None:
    old, newest = await built(yard), await built(yard)
    failed = await claimed(yard)
    await yard.service.record(ended(failed, Outcome.FAILED, ReasonCode.COMMAND_FAILED, "It does not compile."))
    keep = replace(GONE_AT_ONCE, outputs=AT_ONCE, newest=LONG)

    assert await retire(yard, keep) == {"builds": 2}

    assert (await yard.views.build(newest.build_id)).artifacts_count == 1
    for other in (old, failed):
        with pytest.raises(Gone):
            await yard.views.build(other.build_id)
    assert len(await keys(yard)) == 2
    assert await retire(yard, GONE_AT_ONCE) == {"builds": 1}


async def test_a_batch_larger_than_one_transaction_may_delete_goes_in_portions(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "PORTION", 7)
    spec = await claimed(yard)
    results = tuple(RowResult(row=row, ok=True, result={"n": row}) for row in range(1, 31))
    await yard.service.record(finished(spec, rows=results))
    other = await built(yard)
    assert (await counted(yard))["rows"] == 30

    assert await retire(yard, GONE_AT_ONCE) == {"builds": 2}

    assert await counted(yard) == {}
    with pytest.raises(Gone):
        await yard.views.build(other.build_id)


class Away(Uploads):
    """An object store that goes away once it has deleted so many objects."""

    def __init__(self, objects: Uploads, after: int) -> None:
        super().__init__()
        self._backend = objects._backend
        self._left = after

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            if self._left <= 0:
                raise ObjectsUnavailable("The object store is away.")
            self._left -= 1
            await super().delete([key])


@on_sqlite
@pytest.mark.parametrize("after", range(3))
async def test_a_removal_that_was_cut_short_is_shown_to_nobody_and_another_producer_ends_it(
    yard: Yard, after: int
) -> None:
    spec = await built(yard)
    assert isinstance(yard.objects, Uploads)
    core = yard.service
    cut = Service(yard.store, Away(yard.objects, after), yard.feed, core._farm, yard.clock, core._outlets)

    if after < 2:
        with pytest.raises(ObjectsUnavailable):
            await retire(yard, GONE_AT_ONCE, cut)
        with pytest.raises(Gone):
            await yard.views.build(spec.build_id)
        with pytest.raises(Gone):
            await yard.service.retry(spec.build_id, requester="me")
        assert (await yard.views.builds(status=None, project=None, pool=None, cursor=None, limit=9)).builds == ()
        assert await retire(yard, ALL_KEPT) == {"builds": 1}
    else:
        assert await retire(yard, GONE_AT_ONCE, cut) == {"builds": 1}
    assert await keys(yard) == []
    assert await counted(yard) == {}


async def test_what_must_stay_hides_nothing_that_comes_after_it(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_removing, "_PAGE", 2)
    kept = [(await dead(yard)) for _ in range(3)]
    for _ in range(5):
        await yard.service.cancel(await submit(yard), requester="me")

    assert await retire(yard, GONE_AT_ONCE) == {"builds": 5}
    assert await counted(yard, "builds") == {"builds": len(kept)}
