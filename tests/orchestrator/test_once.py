"""`Idempotency-Key` on a real database, SQLite and PostgreSQL alike: nothing is done twice, whoever answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import httpx
import pytest
from sqlalchemy import select, update

from buildyard.contracts.api import BuildRequest
from buildyard.contracts.builds import JobSpec
from buildyard.errors import StoreUnavailable
from buildyard.ports import Broker
from buildyard.settings import Settings
from orchestrator.api import ApiParts, create_app
from orchestrator.api.gate import Gate
from orchestrator.api.metrics import Metrics
from orchestrator.domain.once import HELD, KEY_KEPT
from orchestrator.domain.retention import Keep
from orchestrator.service import Service
from orchestrator.store import open_store
from orchestrator.store.schema import idempotency_keys as keys
from orchestrator.upkeep import Upkeep
from tests.orchestrator.api.fake_ports import FakeBroker, MemoryObjects
from tests.orchestrator.conftest import Yard, a_tail
from tests.orchestrator.test_dead_letters import die
from tests.orchestrator.test_service import claim, finished, join

BUILD = {"project_name": "p", "git_url": "https://github.com/a/b.git"}
CSV = ("data.csv", b"a,b\n1,2\n", "text/csv")
KEY = {"Idempotency-Key": "one"}


on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)  # what does not hang on the database


@dataclass
class Api:
    """An API over a real service: its client, and its object store."""

    client: httpx.AsyncClient
    objects: MemoryObjects


@asynccontextmanager
async def serving(yard: Yard, service: Service | None = None) -> AsyncIterator[Api]:
    settings, objects = Settings(), MemoryObjects()
    parts = ApiParts(
        service=service or yard.service,
        views=yard.views,
        feed=yard.feed,
        objects=objects,
        broker=cast("Broker", FakeBroker()),
        settings=settings,
        clock=yard.clock,
        metrics=Metrics(),
        state=lambda: "ok",
        gate=Gate(settings, yard.views, yard.clock),
        tail=a_tail(yard.store, yard.feed),
    )
    transport = httpx.ASGITransport(create_app(parts))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield Api(client, objects)


@pytest.fixture
async def api(yard: Yard) -> AsyncIterator[Api]:
    async with serving(yard) as opened:
        yield opened


async def builds(yard: Yard) -> list[str]:
    page = await yard.views.builds(status=None, project=None, pool=None, cursor=None, limit=100)
    return [build.execution_id for build in page.builds]


async def test_the_same_request_again_gets_the_same_answer_and_makes_nothing(yard: Yard, api: Api) -> None:
    first, again = [await api.client.post("/api/v1/builds", json=BUILD, headers=KEY) for _ in range(2)]

    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.content, again.headers["Location"]) == (first.content, first.headers["Location"])
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert await builds(yard) == [first.json()["executionId"]]


@on_sqlite
async def test_another_request_under_the_key_is_refused(yard: Yard, api: Api) -> None:
    await api.client.post("/api/v1/builds", json=BUILD, headers=KEY)

    for path, body in (("/api/v1/builds", {**BUILD, "branch": "dev"}), ("/api/v1/dead/requeue", BUILD)):
        answer = await api.client.post(path, json=body, headers=KEY)
        assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
    assert len(await builds(yard)) == 1


@on_sqlite
async def test_an_upload_is_known_by_its_files_hash_and_not_by_its_boundary(yard: Yard, api: Api) -> None:
    async def send(content: bytes, **fields: str) -> httpx.Response:
        return await api.client.post(
            "/upload", files={"file": ("d.csv", content, "text/csv")}, data=fields, headers=KEY
        )

    first = await send(CSV[1], projectName="p")
    again = await send(CSV[1], projectName="p")
    other = [await send(CSV[1] + b"3,4\n", projectName="p"), await send(CSV[1], projectName="q")]

    assert (first.status_code, again.status_code, again.content) == (202, 202, first.content)
    assert [(answer.status_code, answer.json()["code"]) for answer in other] == [(422, "key_reused")] * 2
    assert await builds(yard) == [first.json()["executionId"]]
    assert len(api.objects.kept) == 1, "what was sent again is not kept"


@on_sqlite
async def test_an_upload_that_is_kept_is_kept_once_and_built_once(yard: Yard, api: Api) -> None:
    kept = [await api.client.post("/api/v1/jobs", files={"file": CSV}, headers=KEY) for _ in range(2)]
    path = f"/api/v1/jobs/{kept[0].json()['jobId']}/build"
    started = [await api.client.post(path, json={"job": {}}, headers={"Idempotency-Key": "two"}) for _ in range(2)]

    assert [answer.status_code for answer in (*kept, *started)] == [201, 201, 202, 202]
    assert kept[0].content == kept[1].content
    assert started[0].content == started[1].content
    assert len(await builds(yard)) == 1


async def running(yard: Yard) -> JobSpec:
    """A build of a repository that an agent has in hand."""
    await yard.service.submit_git(BuildRequest.model_validate(BUILD), requester="local")
    spec = await claim(yard)
    assert spec is not None
    return spec


async def test_a_retry_and_a_requeue_are_done_once(yard: Yard, api: Api) -> None:
    await join(yard)
    done, gone = await running(yard), await running(yard)
    await yard.service.record(finished(done))
    await die(yard, gone)
    requeued = [await api.client.post(f"/api/v1/dead/{gone.build_id}/requeue", headers=KEY) for _ in range(2)]
    path = f"/api/v1/builds/{done.build_id}/retry"
    retried = [await api.client.post(path, headers={"Idempotency-Key": "two"}) for _ in range(2)]

    assert [answer.status_code for answer in (*requeued, *retried)] == [202] * 4
    assert requeued[0].content == requeued[1].content
    assert retried[0].content == retried[1].content
    assert (await api.client.post(path)).json()["executionId"] != retried[0].json()["executionId"]


async def test_the_key_holds_at_another_producer_too(yard: Yard, store_url: str) -> None:
    store = open_store(store_url, yard.clock)
    other = Service(store, yard.objects, yard.feed, yard.service._farm, yard.clock, yard.service._outlets)
    async with serving(yard) as one, serving(yard, other) as two:
        answers = await asyncio.gather(
            *(api.client.post("/api/v1/builds", json=BUILD, headers=KEY) for api in (one, two) * 4)
        )
    await store.close()

    assert [answer.status_code for answer in answers] == [202] * 8
    assert len({answer.json()["executionId"] for answer in answers}) == 1
    assert len(await builds(yard)) == 1


async def test_a_producer_that_died_before_its_answer_leaves_no_second_build(
    yard: Yard, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def died(*_: object, **__: object) -> None:
        raise StoreUnavailable("It was killed here.")

    with monkeypatch.context() as patched:
        patched.setattr(yard.service, "keep_answer", died)
        patched.setattr(yard.service, "release_key", died)
        first = await api.client.post("/api/v1/builds", json=BUILD, headers=KEY)
    await _age_keys(yard, HELD)
    again = await api.client.post("/api/v1/builds", json=BUILD, headers=KEY)

    assert (again.status_code, again.json()["executionId"]) == (202, first.json()["executionId"])
    assert len(await builds(yard)) == 1


@on_sqlite
async def test_a_request_that_is_worked_on_is_told_so(yard: Yard, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.api.once._PAUSE_SECONDS", 0.0)
    await yard.service.hold_key("local", "one", await _fingerprint(yard, api))

    answer = await api.client.post("/api/v1/builds/x/cancel", headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (409, "in_progress")


async def _fingerprint(yard: Yard, api: Api) -> str:
    """What the API holds the key of a cancel by."""
    seen: list[str] = []
    real = yard.service.hold_key

    async def hold(requester: str, key: str, fingerprint: str) -> object:
        seen.append(fingerprint)
        return await real(requester, key, fingerprint)

    yard.service.hold_key = hold  # type: ignore[method-assign, assignment] # listens in
    await api.client.post("/api/v1/builds/x/cancel", headers={"Idempotency-Key": "other"})
    yard.service.hold_key = real  # type: ignore[method-assign] # back to what it was
    return seen[0]


@on_sqlite
async def test_a_refused_request_leaves_its_key_free_and_a_failed_one_is_run_again(
    yard: Yard, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {**BUILD, "timeoutMinutes": 100_000}
    assert (await api.client.post("/api/v1/builds", json=bad, headers=KEY)).status_code == 422
    assert (await api.client.post("/api/v1/builds", json={"nonsense": 1}, headers=KEY)).status_code == 422

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("The database is away.")

    with monkeypatch.context() as patched:
        patched.setattr(yard.service, "submit_git", away)
        assert (await api.client.post("/api/v1/builds", json=BUILD, headers=KEY)).status_code == 503
    assert (await api.client.post("/api/v1/builds", json=BUILD, headers=KEY)).status_code == 202
    assert len(await builds(yard)) == 1


async def test_keys_are_forgotten_after_a_day(yard: Yard, api: Api) -> None:
    await api.client.post("/api/v1/builds", json=BUILD, headers=KEY)
    upkeep = Upkeep(yard.store, api.objects, Keep(unbuilt=timedelta(hours=24), built=timedelta(hours=24)))

    await upkeep.drop_old_rows()
    assert (await api.client.post("/api/v1/builds", json=BUILD, headers=KEY)).headers["Idempotency-Replayed"]
    await _age_keys(yard, KEY_KEPT + timedelta(seconds=1))
    await upkeep.drop_old_rows()

    assert "Idempotency-Replayed" not in (await api.client.post("/api/v1/builds", json=BUILD, headers=KEY)).headers


async def _age_keys(yard: Yard, by: timedelta) -> None:
    """Let all keys be older: no clock of these tests moves that of PostgreSQL."""
    async with yard.store.begin() as tx:
        for row in (await tx._db.execute(select(keys))).mappings().all():
            aged = {"created_at": row["created_at"] - by, "held_until": row["held_until"] - by}
            await tx._db.execute(update(keys).where(keys.c.key == row["key"]).values(aged))
