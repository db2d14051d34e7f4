"""Batches on a real database: each row's result once, whoever reports it, and how often."""

from __future__ import annotations

from buildyard.contracts.builds import JobKind, Outcome, RowResult
from buildyard.contracts.messages import RowsDone
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import claim, claimed, fact, finished
from tests.orchestrator.world import a_batch


async def test_a_batch_keeps_each_rows_result_once_and_collects_them(yard: Yard) -> None:
    plan = await claimed(yard)
    rows_key = f"{plan.output_prefix}rows.jsonl"
    found = a_batch(3).model_copy(update={"rows_key": rows_key})
    await yard.service.record(finished(plan, found=found, toolchain="batch"))

    first = await claim(yard)
    assert first is not None
    assert first.kind is JobKind.ROWS
    assert first.rows is not None
    result = RowResult(row=first.rows.span.first, ok=True, result={"n": 1})
    await yard.service.record(RowsDone(**fact(first, rows=(result,))))
    await yard.service.record(finished(first, rows=(result,)))
    second, third = await claim(yard), await claim(yard)
    assert second is not None
    assert third is not None
    await yard.service.record(finished(second, rows=(RowResult(row=2, ok=False, error="It is bad."),)))
    await yard.service.record(finished(third, Outcome.FAILED))
    collect = await claim(yard)
    assert collect is not None
    assert collect.kind is JobKind.COLLECT
    await yard.service.record(finished(collect))

    rows = [row async for row in yard.views.all_rows(plan.build_id)]
    assert [(row.row, row.ok, row.error) for row in rows] == [
        (1, True, ""),
        (2, False, "It is bad."),
        (3, False, "All stages succeeded."),
    ]
    status = await yard.views.build(plan.build_id)
    assert (status.status, status.reason_code) == ("Failed", "rows_failed")
    assert status.reason == "2 of 3 rows failed; errors.csv names them."
    assert status.stages[2].status == "Failed"


async def test_a_second_attempt_at_rows_is_told_which_are_done(yard: Yard) -> None:
    plan = await claimed(yard)
    found = a_batch(1).model_copy(update={"rows_key": f"{plan.output_prefix}rows.jsonl"})
    await yard.service.record(finished(plan, found=found))
    first = await claim(yard)
    assert first is not None
    await yard.service.record(RowsDone(**fact(first, rows=(RowResult(row=1, ok=True),))))
    await yard.service.record(finished(first, Outcome.HANDED_BACK))

    second = await claim(yard)

    assert second is not None
    assert second.rows is not None
    assert second.rows.done == (1,)
