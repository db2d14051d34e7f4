"""The producer's guards against servers that are away and jobs that kill, each tried with it and without it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from buildyard.clock import SystemClock
from buildyard.errors import StoreUnavailable, TemporaryError
from buildyard.ports import Broker, jobs
from buildyard.settings import Settings
from chaos.proxy import Proxy, proxied
from orchestrator import app
from orchestrator.domain import lifecycle
from orchestrator.domain.records import Attempt, Build, Job, JobCounts, Limits, Step
from orchestrator.hearing import Hearing
from orchestrator.relay import Relay
from orchestrator.store import engine, open_store
from orchestrator.store.queries import DeadFilter
from tests.guards import holds_only_with
from tests.orchestrator.conftest import LIMITS, Yard
from tests.orchestrator.test_background import sweeper
from tests.orchestrator.test_guards import Jumping, lost
from tests.orchestrator.test_service import claim, claimed, join, submit, waited

PATIENCE = 90.0
LOCKED_SECONDS = 0.5


@pytest.fixture
async def proxy(fresh_postgres: str) -> AsyncIterator[Proxy]:
    """Stands before PostgreSQL."""
    parts = urlsplit(fresh_postgres)
    async with proxied(parts.hostname or "127.0.0.1", parts.port or 5432) as before:
        yield before


@pytest.fixture
def behind(proxy: Proxy, fresh_postgres: str) -> str:
    """A database behind the proxy."""
    parts = urlsplit(fresh_postgres)
    who = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{who}@127.0.0.1:{proxy.port}").geturl()


# ---------------------------------------------------------------- the database


async def test_after_silence_that_ends_in_lost_connections_the_next_request_is_served_because_connections_are_tried(
    behind: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_TRUSTED_SECONDS", 0.0)  # this silence is shorter than one that is looked into

    async def check() -> list[str]:
        store = open_store(behind, SystemClock())
        try:
            async with store.begin() as tx:
                await tx.now()
            proxy.freeze()
            proxy.cut()
            proxy.thaw()
            await proxy.emptied()
            async with store.begin() as tx:
                await tx.now()
        except StoreUnavailable as error:
            return [f"the database is there, and a request fails: {error}"]
        finally:
            await store.close()
        return []

    def untried(_engine: object) -> None:
        """No connection is asked whether it lives."""

    await holds_only_with(lambda patch: patch.setattr(engine, "_ping_after_a_rest", untried), check, monkeypatch)


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLite, unless a test says `behind`."""
    if getattr(request, "param", "") == "behind":
        url: str = request.getfixturevalue("behind")
        return url
    return f"sqlite+aiosqlite:///{tmp_path}/store.sqlite"


