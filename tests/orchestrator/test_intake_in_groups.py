"""Submissions that come at the same time share a transaction; to each it is as if it came alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.clock import SystemClock
from buildyard.contracts.builds import Priority
from buildyard.errors import InvalidRequest, Overloaded, StoreUnavailable
from orchestrator.domain.records import Build
from orchestrator.service.outlook import Outlook, Queue
from orchestrator.service.submitting import _WAITING_MOST
from orchestrator.store import Store
from orchestrator.store.queries import BuildFilter
from orchestrator.store.transaction import Transaction
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import a_request, an_upload, submit
from tests.orchestrator.world import START, a_build


async def _kept(yard: Yard) -> list[str]:
    async with yard.store.read() as queries:
        return sorted(build.id for build in await queries.builds(BuildFilter(limit=200)))


async def test_a_crowd_is_accepted_in_a_few_transactions_with_positions_of_its_own(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = _counted(monkeypatch)

    answers = await asyncio.gather(
        *(yard.service.submit(a_request(), an_upload(), requester="local") for _ in range(40))
    )

    assert await _kept(yard) == sorted(answer.execution_id for answer in answers)
    assert sorted(answer.queue_position for answer in answers) == list(range(40))
    assert len({ticket.ticket_id for ticket in yard.caught.tickets}) == 40
    assert len(begun) <= 3
    for answer in answers:
        events = await yard.views.events(answer.execution_id, after=0, limit=10)
        assert [event.seq for event in events] == [1, 2]


async def test_one_that_the_database_refuses_takes_no_other_with_it(yard: Yard) -> None:
    taken = await submit(yard)

    answers = await asyncio.gather(
        *(yard.service.submit(a_request(), an_upload(), requester="local") for _ in range(3)),
        yard.service.submit(a_request(), an_upload(), requester="local", build_id=taken),
        *(yard.service.submit(a_request(), an_upload(), requester="local") for _ in range(3)),
        return_exceptions=True,
    )

    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert [type(one) for one in refused] == [InvalidRequest]
    assert len(await _kept(yard)) == 7
    assert len(yard.caught.tickets) == 7


async def test_a_database_that_stands_still_slows_the_intake_and_bounds_it(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it stands still nothing is answered and nothing is lost; above a bound the next ones are sent away."""
    goes_on, real = asyncio.Event(), Store.begin

    @asynccontextmanager
    async def still(store: Store) -> AsyncIterator[Transaction]:
        await goes_on.wait()
        async with real(store) as tx:
            yield tx

    monkeypatch.setattr(Store, "begin", still)
    crowd = [
        asyncio.create_task(yard.service.submit(a_request(), an_upload(), requester="local"))
        for _ in range(_WAITING_MOST + 100)
    ]
    done, waiting = await asyncio.wait(crowd, timeout=0)
    while len(done) < 36 and not goes_on.is_set():  # those beyond the first group and all that may wait
        done, waiting = await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
    turned_away = [task.exception() for task in done]
    goes_on.set()
    accepted = await asyncio.gather(*waiting, return_exceptions=True)

    assert all(isinstance(one, Overloaded) and one.retry_after for one in turned_away)
    kept = {one.execution_id for one in accepted if not isinstance(one, BaseException)}
    async with yard.store.read() as queries:
        assert await queries.open_build_count() == len(kept) >= _WAITING_MOST


async def test_when_a_group_fails_nothing_of_it_is_kept_and_all_hear_it(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_tx: Transaction, _steps: Any) -> None:
        raise StoreUnavailable("The database is gone.")

    monkeypatch.setattr(Transaction, "create_all", gone)

    answers = await asyncio.gather(
        *(yard.service.submit(a_request(), an_upload(), requester="local") for _ in range(5)), return_exceptions=True
    )

    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    assert await _kept(yard) == []
    assert yard.caught.tickets == []


@given(
    st.lists(st.sampled_from(Priority), min_size=1, max_size=12),
    st.dictionaries(st.tuples(st.sampled_from(["linux", "mac"]), st.integers(0, 3)), st.integers(0, 50)),
)
def test_positions_of_a_group_follow_priority_then_age(
    priorities: list[Priority], ready: dict[tuple[str, int], int]
) -> None:
    group: list[Build] = [a_build(number, priority=one) for number, one in enumerate(priorities, start=1)]
    outlook = Outlook(SystemClock())
    queue = Queue(ready, {}, {}, {"demo": ()}, ())

    positions = {build.id: outlook.of(build, queue, group, START)[0] for build in group}

    for build in group:
        older = sum(count for (pool, rank), count in ready.items() if pool == "linux" and rank >= build.priority.rank)
        beside = [one for one in group if (-one.priority.rank, one.id) < (-build.priority.rank, build.id)]
        assert positions[build.id] == older + len(beside)


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    begun: list[None] = []
    real = Store.begin

    def counted(store: Store) -> Any:
        begun.append(None)
        return real(store)

    monkeypatch.setattr(Store, "begin", counted)
    return begun
