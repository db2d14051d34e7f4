"""Reports that wait together share a transaction; each is recorded, in its order, as if it had come alone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from buildyard.contracts.builds import JobSpec, Outcome, RowResult, StageName
from buildyard.contracts.messages import AttemptReport, Heartbeat, RowsDone, StageStarted
from buildyard.errors import StoreUnavailable
from buildyard.ports import DEAD, REPORTS, Broker
from orchestrator.reports import Reports
from orchestrator.service import Service
from orchestrator.store import Store, open_store
from orchestrator.store.transaction import Transaction
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_background import until
from tests.orchestrator.test_deliveries import told
from tests.orchestrator.test_service import claim, claimed, fact, finished, join, submit


async def some_jobs(yard: Yard, count: int) -> list[JobSpec]:
    await join(yard)
    for _ in range(count):
        await submit(yard)
    specs = [await claim(yard) for _ in range(count)]
    return [spec for spec in specs if spec is not None]


async def story(yard: Yard, build_id: str) -> list[object]:
    """What is known of a build, without times."""
    status = await yard.views.build(build_id)
    events = await yard.views.events(build_id, after=0, limit=1000)
    rows = [row async for row in yard.views.all_rows(build_id)]
    segments = await yard.views.log_segments(build_id)
    return [
        status.status,
        [(one.number, one.outcome) for one in status.attempts],
        [(event.seq, event.type) for event in events],
        rows,
        [(one.build_first, one.build_last) for one in segments],
        len((await yard.views.artifacts(build_id)).artifacts),
    ]


def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many reports each transaction took that was committed."""
    groups: list[int] = []
    together = Service.record_together

    async def counted(self: Service, reports: Sequence[AttemptReport]) -> list[bool]:
        changed = await together(self, reports)
        groups.append(len(reports))
        return changed

    monkeypatch.setattr(Service, "record_together", counted)
    return groups


async def read_all(yard: Yard, broker: Broker, bodies: Sequence[bytes]) -> None:
    """Have all of them wait before the first is read, then read them."""
    await broker.publish(REPORTS, bodies)
    reader = Reports(broker, yard.service, yard.feed)
    reading = asyncio.create_task(reader.run())

    async def empty() -> bool:
        found = await broker.depth(REPORTS)
        return (found.ready, found.unacked) == (0, 0)

    await until(empty)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_what_waits_together_is_recorded_in_one_transaction(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = await some_jobs(yard, 3)
    groups = watched(monkeypatch)

    await read_all(yard, broker, [report.encode() for spec in specs for report in (told(spec)[0], finished(spec))])

    assert groups == [6]
    assert {(await yard.views.build(spec.build_id)).status for spec in specs} == {"Succeeded"}


@pytest.mark.parametrize("place", [0, 1, 3])
async def test_a_report_that_spoils_its_group_costs_only_itself(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    spoilt, *specs = await some_jobs(yard, 3)
    groups = watched(monkeypatch)
    bodies = [report.encode() for spec in specs for report in (told(spec)[0], finished(spec))]
    bodies.insert(place, RowsDone(**fact(spoilt, rows=(RowResult(row=2**70, ok=True),))).encode())
    bodies.insert(place, b"not json")

    await read_all(yard, broker, bodies)

    assert set(groups) <= {1, place, 4 - place}, "what it shared a group with was recorded one by one"
    assert (await broker.depth(DEAD)).ready == 2
    assert {(await yard.views.build(spec.build_id)).status for spec in specs} == {"Succeeded"}
    assert (await yard.views.build(spoilt.build_id)).status == "Running"
    assert (await story(yard, specs[0].build_id))[2:] == (await story(yard, specs[1].build_id))[2:]


async def test_a_reader_that_dies_between_commit_and_acknowledgement_records_nothing_twice(
    yard: Yard, broker: Broker
) -> None:
    specs = await some_jobs(yard, 2)
    reports = [report for pair in zip(*(told(spec) for spec in specs), strict=True) for report in pair]
    await broker.publish(REPORTS, [report.encode() for report in reports])
    dying = await broker.subscribe(REPORTS, len(reports))
    taken = [await anext(aiter(dying)) for _ in reports]
    await yard.service.record_together(reports)
    before = [await story(yard, spec.build_id) for spec in specs]
    tickets = len(yard.caught.tickets)
    for delivery in taken:
        await delivery.release()
    await dying.stop()

    await read_all(yard, broker, [])

    assert [await story(yard, spec.build_id) for spec in specs] == before
    assert len(yard.caught.tickets) == tickets
    assert (await broker.depth(DEAD)).ready == 0


async def test_a_group_that_fails_leaves_nothing_of_any_report(yard: Yard) -> None:
    specs = await some_jobs(yard, 2)
    before = [await story(yard, spec.build_id) for spec in specs]
    spoilt = RowsDone(**fact(specs[1], rows=(RowResult(row=2**70, ok=True),)))

    with pytest.raises(Exception, match="database"):
        await yard.service.record_together([finished(specs[0]), spoilt])

    assert [await story(yard, spec.build_id) for spec in specs] == before


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
async def test_reports_in_groups_of_any_size_leave_what_they_leave_one_by_one(yard: Yard, data: st.DataObject) -> None:
    """Reports of two jobs, in any order, some twice: the same order alone and in groups gives the same story."""
    alone, together = await some_jobs(yard, 2), await some_jobs(yard, 2)
    kinds = len(told(alone[0]))
    order = data.draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, kinds - 1)), min_size=1, max_size=25))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(order)), max_size=4)) | {0, len(order)})

    one_by_one = [await yard.service.record(told(alone[job])[number]) for job, number in order]
    reports = [told(together[job])[number] for job, number in order]
    grouped = [
        changed for first, last in pairwise(cuts) for changed in await yard.service.record_together(reports[first:last])
    ]

    assert grouped == one_by_one
    assert [await story(yard, spec.build_id) for spec in together] == [
        await story(yard, spec.build_id) for spec in alone
    ]


