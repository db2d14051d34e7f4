"""The newest events are read once for all readers; who falls behind reads from the store."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from buildyard.contracts.builds import Priority
from buildyard.contracts.events import FarmEvent
from orchestrator.feed import Feed
from orchestrator.service import Service
from orchestrator.store import open_store
from orchestrator.tail import KEPT, PAGE, Tail
from tests.orchestrator.api.fakes import AT, Farm
from tests.orchestrator.conftest import Yard, a_tail
from tests.orchestrator.test_service import submit

on_postgres = pytest.mark.parametrize("store_url", ["postgres"], indirect=True)


async def read(tail: Tail, after: int, count: int) -> list[FarmEvent]:
    """So many events after a position, waiting for those that are still to come."""
    found: list[FarmEvent] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            told, news = await tail.after(after)
            found += [one.event for one in told]
            if told:
                after = told[-1].position
            else:
                await asyncio.wait({news})
    return found


async def test_readers_share_one_reading_of_the_store() -> None:
    farm = Farm()
    async with AsyncExitStack() as stack:
        for _ in range(50):
            await stack.enter_async_context(farm.tail.follow())
        readers = [asyncio.create_task(read(farm.tail, 0, 3)) for _ in range(50)]
        told = [farm.tell_all("build_queued") for _ in range(3)]

        assert await asyncio.gather(*readers) == [told] * 50
    assert farm.line.calls.count("newest") == 1
    assert farm.line.calls.count("after") < 50


async def test_nobody_reads_the_store_while_nobody_follows() -> None:
    farm = Farm()
    async with farm.tail.follow():
        farm.tell_all("build_queued")
        await read(farm.tail, 0, 1)
    farm.line.calls.clear()
    farm.tell_all("build_queued")
    await asyncio.sleep(0)

    assert farm.line.calls == []
    async with farm.tail.follow():  # and who comes later still gets what happened in between
        assert [event.seq for event in await read(farm.tail, 7, 1)] == [2]


async def test_what_is_kept_is_bounded_and_who_falls_behind_misses_nothing() -> None:
    farm = Farm()
    count = 2 * KEPT + 2 * PAGE
    async with farm.tail.follow():
        last = [farm.tell_all("rows_done") for _ in range(count)][-1]
        await read(farm.tail, int(last.id) - 1, 1)  # the newest is there: so all before it were read

        assert len(farm.tail._kept) == len(farm.tail._positions) <= 2 * KEPT
        farm.line.calls.clear()
        assert [event.seq for event in await read(farm.tail, 0, count)] == list(range(1, count + 1))
        assert 0 < farm.line.calls.count("after") <= count // PAGE


async def test_a_reader_goes_on_where_the_builds_of_what_it_missed_are_gone() -> None:
    farm = Farm()
    async with farm.tail.follow():
        for _ in range(2 * KEPT + 2):
            farm.tell_all("rows_done")
        newest = farm.line.told[-1]
        await read(farm.tail, int(newest.id) - 1, 1)
        farm.line.told.clear()

        told, _ = await farm.tail.after(0)

    assert told[0].position > 7


@on_postgres
async def test_who_follows_one_producer_sees_what_another_on_the_same_database_does(yard: Yard, store_url: str) -> None:
    store = open_store(store_url, yard.clock)
    feed = Feed()
    other = Service(store, yard.objects, feed, yard.service._farm, yard.clock, yard.service._outlets)
    tails = [a_tail(yard.store, yard.feed), a_tail(store, feed)]
    async with tails[0].follow(), tails[1].follow():
        readers = [asyncio.create_task(read(tail, 0, 12)) for tail in tails]
        ids = [await submit(yard) for _ in range(2)]
        for build_id in ids:
            await other.set_priority(build_id, Priority.HIGH, requester="local")
        await asyncio.gather(*(yard.service.cancel(build_id, requester="local") for build_id in ids[:1]))
        await asyncio.gather(other.cancel(ids[1], requester="local"), submit(yard), submit(yard))
        here, there = await asyncio.gather(*readers)

    assert here == there
    assert len({(event.build_id, event.seq) for event in here}) == 12
    await store.close()


async def test_a_moment_leads_to_a_place_from_which_nothing_of_it_is_missed(yard: Yard) -> None:
    await submit(yard)
    tail = a_tail(yard.store, yard.feed)

    assert await tail.place_since(yard.clock.now()) == 0
    yard.clock.ahead = timedelta(minutes=2)
    assert await tail.place_since(AT - timedelta(days=400)) == 0
    if not yard.store.shared:  # there the clock can be moved
        assert await tail.place_since(yard.clock.now()) == await tail.newest()
