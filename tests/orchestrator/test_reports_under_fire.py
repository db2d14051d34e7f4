"""Reports that come twice, that no database takes, and workers that nobody could hear."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import update

from buildyard.clock import SystemClock
from buildyard.contracts.builds import RowResult, StageName, StageStatus
from buildyard.contracts.messages import AttemptReport, RowsDone, StageFinished, StageStarted
from buildyard.errors import BrokerUnavailable, PermanentError, UnknownCount
from buildyard.ports import REPORTS, Broker, Channel, Depth
from orchestrator.reports import Reports
from orchestrator.store import schema
from tests.orchestrator.conftest import LIMITS, Yard
from tests.orchestrator.test_background import sweeper, until
from tests.orchestrator.test_service import claimed, fact, finished
from tests.orchestrator.world import START


async def test_a_report_that_comes_twice_changes_nothing_the_second_time(yard: Yard) -> None:
    spec = await claimed(yard)
    reports: list[AttemptReport] = [
        StageStarted(**fact(spec, stage=StageName.FETCH)),
        StageFinished(**fact(spec, stage=StageName.FETCH, status=StageStatus.SUCCEEDED)),
        RowsDone(**fact(spec, rows=(RowResult(row=1, ok=True),))),
    ]
    assert [await yard.service.record(report) for report in reports] == [True] * 3
    before = await yard.views.build(spec.build_id)
    events = await yard.views.events(spec.build_id, after=0, limit=100)

    assert [await yard.service.record(report) for report in reports] == [False] * 3

    after = await yard.views.build(spec.build_id)
    assert (after.stages, after.rows) == (before.stages, before.rows)
    assert await yard.views.events(spec.build_id, after=0, limit=100) == events


@pytest.mark.parametrize(
    "rows",
    [
        (RowResult(row=1, ok=False, error="zero \0 byte"),),
        (RowResult(row=1, ok=True), RowResult(row=1, ok=True)),
        (RowResult(row=2**70, ok=True),),
    ],
    ids=["zero byte", "a row twice", "a huge number"],
)
async def test_what_no_database_takes_does_not_stop_the_reports_behind_it(
    yard: Yard, broker: Broker, rows: tuple[RowResult, ...]
) -> None:
    spec = await claimed(yard)
    reading = asyncio.create_task(Reports(broker, yard.service, yard.feed).run())

    await broker.publish(REPORTS, [RowsDone(**fact(spec, rows=rows)).encode(), finished(spec).encode()])

    async def recorded() -> bool:
        return (await yard.views.build(spec.build_id)).status == "Succeeded"

    await until(recorded)
    reading.cancel()


async def test_a_value_that_the_database_refuses_is_a_fault_of_the_value(yard: Yard) -> None:
    spec = await claimed(yard)

    with pytest.raises(PermanentError, match="database"):
        await yard.service.record(RowsDone(**fact(spec, rows=(RowResult(row=2**70, ok=True),))))


class _Deaf:
    """A broker that cannot be counted, or takes nothing, until it is cured."""

    def __init__(self, broker: Broker, *, counts: bool) -> None:
        self._broker = broker
        self._counts = counts
        self.ill = True

    async def depth(self, channel: Channel) -> Depth:
        if self.ill and not self._counts:
            raise UnknownCount("It cannot be counted.")
        return await self._broker.depth(channel)

    async def witnesses(self, channel: Channel) -> tuple[Depth, ...]:
        return (await self.depth(channel),)

    async def publish(self, channel: Channel, bodies: list[bytes]) -> None:
        if self.ill:
            raise BrokerUnavailable("It takes nothing.")
        await self._broker.publish(channel, bodies)


@pytest.mark.parametrize("counts", [True, False])
async def test_after_an_outage_of_the_broker_workers_get_a_lease_s_time_to_be_heard(
    yard: Yard, broker: Broker, counts: bool
) -> None:
    spec = await claimed(yard)
    async with yard.store.begin() as tx:
        await tx._db.execute(update(schema.attempts).values(lease_until=START))
    deaf = _Deaf(broker, counts=counts)
    clock = _Steps()
    sweeping = sweeper(yard, deaf, clock)  # type: ignore[arg-type] # the three methods that the check uses

    await sweeping._expire_leases()
    deaf.ill = False
    clock.at += LIMITS.lease_seconds - 1
    sweeping._hearing._seen = None  # these seconds run ahead of the store's clock, which is no jump of it
    await sweeping._expire_leases()
    assert (await yard.views.build(spec.build_id)).attempts[0].outcome is None

    clock.at += 2
    sweeping._hearing._seen = None
    await sweeping._expire_leases()
    assert (await yard.views.build(spec.build_id)).attempts[0].outcome == "Lost"


class _Steps(SystemClock):
    """Monotonic seconds set by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at
