"""Claims that come at the same time share transactions; to each agent it is as if it claimed alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from buildyard.contracts.agents import ClaimAnswer, ClaimRequest
from buildyard.contracts.builds import JobKind, JobSpec, RowResult
from buildyard.errors import InvalidRequest, NotFound, StoreUnavailable
from orchestrator.service import Service
from orchestrator.store import Store, engine, open_store
from orchestrator.store.transaction import Transaction
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import CLOCK, claim, claimed, finished, join, submit
from tests.orchestrator.world import a_batch


async def a_planned_batch(yard: Yard, rows: int) -> str:
    """A batch whose rows are ready, a job for each."""
    plan = await claimed(yard)
    found = a_batch(rows).model_copy(update={"rows_key": f"{plan.output_prefix}rows.jsonl"})
    await yard.service.record(finished(plan, found=found))
    return plan.build_id


async def crowd(yard: Yard, count: int) -> list[str]:
    names = [f"linux-{number + 1}-1" for number in range(count)]
    for name in names:
        await join(yard, name)
    return names


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Transaction]:
    begun: list[Transaction] = []
    real = Store.begin

    @asynccontextmanager
    async def counting(store: Store) -> AsyncIterator[Transaction]:
        async with real(store) as tx:
            begun.append(tx)
            yield tx

    monkeypatch.setattr(Store, "begin", counting)
    return begun


@contextmanager
def statements(yard: Yard) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, _values: Any, _context: Any, _many: bool) -> None:
        asked.append(statement)

    event.listen(yard.store.writer.sync_engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(yard.store.writer.sync_engine, "before_cursor_execute", note)


async def test_a_crowd_gets_the_rows_of_a_batch_in_a_few_transactions(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_planned_batch(yard, 20)
    names = await crowd(yard, 20)
    begun = counted(monkeypatch)

    specs = await asyncio.gather(*(claim(yard, name) for name in names))

    rows = [spec.rows.span.first for spec in specs if spec is not None and spec.rows is not None]
    assert sorted(rows) == list(range(1, 21))
    assert len(begun) <= 4


async def test_each_of_a_crowd_gets_its_own_answer(yard: Yard) -> None:
    """Jobs of several builds, one too few, beside agents that may have none."""
    builds = {await submit(yard) for _ in range(5)}
    names = await crowd(yard, 6)
    await join(yard, "mac-1-1", "mac", {"xcode": "15"})
    await join(yard, "linux-9-1")
    await yard.service.drain("linux-9-1", "It is old.")

    answers = await asyncio.gather(
        *(yard.service.claim(name, _a_claim()) for name in ["nobody", "mac-1-1", "linux-9-1", *names]),
        return_exceptions=True,
    )

    assert [type(one) for one in answers[:2]] == [NotFound, InvalidRequest]
    verdicts = [answer.verdict for answer in answers[2:] if isinstance(answer, ClaimAnswer)]
    assert sorted(verdicts) == ["job"] * 5 + ["none", "unsuited"]
    taken = [answer.job.build_id for answer in answers[2:] if isinstance(answer, ClaimAnswer) and answer.job]
    assert set(taken) == builds
    assert len(taken) == 5


async def test_a_claim_that_is_asked_twice_at_once_gets_one_job(yard: Yard) -> None:
    await a_planned_batch(yard, 3)
    await crowd(yard, 2)
    asked = _a_claim()

    answers = await asyncio.gather(
        yard.service.claim("linux-1-1", asked),
        yard.service.claim("linux-2-1", _a_claim()),
        yard.service.claim("linux-1-1", asked),
    )

    jobs = [answer.job.job_id for answer in answers if answer.job]
    assert (jobs[0], len(set(jobs))) == (jobs[2], 2)


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_crowds_at_two_producers_never_share_a_job(yard: Yard, store_url: str) -> None:
    """Batches and lone builds of both: claims wait for each other's builds, and nobody gets what another took."""
    store = open_store(store_url, yard.clock)
    other = Service(store, yard.objects, yard.feed, yard.service._farm, yard.clock, yard.service._outlets)
    await a_planned_batch(yard, 30)
    for _ in range(10):
        await submit(yard)
    names = await crowd(yard, 40)

    answers = await asyncio.gather(
        *((yard.service if number % 2 else other).claim(name, _a_claim()) for number, name in enumerate(names))
    )

    jobs = [answer.job.job_id for answer in answers if answer.job]
    assert len(jobs) == len(set(jobs)) == 40
    await store.close()


def _a_claim() -> ClaimRequest:
    return ClaimRequest(claim_id=CLOCK.new_id(), pool="linux")


# ---------------------------------------------------------------- what a job costs


async def test_a_job_of_a_batch_costs_few_statements(yard: Yard) -> None:
    """A guard against quietly growing: with the ends of both transactions this is what each of thousands pays."""
    await a_planned_batch(yard, 5)
    with statements(yard) as asked:
        spec = await claim(yard)
    assert len([one for one in asked if one != "BEGIN IMMEDIATE"]) == 4, asked

    assert isinstance(spec, JobSpec)
    assert spec.kind is JobKind.ROWS
    with statements(yard) as asked:
        await yard.service.record(finished(spec, rows=(RowResult(row=1, ok=True),)))
    its_time = 1 if yard.store.shared else 0  # PostgreSQL's, asked once the build is held
    assert len([one for one in asked if one != "BEGIN IMMEDIATE"]) == 7 + its_time, asked


# ---------------------------------------------------------------- connections that rested


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_a_connection_that_died_while_it_rested_is_replaced(
    yard: Yard, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was used this moment is not asked: its end is found by whoever uses it, once."""
    monkeypatch.setattr(engine, "_TRUSTED_SECONDS", 600.0)
    await submit(yard)
    await _end_all_connections(yard, store_url)
    with pytest.raises(StoreUnavailable):
        await submit(yard)
    await submit(yard)

    await _end_all_connections(yard, store_url)
    monkeypatch.setattr(engine, "_TRUSTED_SECONDS", 0.0)
    await submit(yard)


async def _end_all_connections(yard: Yard, store_url: str) -> None:
    outside = open_store(store_url, yard.clock)
    async with outside.begin() as tx:
        others = "pid <> pg_backend_pid() AND datname = current_database()"
        ended = await tx._db.execute(
            text(f"SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE {others}")
        )
        assert list(ended.scalars())
    await outside.close()
