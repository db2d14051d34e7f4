"""Reports that come twice and in any order: whatever a broker does with them, each fact is there once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildyard.broker import open_broker
from buildyard.contracts.builds import ArtifactRecord, JobSpec, RowResult, StageName, StageStatus
from buildyard.contracts.messages import (
    REPORT,
    AttemptReport,
    Heartbeat,
    LogStored,
    RowsDone,
    StageFinished,
    StageStarted,
    read_message,
)
from buildyard.ports import REPORTS, Broker
from orchestrator.reports import Reports
from tests import servers
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_background import until
from tests.orchestrator.test_service import claim, fact, finished, join, submit

ENDS = 8
"""The number of the report that ends the attempt: what comes after it is refused."""
orders = st.lists(st.integers(0, ENDS), min_size=1, max_size=20)
few = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(params=["embedded", "rabbitmq"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    url = f"sqlite:///{tmp_path}/broker.sqlite"
    if request.param == "rabbitmq":
        url = servers.with_prefix(request.getfixturevalue("rabbitmq_3_url"))
    broker = open_broker(url)
    await broker.open()
    await broker.declare(REPORTS)
    yield broker
    await broker.close()


async def a_job(yard: Yard) -> JobSpec:
    await join(yard)
    await submit(yard)
    spec = await claim(yard)
    assert spec is not None
    return spec


def told(spec: JobSpec) -> list[AttemptReport]:
    """All that a worker says of a job, in its order."""
    artifact = ArtifactRecord(
        name="a", path="a", size_bytes=1, content_type="a/b", sha256="b" * 64, key=f"{spec.output_prefix}artifacts/a"
    )
    stage = {"stage": StageName.BUILD}
    first = {"first": 1, "last": 3, "size_bytes": 9, "stages": (StageName.BUILD,)}
    second = {"first": 4, "last": 4, "size_bytes": 3, "stages": (StageName.BUILD,)}
    return [
        StageStarted(**fact(spec, **stage)),
        LogStored(**fact(spec, key=f"{spec.output_prefix}log/1", **first)),
        Heartbeat(**fact(spec)),
        RowsDone(**fact(spec, rows=(RowResult(row=1, ok=True), RowResult(row=2, ok=False, error="no")))),
        LogStored(**fact(spec, key=f"{spec.output_prefix}log/4", **second)),
        RowsDone(**fact(spec, rows=(RowResult(row=2, ok=True), RowResult(row=3, ok=True)))),
        StageFinished(**fact(spec, status=StageStatus.SUCCEEDED, **stage)),
        Heartbeat(**fact(spec)),
        finished(spec, artifacts=(artifact,), rows=(RowResult(row=4, ok=True),)),
    ]


async def broken_promises(yard: Yard, spec: JobSpec, order: list[int]) -> list[str]:
    """What is wrong after the reports came in an order, which ends with the last one."""
    heard = set(order[: order.index(ENDS)]) | {ENDS}
    status = await yard.views.build(spec.build_id)
    async with yard.store.read() as queries:
        build = await queries.build(spec.build_id)
    events = [event.seq for event in await yard.views.events(spec.build_id, after=0, limit=1000)]
    kinds = Counter(event.type for event in await yard.views.events(spec.build_id, after=0, limit=1000))
    rows = Counter(row for number, rows in ((3, (1, 2)), (5, (2, 3)), (ENDS, (4,))) if number in heard for row in rows)
    lines = 3 * (1 in order) + (4 in order)  # what its worker logged is kept also when its end overtook it
    segments = await yard.views.log_segments(spec.build_id)
    checks = {
        "it ended otherwise": status.status == "Succeeded" and len(status.attempts) == 1,
        "its events are not numbered one by one": events == list(range(1, len(events) + 1)),
        "it ended more than once": kinds["build_ended"] == 1,
        "a stage began or ended twice": kinds["stage_started"] <= 1 and kinds["stage_finished"] <= 1,
        "its artifact is not there once": len((await yard.views.artifacts(spec.build_id)).artifacts) == 1,
        "its rows are not there once": build.rows_ok + build.rows_failed == len(rows),
        "its log has gaps or doubles": [one.build_first for one in segments][:1] in ([], [1])
        and (segments[-1].build_last if segments else 0) == lines,
    }
    return [wrong for wrong, right in checks.items() if not right]


@few
@given(order=orders)
async def test_reports_in_any_order_and_number_leave_each_fact_once(yard: Yard, order: list[int]) -> None:
    spec = await a_job(yard)
    reports = told(spec)
    order = [*order, ENDS, *order]

    for number in order:
        await yard.service.record(reports[number])

    assert await broken_promises(yard, spec, order) == []


@few
@given(order=orders, more=st.lists(st.integers(0, ENDS), max_size=10))
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_so_they_do_through_a_broker_that_delivers_them_again(
    yard: Yard, broker: Broker, order: list[int], more: list[int]
) -> None:
    """Some are taken by a reader that dies with them in hand: they come again, behind or before others."""
    spec = await a_job(yard)
    reports = told(spec)
    order = [*order, ENDS, *more]
    await broker.publish(REPORTS, [reports[number].encode() for number in order])
    dying = await broker.subscribe(REPORTS, len(order))
    taken = [await anext(aiter(dying)) for _ in order[::2]]
    for delivery in taken[::2]:  # recorded, and never acknowledged
        await yard.service.record(read_message(REPORT, delivery.body))
    for delivery in taken:
        await delivery.release()
    await dying.stop()

    reader = Reports(broker, yard.service, yard.feed)
    reading = asyncio.create_task(reader.run())

    async def ended() -> bool:
        return (await yard.views.build(spec.build_id)).end_time is not None and (await broker.depth(REPORTS)).ready == 0

    await until(ended)
    assert await reader.recorded()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    status = await yard.views.build(spec.build_id)
    assert (status.status, len(status.attempts)) == ("Succeeded", 1)
    events = await yard.views.events(spec.build_id, after=0, limit=1000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events].count("build_ended") == 1
    assert len((await yard.views.artifacts(spec.build_id)).artifacts) == 1
    async with yard.store.read() as queries:
        build = await queries.build(spec.build_id)
    assert build.rows_ok + build.rows_failed in {1, 3, 4}, "row 2 comes in two reports"
