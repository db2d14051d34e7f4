"""The loop that removes what is old, on a real broker and a real database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.clock import SystemClock
from buildyard.errors import Gone, ObjectsUnavailable
from buildyard.ports import DEAD, Broker, jobs
from orchestrator.domain.sweeping import SPARE_TICKETS, tickets_to_drop
from orchestrator.retiring import DeadKeep, Retiring, RetiringParts
from orchestrator.store.sizes import Sizes
from orchestrator.upkeep import Upkeep
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_once import on_sqlite
from tests.orchestrator.test_removing import GONE_AT_ONCE, built, keys
from tests.orchestrator.test_service import submit


class Quick(SystemClock):
    """Half an hour passes from one look to the next."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def monotonic(self) -> float:
        self._seconds += 1800.0
        return self._seconds


def retiring(yard: Yard, broker: Broker, told: Counter[str], keep: timedelta = timedelta(0)) -> Retiring:
    """One that finds everything due at each round, and that keeps nothing but three dead messages."""
    whole = replace(GONE_AT_ONCE, builds=keep, orphans=timedelta(days=-1))

    def tell(what: str, count: int) -> None:
        told[what] += count

    return Retiring(
        RetiringParts(
            store=yard.store,
            pools=("linux",),
            service=yard.service,
            upkeep=Upkeep(yard.store, yard.objects, whole),
            broker=broker,
            clock=Quick(),
            keep=whole,
            dead=DeadKeep(3, 14),
            round_seconds=0.01,
            told=tell,
        )
    )


async def test_a_round_removes_all_that_is_old_and_tells_how_much(yard: Yard, broker: Broker) -> None:
    spec = await built(yard)
    await yard.objects.put("builds/01938a2e-7c1b-7d8e-9f00-123456789abc/jobs/x/1/late", b"late")
    await broker.publish(DEAD, [b"x"] * 10)
    told: Counter[str] = Counter()

    await retiring(yard, broker, told).round()

    assert told == {"builds": 1, "orphans": 1, "dead_messages": 7}
    assert await keys(yard, "") == []
    with pytest.raises(Gone):
        await yard.views.build(spec.build_id)


@on_sqlite
async def test_an_object_store_that_is_away_holds_up_neither_messages_nor_what_is_still_there(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = await built(yard)
    await broker.publish(DEAD, [b"x"] * 10)
    told: Counter[str] = Counter()
    loop = retiring(yard, broker, told)

    async def away(*_: object) -> None:
        raise ObjectsUnavailable("The object store is away.")

    with monkeypatch.context() as patched:
        patched.setattr(yard.objects, "delete", away)
        await loop.round()
    assert told == {"dead_messages": 7}

    await loop.round()
    assert told == {"builds": 1, "dead_messages": 7}
    with pytest.raises(Gone):
        await yard.views.build(spec.build_id)


@on_sqlite
async def test_a_build_whose_objects_cannot_be_deleted_holds_up_no_other(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = await built(yard), await built(yard)
    told: Counter[str] = Counter()
    delete = yard.objects.delete

    async def refuse_one(keys: Sequence[str]) -> None:
        if any(stuck.build_id in key for key in keys):
            raise ObjectsUnavailable("These objects are locked.")
        await delete(keys)

    monkeypatch.setattr(yard.objects, "delete", refuse_one)
    await retiring(yard, broker, told).round()

    left = await keys(yard)
    assert any(stuck.build_id in key for key in left)
    assert not any(other.build_id in key for key in left)


@on_sqlite
async def test_tickets_without_a_job_go_where_nobody_takes_them_and_each_ready_job_keeps_one(
    yard: Yard, broker: Broker
) -> None:
    await submit(yard)
    await broker.publish(jobs("linux"), [b"ticket"] * (SPARE_TICKETS + 50))
    told: Counter[str] = Counter()
    loop = retiring(yard, broker, told, timedelta(days=1))

    await loop.round()
    assert told == {}, "one look is no proof: jobs and tickets come and go"
    await loop.round()

    assert told == {"tickets": 49}
    assert (await broker.depth(jobs("linux"))).ready == SPARE_TICKETS + 1


@on_sqlite
async def test_the_loop_goes_on_after_a_failed_round(yard: Yard, broker: Broker) -> None:
    told: Counter[str] = Counter()
    loop = retiring(yard, broker, told)
    await broker.close()
    running = asyncio.create_task(loop.run())
    spec = await built(yard)

    async with asyncio.timeout(60):
        while told["builds"] == 0:
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(Gone):
        await yard.views.build(spec.build_id)


async def test_the_database_tells_how_much_it_holds(yard: Yard) -> None:
    for _ in range(3):
        await submit(yard)
    async with yard.store.writer.connect() as connection:
        if yard.store.shared:
            await connection.exec_driver_sql("ANALYZE")
            await connection.commit()

    sizes = await yard.store.sizes()

    assert isinstance(sizes, Sizes)
    assert (sizes.rows["builds"], sizes.rows["events"]) == (3, 6)
    assert sizes.total_bytes > 10_000
    assert (await yard.views.metrics()).sizes is not None


@given(ready=st.integers(0, 10_000), tickets=st.integers(0, 10_000))
def test_no_ready_job_loses_its_ticket_and_few_are_left_over(ready: int, tickets: int) -> None:
    left = tickets - tickets_to_drop(ready, tickets)
    assert left >= min(tickets, ready)
    assert left <= ready + SPARE_TICKETS
