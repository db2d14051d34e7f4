"""Removing beside others: a second producer that removes, and retries of what is old."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from buildyard.errors import Gone
from orchestrator.store.transaction import Saved, Transaction
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_removing import GONE_AT_ONCE, built, counted, keys, retire
from tests.orchestrator.test_service import a_request, an_upload, claimed, finished, join


async def test_a_batch_stays_while_a_retry_of_its_retry_is_only_being_made(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await built(yard)
    second = (await yard.service.retry(first.build_id, requester="me")).execution_id
    await yard.service.cancel(second, requester="me")
    create, gone = Transaction.create, asyncio.Event()
    removal: list[asyncio.Task[dict[str, int]]] = []

    async def slowly(self: Transaction, *given: Any) -> Saved:
        """Somebody removes what is old while the retry is written; on SQLite he has to wait for it."""
        if not removal:
            removal.append(asyncio.create_task(retire(yard, GONE_AT_ONCE)))
            removal[0].add_done_callback(lambda _: gone.set())
            if yard.store.shared:
                await gone.wait()
        return await create(self, *given)

    monkeypatch.setattr(Transaction, "create", slowly)
    third = (await yard.service.retry(second, requester="me")).execution_id
    await removal[0]

    assert (await yard.views.build(first.build_id)).status == "Succeeded"
    assert (await yard.views.build(third)).retry_of == second


async def test_two_producers_that_remove_at_once_leave_nothing_and_break_nothing(yard: Yard) -> None:
    specs = [await built(yard) for _ in range(12)]
    running = await claimed(yard)

    done = await asyncio.gather(*(retire(yard, GONE_AT_ONCE) for _ in range(4)))

    assert sum(one.get("builds", 0) for one in done) == len(specs), "each is counted once"
    assert await counted(yard, "builds") == {"builds": 1}
    assert all(key.startswith(f"builds/{running.build_id}/") for key in await keys(yard))
    for spec in specs:
        with pytest.raises(Gone):
            await yard.views.build(spec.build_id)
    await yard.service.record(finished(running))
    assert (await yard.views.build(running.build_id)).status == "Succeeded"


async def test_a_retry_and_a_removal_at_once_never_leave_a_build_without_its_source(yard: Yard) -> None:
    await join(yard)
    for _ in range(5):
        upload = an_upload()
        build = (await yard.service.submit(a_request(), upload, requester="local")).execution_id
        await yard.service.cancel(build, requester="me")

        told, _ = await asyncio.gather(
            yard.service.retry(build, requester="me"), retire(yard, GONE_AT_ONCE), return_exceptions=True
        )

        if isinstance(told, Gone):
            continue
        assert not isinstance(told, BaseException)
        assert (await yard.views.build(build)).status == "Cancelled", "the retry still needs it"
        await yard.service.cancel(told.execution_id, requester="me")
        await retire(yard, GONE_AT_ONCE)
