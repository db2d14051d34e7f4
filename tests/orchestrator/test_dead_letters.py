"""Dead letters and retries on a real database, SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from buildyard.contracts.builds import BatchFound, JobKind, JobSpec, Outcome, ReasonCode, RowResult
from buildyard.errors import Conflict, NotFound
from orchestrator.store.queries import DeadFilter
from tests.orchestrator.conftest import LIMITS, Yard
from tests.orchestrator.test_service import claim, claimed, ended, finished, join, submit, waited
from tests.orchestrator.world import a_batch


async def die(yard: Yard, spec: JobSpec, code: ReasonCode = ReasonCode.WORKER_ERROR) -> None:
    """Every attempt of a claimed job ends by a temporary cause."""
    for number in range(1, LIMITS.max_attempts + 1):
        await yard.service.record(ended(spec, Outcome.FAILED, code, f"Time {number}."))
        await waited(yard)
        if number < LIMITS.max_attempts:
            again = await claim(yard)
            assert again is not None
            spec = again


async def dead(yard: Yard, code: ReasonCode = ReasonCode.WORKER_ERROR) -> str:
    spec = await claimed(yard)
    await die(yard, spec, code)
    return spec.build_id


async def listed(yard: Yard, **which: object) -> list[str]:
    page = await yard.views.dead_letters(DeadFilter(**which))  # type: ignore[arg-type] # passed through as they are
    return [letter.execution_id for letter in page.dead]


async def test_a_build_whose_attempts_are_used_up_is_listed_and_shown_with_all_of_them(yard: Yard) -> None:
    build_id = await dead(yard)

    [letter] = (await yard.views.dead_letters(DeadFilter())).dead
    assert (letter.execution_id, letter.attempts, letter.reason_code) == (build_id, 3, "worker_error")
    assert letter.resolution is None
    detail = await yard.views.dead_letter(build_id)
    assert [attempt.reason for attempt in detail.build.attempts] == ["Time 1.", "Time 2.", "Time 3."]
    assert [event.type for event in detail.events][-2:] == ["build_dead", "build_ended"]


async def test_what_failed_by_itself_is_no_dead_letter(yard: Yard) -> None:
    spec = await claimed(yard)
    await yard.service.record(ended(spec, Outcome.FAILED, ReasonCode.COMMAND_FAILED, "It does not compile."))

    assert await listed(yard) == []
    with pytest.raises(NotFound, match="no dead letter"):
        await yard.views.dead_letter(spec.build_id)
    with pytest.raises(Conflict, match="no dead letter"):
        await yard.service.requeue(spec.build_id, requester="me")


async def test_a_requeued_letter_is_a_new_build_of_the_same_source_and_is_settled(yard: Yard) -> None:
    build_id = await dead(yard)

    accepted = await yard.service.requeue(build_id, requester="me")

    assert await listed(yard) == []
    assert await listed(yard, settled_too=True) == [build_id]
    detail = await yard.views.dead_letter(build_id)
    assert (detail.letter.resolution, detail.letter.requeued_as) == ("requeued", accepted.execution_id)
    assert (detail.events[-1].type, detail.events[-1].data) == (
        "build_requeued",
        {"as": accepted.execution_id, "by": "me"},
    )
    new = await yard.views.build(accepted.execution_id)
    assert (new.status, new.retry_of) == ("Queued", build_id)
    first = (await yard.views.events(accepted.execution_id, after=0, limit=1))[0]
    assert first.data == {"requester": "me", "retryOf": build_id}
    assert new.source == detail.build.source
    spec = await claim(yard)
    assert spec is not None
    assert spec.build_id == accepted.execution_id
    with pytest.raises(Conflict, match="requeued as build"):
        await yard.service.requeue(build_id, requester="me")


async def test_of_many_requeues_at_once_one_wins(yard: Yard) -> None:
    build_id = await dead(yard)

    answers = await asyncio.gather(
        *(yard.service.requeue(build_id, requester="me") for _ in range(5)), return_exceptions=True
    )

    assert sum(isinstance(answer, Conflict) for answer in answers) == 4


async def test_a_dropped_letter_keeps_its_reason_and_is_settled(yard: Yard) -> None:
    build_id = await dead(yard)

    await yard.service.drop(build_id, "The project is gone.", requester="me")

    detail = await yard.views.dead_letter(build_id)
    assert (detail.letter.resolution, detail.letter.note) == ("dropped", "The project is gone.")
    assert detail.events[-1].type == "build_dropped"
    with pytest.raises(Conflict, match="dropped by me"):
        await yard.service.drop(build_id, "Again.", requester="me")
    with pytest.raises(NotFound):
        await yard.service.drop("01938a2e-7c1b-7d8e-9f00-123456789abc", "x", requester="me")


async def test_letters_are_filtered_and_paged(yard: Yard) -> None:
    one, two = await dead(yard), await dead(yard, ReasonCode.DISK_FULL)
    three = await dead(yard)
    died = (await yard.views.dead_letter(two)).letter.dead_at

    assert await listed(yard) == [three, two, one]
    assert await listed(yard, code=ReasonCode.DISK_FULL) == [two]
    assert await listed(yard, since=died) == [three, two]
    assert await listed(yard, since=died + timedelta(days=1)) == []
    assert await listed(yard, project="demo", pool="linux", before=two) == [one]
    assert await listed(yard, project="other") == await listed(yard, pool="mac") == []
    page = await yard.views.dead_letters(DeadFilter(limit=2))
    assert (len(page.dead), page.next_cursor) == (2, two)


async def test_letters_are_requeued_by_filter_a_page_at_a_time(yard: Yard) -> None:
    builds = [await dead(yard) for _ in range(3)]

    first = await yard.service.requeue_matching(DeadFilter(limit=2), requester="me")
    rest = await yard.service.requeue_matching(DeadFilter(limit=2, before=first.next_cursor), requester="me")

    assert [one.retry_of for one in first.requeued + rest.requeued] == builds[::-1]
    assert not first.refused
    assert rest.next_cursor is None
    assert await listed(yard) == []


async def test_a_build_that_ended_is_built_again_and_one_that_goes_on_is_not(yard: Yard) -> None:
    spec = await claimed(yard)
    with pytest.raises(Conflict, match="has not ended: it is running"):
        await yard.service.retry(spec.build_id, requester="me")
    await yard.service.record(finished(spec))

    accepted = await yard.service.retry(spec.build_id, requester="me")

    assert (await yard.views.build(accepted.execution_id)).retry_of == spec.build_id
    assert [event.type for event in await yard.views.events(spec.build_id, after=0, limit=99)][-1] == "build_requeued"


async def test_a_retry_of_a_dead_letter_settles_it(yard: Yard) -> None:
    build_id = await dead(yard)

    accepted = await yard.service.retry(build_id, requester="me")

    assert (await yard.views.dead_letter(build_id)).letter.requeued_as == accepted.execution_id


# ---------------------------------------------------------------- batches


async def planned(yard: Yard, rows: int) -> JobSpec:
    spec = await claim(yard)
    assert spec is not None
    await yard.service.record(finished(spec, found=_found(spec, rows)))
    return spec


def _found(spec: JobSpec, rows: int) -> BatchFound:
    return a_batch(rows).model_copy(update={"rows_key": f"{spec.output_prefix}rows.jsonl"})


async def dead_batch(yard: Yard) -> str:
    """Of three rows the first succeeds, the second fails, and the third kills its worker each time."""
    await join(yard)
    build_id = await submit(yard)
    await planned(yard, 3)
    for result in (RowResult(row=1, ok=True, result={"n": 1}), RowResult(row=2, ok=False, error="It is bad.")):
        spec = await claim(yard)
        assert spec is not None
        await yard.service.record(finished(spec, rows=(result,)))
    third = await claim(yard)
    assert third is not None
    await die(yard, third)
    collect = await claim(yard)
    assert collect is not None
    await yard.service.record(finished(collect))
    return build_id


async def test_only_the_rows_without_a_good_result_are_run_again(yard: Yard) -> None:
    build_id = await dead_batch(yard)
    assert await listed(yard) == [build_id]
    assert (await yard.views.build(build_id)).reason == (
        "2 of 3 rows failed; errors.csv names them. 1 of its jobs used up their attempts."
    )

    new = (await yard.service.requeue(build_id, requester="me")).execution_id
    before = len(yard.caught.tickets)
    await planned(yard, 3)

    assert len(yard.caught.tickets) == before + 2
    done = []
    while (spec := await claim(yard)) is not None and spec.rows is not None:
        row = spec.rows.span.first
        done.append(row)
        await yard.service.record(finished(spec, rows=(RowResult(row=row, ok=True, result={"n": row}),)))
    assert done == [2, 3]
    assert spec is not None
    assert spec.kind is JobKind.COLLECT
    await yard.service.record(finished(spec))
    status = await yard.views.build(new)
    assert (status.status, status.reason) == ("Succeeded", "All 3 rows succeeded.")
    assert [(row.row, row.result) async for row in yard.views.all_rows(new)] == [(n, {"n": n}) for n in (1, 2, 3)]


async def test_rows_are_carried_over_a_requeue_that_died_before_it_was_planned(yard: Yard) -> None:
    build_id = await dead_batch(yard)
    second = (await yard.service.requeue(build_id, requester="me")).execution_id
    spec = await claim(yard)
    assert spec is not None
    await die(yard, spec, ReasonCode.SOURCE_UNAVAILABLE)
    third = (await yard.service.requeue(second, requester="me")).execution_id

    await planned(yard, 3)

    status = await yard.views.build(third)
    assert status.rows is not None
    assert (status.rows.total, status.rows.succeeded, status.rows.failed) == (3, 1, 0)


async def test_a_batch_whose_collection_failed_is_only_collected_again(yard: Yard) -> None:
    await join(yard)
    build_id = await submit(yard)
    await planned(yard, 1)
    rows = await claim(yard)
    assert rows is not None
    await yard.service.record(finished(rows, rows=(RowResult(row=1, ok=True),)))
    collect = await claim(yard)
    assert collect is not None
    await die(yard, collect, ReasonCode.DISK_FULL)
    new = (await yard.service.requeue(build_id, requester="me")).execution_id

    await planned(yard, 1)

    spec = await claim(yard)
    assert spec is not None
    assert (spec.build_id, spec.kind) == (new, JobKind.COLLECT)
    await yard.service.record(finished(spec))
    status = await yard.views.build(new)
    assert status.status == "Succeeded"
    assert status.stages[2].status == "Succeeded"


async def test_a_batch_that_succeeded_is_run_whole_when_it_is_retried(yard: Yard) -> None:
    await join(yard)
    build_id = await submit(yard)
    await planned(yard, 1)
    for results in ((RowResult(row=1, ok=True),), ()):
        spec = await claim(yard)
        assert spec is not None
        await yard.service.record(finished(spec, rows=results))
    await yard.service.retry(build_id, requester="me")

    await planned(yard, 1)

    spec = await claim(yard)
    assert spec is not None
    assert spec.kind is JobKind.ROWS