async def test_an_attempt_that_ends_within_a_group_refuses_what_follows_it_there(yard: Yard) -> None:
    spec = await claimed(yard)

    changed = await yard.service.record_together(
        [
            StageStarted(**fact(spec, stage=StageName.FETCH)),
            finished(spec),
            Heartbeat(**fact(spec)),
            finished(spec, Outcome.FAILED),
        ]
    )

    assert changed == [True, True, False, False]
    assert (await yard.views.build(spec.build_id)).status == "Succeeded"
    assert [order.type for order in yard.caught.controls] == ["attempt_over"] * 2


async def test_a_reader_that_is_stopped_ends_also_where_the_store_makes_an_error_of_it(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = await claimed(yard)
    begun, together = asyncio.Event(), Service.record_together

    async def interrupted(self: Service, reports: Sequence[AttemptReport]) -> list[bool]:
        if begun.is_set():
            return await together(self, reports)
        begun.set()
        try:
            return await asyncio.Event().wait() and []
        except asyncio.CancelledError as error:
            raise StoreUnavailable("The connection was closed.") from error

    monkeypatch.setattr(Service, "record_together", interrupted)
    await broker.publish(REPORTS, [Heartbeat(**fact(spec)).encode()] * 3)
    reading = asyncio.create_task(Reports(broker, yard.service, yard.feed).run())
    async with asyncio.timeout(60):
        await begun.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    assert reading.cancelled()


# ---------------------------------------------------------------- several producers


async def _crossed(yard: Yard, store: Store, specs: Sequence[JobSpec]) -> list[BaseException]:
    """Two producers record reports of the same builds, each in the other's opposite order, at the same time."""
    other = Service(store, yard.objects, yard.feed, yard.service._farm, yard.clock, yard.service._outlets)
    beats = [Heartbeat(**fact(spec)) for spec in specs]
    steps = [StageStarted(**fact(spec, stage=StageName.FETCH)) for spec in specs]
    found = await asyncio.gather(
        yard.service.record_together([*beats, *steps]),
        other.record_together([*reversed(beats), *reversed(steps)]),
        return_exceptions=True,
    )
    return [one for one in found if isinstance(one, BaseException)]


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_producers_that_record_groups_of_the_same_builds_do_not_wait_for_each_other_in_a_ring(
    yard: Yard, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = await some_jobs(yard, 12)
    store = open_store(store_url, yard.clock)

    assert await _crossed(yard, store, specs) == []
    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "lock_builds", _in_any_order)
        for _ in range(20):  # they must meet
            if broken := await _crossed(yard, store, specs):
                break
        assert [type(one) for one in broken] == [StoreUnavailable], "the check cannot see what the order is for"
    await store.close()


async def _in_any_order(_self: Transaction, build_ids: Collection[str]) -> frozenset[str]:
    """Each build is held when its first report comes."""
    return frozenset(build_ids)


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_the_line_of_all_events_keeps_each_builds_order_where_a_group_meets_others(
    yard: Yard, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(store_url, yard.clock)

    assert await _out_of_order(yard, store) == []
    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "lock_builds", _waiting)
        assert await _out_of_order(yard, store) != [], "the check cannot see what not waiting is for"
    await store.close()


async def _out_of_order(yard: Yard, store: Store) -> list[str]:
    """Builds whose events stand in the line in another order than their own.

    A group of three builds comes while somebody holds the second one; meanwhile another producer records of the third.
    """
    specs = sorted(await some_jobs(yard, 3), key=lambda spec: spec.build_id)
    other = Service(store, yard.objects, yard.feed, yard.service._farm, yard.clock, yard.service._outlets)
    async with store.begin() as holder:
        await holder.lock_build(specs[1].build_id)
        group = asyncio.create_task(
            yard.service.record_together([StageStarted(**fact(spec, stage=StageName.BUILD)) for spec in specs])
        )
        await until(lambda: _somebody_waits(store))
        await other.record(StageStarted(**fact(specs[2], stage=StageName.FETCH)))
    await group
    orders: list[list[int]] = []

    async def all_told() -> bool:  # what happens elsewhere on this server holds the line back
        async with store.read() as queries:
            events = await queries.line.after(0, 1000)
        orders[:] = [[event.seq for event in events if event.build_id == spec.build_id] for spec in specs]
        return [len(order) for order in orders] == [5, 5, 6]

    await until(all_told)
    return [spec.build_id for spec, order in zip(specs, orders, strict=True) if order != sorted(order)]


async def _somebody_waits(store: Store) -> bool:
    async with store.reader.connect() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool((await connection.execute(text(waiting))).scalar_one())


async def _waiting(self: Transaction, build_ids: Collection[str]) -> frozenset[str]:
    """Held one after the other, in the order of their ids."""
    for build_id in sorted(build_ids):
        await self.lock_build(build_id)
    return frozenset(build_ids)
