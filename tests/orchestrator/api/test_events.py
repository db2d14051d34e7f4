"""Server-sent events: numbered, resumable without gap or double, over when the build is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from buildyard.errors import StoreUnavailable
from orchestrator.feed import WATCH_LIMIT
from tests.orchestrator.api.fakes import BUILD_ID, OTHER_ID, Farm

EVENTS = f"/api/v1/builds/{BUILD_ID}/events"


@asynccontextmanager
async def watching(
    served: httpx.AsyncClient, query: str = "", headers: dict[str, str] | None = None
) -> AsyncIterator[AsyncIterator[str]]:
    async with asyncio.timeout(60), served.stream("GET", EVENTS + query, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield (block async for block in blocks(answer))


async def blocks(answer: httpx.Response) -> AsyncIterator[str]:
    block: list[str] = []
    async for line in answer.aiter_lines():
        if line:
            block.append(line)
        else:
            yield "\n".join(block)
            block = []


async def ids(stream: AsyncIterator[str], count: int) -> list[int]:
    return [int((await anext(stream)).splitlines()[1].removeprefix("id: ")) for _ in range(count)]


async def test_events_come_from_the_first_one_live_and_up_to_the_end(served: httpx.AsyncClient, farm: Farm) -> None:
    farm.tell("build_received")
    async with watching(served) as stream:
        first = await anext(stream)
        assert json.loads(first.splitlines()[0].removeprefix("data: "))["buildId"] == BUILD_ID
        assert first.splitlines()[1] == "id: 1"
        farm.tell("build_queued")
        assert await ids(stream, 1) == [2]
        farm.say(1, ["log lines are no events"])
        farm.end()
        assert await ids(stream, 1) == [3]
        assert [block async for block in stream] == []


@pytest.mark.parametrize(("query", "headers"), [("?after=2", {}), ("", {"Last-Event-ID": "2"})])
async def test_a_reader_goes_on_after_the_last_event_it_saw(
    served: httpx.AsyncClient, farm: Farm, query: str, headers: dict[str, str]
) -> None:
    for _ in range(3):
        farm.tell("stage_started")
    farm.end()

    async with watching(served, query, headers) as stream:
        assert await ids(stream, 2) == [3, 4]


async def test_more_than_a_page_comes_whole(served: httpx.AsyncClient, farm: Farm) -> None:
    for _ in range(1203):
        farm.tell("rows_done")
    farm.end()

    async with watching(served) as stream:
        assert await ids(stream, 1204) == list(range(1, 1205))


async def test_a_slow_reader_misses_nothing(served: httpx.AsyncClient, farm: Farm) -> None:
    farm.tell("build_received")
    async with watching(served) as stream:
        assert await ids(stream, 1) == [1]
        for _ in range(WATCH_LIMIT + 50):
            farm.tell("rows_done")
        farm.end()
        assert await ids(stream, WATCH_LIMIT + 51) == list(range(2, WATCH_LIMIT + 53))


async def test_an_event_that_overtakes_another_waits_for_it(served: httpx.AsyncClient, farm: Farm) -> None:
    farm.tell("build_received")
    async with watching(served) as stream:
        assert await ids(stream, 1) == [1]
        second = farm.tell("build_queued")
        third = farm.tell("job_ready")
        farm.feed.publish([third, second])
        farm.end()
        assert await ids(stream, 3) == [2, 3, 4]


async def test_a_reader_that_saw_the_end_is_told_not_to_come_back(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.end()

    answer = await client.get(EVENTS, headers={"Last-Event-ID": "1"})

    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_stream_outlives_an_absence_of_the_store(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.events._TICK_SECONDS", 0.01)
    monkeypatch.setattr("orchestrator.api.events._RECHECK_SECONDS", 0.01)
    farm.tell("build_received")
    async with watching(served) as stream:
        assert await ids(stream, 1) == [1]
        farm.views.failure = StoreUnavailable("The database is away.")
        farm.views.calls.clear()
        while not farm.views.calls:
            await asyncio.sleep(0)
        farm.tell("build_queued")
        farm.views.failure = None
        farm.end()
        assert await ids(stream, 2) == [2, 3]


async def test_a_quiet_stream_sends_comments(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.events.HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr("orchestrator.api.events._TICK_SECONDS", 0.01)
    async with watching(served) as stream:
        assert await anext(stream) == ": ping"


async def test_missed_wakes_are_made_good_by_asking_the_store(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.events._RECHECK_SECONDS", 0.02)
    monkeypatch.setattr("orchestrator.api.events._TICK_SECONDS", 0.01)
    farm.tell("build_received")
    async with watching(served, "?after=900") as stream:
        farm.views.ended = True
        assert [block async for block in stream] == []


async def test_events_of_an_unknown_build_are_404(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/api/v1/builds/{OTHER_ID}/events")).status_code == 404
    assert (await client.get("/api/v1/builds/nonsense/events")).status_code == 404


@pytest.mark.parametrize("last", ["x", "-1", "1e3", "9" * 40])
async def test_a_last_event_id_that_is_no_number_begins_from_the_start(
    served: httpx.AsyncClient, farm: Farm, last: str
) -> None:
    farm.tell("build_received")
    farm.end()

    async with watching(served, headers={"Last-Event-ID": last}) as stream:
        assert await ids(stream, 2) == [1, 2]


async def test_a_last_event_id_from_the_future_waits_for_its_successor_and_ends_with_the_build(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.events._TICK_SECONDS", 0.01)
    monkeypatch.setattr("orchestrator.api.events._RECHECK_SECONDS", 0.05)
    farm.tell("build_received")
    async with watching(served, headers={"Last-Event-ID": "999999999"}) as stream:
        farm.tell("build_queued")
        farm.end()
        assert [block async for block in stream if not block.startswith(":")] == []


async def test_streams_end_when_the_producer_stops(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.events._TICK_SECONDS", 0.01)
    farm.tell("build_received")
    async with watching(served) as stream:
        await ids(stream, 1)
        farm.state = "stopping"
        assert [block async for block in stream] == []
