"""The one order of all builds' events: what a reader has read is final, whoever writes beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from buildyard.clock import SystemClock
from buildyard.contracts.events import FarmEvent
from orchestrator.domain.records import Build, EventDraft, Step
from orchestrator.store import Store, open_store
from orchestrator.store import schema as t
from orchestrator.store.transaction import Transaction
from tests.orchestrator.world import a_build

CLOCK = SystemClock()
BEGINNING = 0
on_postgres = pytest.mark.parametrize("store_url", ["postgres"], indirect=True)  # only there do writers overlap


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = open_store(store_url, CLOCK)
    await opened.migrate()
    yield opened
    await opened.close()


async def create(store: Store, number: int, events: int = 2) -> Build:
    async with store.begin() as tx:
        return (await tx.create(Step(a_build(number), events=(EventDraft("rows_done"),) * events))).build


async def tell(tx: Transaction, build: Build, count: int = 1) -> Build:
    held = await tx.lock_build(build.id)
    return (await tx.save(Step(held, events=(EventDraft("rows_done"),) * count))).build


async def read(store: Store, after: int = BEGINNING, limit: int = 1000) -> tuple[FarmEvent, ...]:
    async with store.read() as queries:
        return await queries.line.after(after, limit)


async def all_of(store: Store, count: int, after: int = BEGINNING) -> tuple[FarmEvent, ...]:
    """So many events, waited for: on PostgreSQL any transaction of the whole server may hold them back."""
    async with asyncio.timeout(60):
        while len(found := await read(store, after)) < count:
            await asyncio.sleep(0.01)
    return found


def named(events: tuple[FarmEvent, ...]) -> list[tuple[int, int]]:
    """Number of the build and of the event."""
    return [(int(event.build_id[-12:]), event.seq) for event in events]


async def test_events_of_all_builds_stand_in_one_order_and_pages_meet(store: Store) -> None:
    first = await create(store, 1)
    await create(store, 2)
    async with store.begin() as tx:
        await tell(tx, first, 3)

    whole = await all_of(store, 7)

    assert named(whole) == [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (1, 4), (1, 5)]
    assert {(event.project, event.pool) for event in whole} == {("demo", "linux")}
    paged, after = list[FarmEvent](), BEGINNING
    while page := await read(store, after, 2):
        paged += page
        after = int(page[-1].id)
    assert tuple(paged) == whole
    async with store.read() as queries:
        assert await queries.line.newest() == int(whole[-1].id)


async def test_a_transaction_that_fails_leaves_no_hole_that_is_waited_for(store: Store) -> None:
    build = await create(store, 1)
    with pytest.raises(ZeroDivisionError):
        await _tell_and_fail(store, build)
    async with store.begin() as tx:
        await tell(tx, build)

    assert named(await all_of(store, 3)) == [(1, 1), (1, 2), (1, 3)]


async def _tell_and_fail(store: Store, build: Build) -> None:
    async with store.begin() as tx:
        await tell(tx, build)
        raise ZeroDivisionError


@on_postgres
async def test_nothing_is_read_while_an_older_transaction_may_still_come_before_it(store: Store) -> None:
    slow, quick = await create(store, 1), await create(store, 2)
    known = await all_of(store, 4)
    after = int(known[-1].id)

    async with store.begin() as older:
        await tell(older, slow)
        async with store.begin() as younger:
            await tell(younger, quick)
        assert await read(store, after) == ()
        async with store.read() as queries:
            assert await queries.line.newest() == after

    assert named(await all_of(store, 2, after)) == [(1, 3), (2, 3)]


@on_postgres
async def test_a_reader_beside_many_writers_on_two_producers_sees_every_event_once(
    store: Store, store_url: str
) -> None:
    other = open_store(store_url, CLOCK)
    builds = [await create(store, number, 1) for number in range(1, 9)]
    done = asyncio.Event()

    async def write(where: Store, build: Build) -> None:
        for _ in range(12):
            async with where.begin() as tx:
                await tell(tx, build, 2)
                await asyncio.sleep(0)

    async def follow() -> tuple[FarmEvent, ...]:
        found: tuple[FarmEvent, ...] = ()
        while not (done.is_set() and len(found) == 8 + 8 * 24):
            found += await read(store, int(found[-1].id) if found else BEGINNING, 50)
        return found

    following = asyncio.create_task(follow())
    await asyncio.gather(*(write((store, other)[n % 2], build) for n, build in enumerate(builds)))
    done.set()
    async with asyncio.timeout(60):
        found = await following

    assert found == await read(store, limit=2000)
    for number in range(1, 9):
        assert [seq for build, seq in named(found) if build == number] == list(range(1, 26))
    await other.close()


async def test_a_moment_leads_to_the_event_before_it(store: Store) -> None:
    await create(store, 1, 20)
    positions = [int(event.id) for event in await all_of(store, 20)]
    start = CLOCK.now()
    async with store.begin() as tx:
        for place, position in enumerate(positions):
            at = start + timedelta(seconds=place)
            await tx._db.execute(update(t.events).where(t.events.c.position == position).values(at=at))

    async with store.read() as queries:
        for place, position in enumerate(positions):
            assert await queries.line.before(start + timedelta(seconds=place + 0.5)) == position
            assert await queries.line.before(start + timedelta(seconds=place)) == ([0, *positions])[place]
        assert await queries.line.before(start - timedelta(days=1)) == 0


@on_postgres
async def test_events_restored_into_a_younger_server_stand_before_all_that_comes(store: Store) -> None:
    build = await create(store, 1)
    await create(store, 2)
    async with store.begin() as tx:
        await tx._db.execute(text("UPDATE events SET position = position + (1::bigint << 60)"))
    assert await read(store) == ()

    await store.migrate()
    async with store.begin() as tx:
        await tell(tx, build)

    assert named(await all_of(store, 5)) == [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3)]


@on_postgres
async def test_a_producer_that_starts_beside_a_working_one_numbers_nothing_anew(store: Store) -> None:
    build = await create(store, 1)
    async with store.begin() as older:
        await older._db.execute(text("SELECT pg_current_xact_id()"))  # what commits now is newer than this one
        async with store.begin() as tx:
            await tell(tx, build)
        async with store.begin() as tx:
            before = (await tx._db.execute(text("SELECT position FROM events ORDER BY position"))).scalars().all()

        await store.migrate()

        async with store.begin() as tx:
            after = (await tx._db.execute(text("SELECT position FROM events ORDER BY position"))).scalars().all()
    assert len(before) == 3
    assert after == before