@pytest.mark.parametrize("store_url", ["behind"], indirect=True)
async def test_after_a_restart_of_the_database_tickets_go_out_because_loops_begin_again(
    yard: Yard, broker: Broker, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> list[str]:
        await submit(yard)
        before = (await broker.depth(jobs("linux"))).ready
        relay = Relay(yard.store, broker)
        await proxy.refuse()  # as a server that is killed
        with capture_logs() as said:
            relaying = asyncio.create_task(app._for_ever(relay.run))
            async with asyncio.timeout(PATIENCE):
                while not said and not relaying.done():
                    await asyncio.sleep(0.01)
        await proxy.listen()
        relay.offer(yard.caught.tickets)
        try:
            async with asyncio.timeout(PATIENCE):
                while (await broker.depth(jobs("linux"))).ready == before and not relaying.done():
                    await asyncio.sleep(0.01)
            return ["nobody publishes tickets any more"] if relaying.done() else []
        finally:
            await app._ended([relaying])

    async def once(action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await action()

    @asynccontextmanager
    async def unnamed() -> AsyncIterator[None]:
        yield

    def guard_out(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(app, "_for_ever", once)
        patch.setattr(engine, "_errors_named", unnamed)

    await holds_only_with(guard_out, check, monkeypatch)


async def test_a_state_file_that_somebody_locks_for_a_moment_fails_nobody_because_writers_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = count()

    async def check() -> list[str]:
        file = tmp_path / f"locked-{next(files)}.sqlite"
        store = open_store(f"sqlite+aiosqlite:///{file}", SystemClock())
        await store.migrate()
        writer = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        writer.execute("BEGIN IMMEDIATE")
        unlocking = asyncio.get_running_loop().call_later(LOCKED_SECONDS, writer.execute, "ROLLBACK")
        try:
            async with store.begin() as tx:
                await tx.now()
        except StoreUnavailable as error:
            return [f"a lock of {LOCKED_SECONDS} s fails a write: {error}"]
        finally:
            unlocking.cancel()
            writer.close()
            await store.close()
        return []

    hasty = (*(one for one in engine._SQLITE_PRAGMAS if "busy" not in one), "PRAGMA busy_timeout=0")
    assert len(hasty) == len(engine._SQLITE_PRAGMAS), "there is no such guard"

    await holds_only_with(lambda patch: patch.setattr(engine, "_SQLITE_PRAGMAS", hasty), check, monkeypatch)


# ---------------------------------------------------------------- leases


async def test_after_an_outage_a_living_workers_lease_waits_because_it_may_have_been_unheard(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While broker or database are silent or gone no report is recorded, so every lease runs out."""
    machine = Jumping()
    yard.store._clock = yard.service._clock = machine

    async def check() -> list[str]:
        spec = await claimed(yard)
        sweeping = sweeper(yard, broker, machine)
        hearing = sweeping._hearing
        hearing._since = machine.seconds - 10 * LIMITS.lease_seconds
        machine.seconds += LIMITS.lease_seconds + 1

        async def silent() -> bool:
            raise TimeoutError

        recorded = hearing._parts.recorded
        hearing._parts = replace(hearing._parts, recorded=silent)
        await sweeping._expire_leases()
        hearing._parts = replace(hearing._parts, recorded=recorded)
        machine.seconds += 1  # it is over; the worker's next heartbeat is on its way
        await sweeping._expire_leases()
        return await lost(yard, spec.build_id)

    await holds_only_with(lambda patch: patch.setattr(Hearing, "anew", lambda *_: None), check, monkeypatch)


# ---------------------------------------------------------------- stopping


async def test_a_producer_stops_although_its_loops_fail_while_they_are_cancelled() -> None:
    """On a full disk a subscription cannot be stopped in order; its loop then takes the failure for an outage."""
    begun = asyncio.Event()

    async def full() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise StoreUnavailable("The disk is full.") from None

    looping = asyncio.create_task(app._for_ever(full))
    await begun.wait()

    async with asyncio.timeout(PATIENCE):
        await app._ended([looping])

    assert looping.cancelled()


# ---------------------------------------------------------------- poison


async def test_a_job_that_kills_each_of_its_workers_ends_because_attempts_are_limited(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> list[str]:
        await join(yard)
        build_id = await submit(yard)
        for _ in range(LIMITS.max_attempts + 2):
            spec = await claim(yard)
            if spec is None:
                break
            async with yard.store.read() as queries:
                [attempt] = await queries.live_attempts()
            await yard.service.expire(attempt, attempt.lease_until)
            await waited(yard)
        status = await yard.views.build(build_id)
        if status.status != "Failed":
            return [f"after {len(status.attempts)} dead workers it is {status.status}"]
        dead = [letter.execution_id for letter in (await yard.views.dead_letters(DeadFilter())).dead]
        return [] if build_id in dead else ["nobody is asked to look at it"]

    again = lifecycle._again_or_over

    def unlimited(build: Build, job: Job, ended: Attempt, others: JobCounts, limits: Limits, now: datetime) -> Step:
        return again(build, job, ended, others, replace(limits, max_attempts=2**31), now)

    await holds_only_with(lambda patch: patch.setattr(lifecycle, "_again_or_over", unlimited), check, monkeypatch)


# ---------------------------------------------------------------- starting


async def test_a_producer_that_is_there_before_its_servers_gets_ready_because_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = count()

    async def check() -> list[str]:
        producer = app.build_producer(Settings(data_dir=tmp_path / str(next(folders))))
        migrate, left = producer.store.migrate, 2

        async def late() -> None:
            nonlocal left
            left -= 1
            if left >= 0:
                raise StoreUnavailable("The database is not there yet.")
            await migrate()

        monkeypatch.setattr(producer.store, "migrate", late)
        with suppress(TemporaryError):
            async with asyncio.timeout(PATIENCE):
                await producer.start()
        state = producer.life.state
        await producer.stop()
        return [] if state == "ok" else [f"it is still {state} although the database is there"]

    async def asked_once(_part: str, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await action()

    await holds_only_with(lambda patch: patch.setattr(app, "_until_reached", asked_once), check, monkeypatch)
