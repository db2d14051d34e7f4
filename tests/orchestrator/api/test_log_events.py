"""A log as server-sent events: resumed by the browser itself, with comments in quiet times, and an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.orchestrator.api.fakes import BUILD_ID, Farm
from tests.orchestrator.api.test_events import blocks
from tests.orchestrator.api.test_farm_events import fields

LOGS = f"/api/v1/builds/{BUILD_ID}/logs?format=sse"


@asynccontextmanager
async def reading(
    served: httpx.AsyncClient, query: str = "&follow=1", last: str | None = None
) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    headers = {"Last-Event-ID": last} if last is not None else {}
    async with asyncio.timeout(60), served.stream("GET", LOGS + query, headers=headers) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield (fields(block) async for block in blocks(answer))


async def test_lines_come_as_events_with_their_numbers_live_and_up_to_the_end(
    served: httpx.AsyncClient, farm: Farm
) -> None:
    farm.store_log(1, ["one", "two"])
    async with reading(served) as stream:
        stored = [await anext(stream) for _ in range(2)]
        farm.say(3, ["three"])
        live = await anext(stream)
        farm.store_log(3, ["three"])
        farm.end()
        rest = [block async for block in stream]

    assert [block["id"] for block in (*stored, live)] == ["1", "2", "3"]
    assert [json.loads(block["data"])["text"] for block in (*stored, live)] == ["one", "two", "three"]
    assert rest == [{"event": "end", "data": "{}"}]


async def test_a_reader_goes_on_after_the_last_line_it_saw_and_is_told_when_there_is_no_more(
    served: httpx.AsyncClient, farm: Farm
) -> None:
    farm.store_log(1, ["one", "two", "three"])
    farm.end()
    async with reading(served, last="2") as stream:
        assert [block.get("id", block.get("event")) async for block in stream] == ["3", "end"]
    assert (await served.get(LOGS + "&follow=1", headers={"Last-Event-ID": "3"})).status_code == 204


@pytest.mark.parametrize("last", ["x", "-1", "9" * 40, "0"])
async def test_an_id_that_is_none_begins_with_the_first_line(served: httpx.AsyncClient, farm: Farm, last: str) -> None:
    farm.store_log(1, ["one"])
    farm.end()
    async with reading(served, last=last) as stream:
        assert (await anext(stream))["id"] == "1"


async def test_a_line_from_the_future_is_waited_for(served: httpx.AsyncClient, farm: Farm) -> None:
    farm.store_log(1, ["one"])
    async with reading(served, last="2") as stream:
        farm.say(2, ["two", "three"])
        assert (await anext(stream))["id"] == "3"
        farm.end()


async def test_a_quiet_log_sends_comments_but_only_as_events(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.log_streams.HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr("orchestrator.api.log_streams._TICK_SECONDS", 0.01)
    async with reading(served) as stream:
        assert await anext(stream) == {"": "ping"}
    text = asyncio.create_task(served.get(LOGS.replace("sse", "text") + "&follow=1"))
    async with reading(served) as stream:
        await anext(stream)
        farm.end()
    assert (await text).text == ""


async def test_lines_that_are_stored_are_told_once_without_following(served: httpx.AsyncClient, farm: Farm) -> None:
    farm.store_log(1, ["a\rb", "\x1b[1mc"])
    async with reading(served, "&tail=5") as stream:
        found = [json.loads(block["data"])["text"] async for block in stream]

    assert found == ["a\rb", "\x1b[1mc"]
