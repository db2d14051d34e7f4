"""All builds' events as one stream: resumable, filtered, and bounded however many read and however slowly."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from buildyard.client import ProducerClient
from buildyard.errors import StoreUnavailable
from orchestrator.tail import KEPT, PAGE
from tests.orchestrator.api.fakes import AT, Farm
from tests.orchestrator.api.test_events import blocks

EVENTS = "/api/v1/events"


def fields(block: str) -> dict[str, str]:
    """The fields of a server-sent event; a comment has the name ""."""
    named = (line.partition(": ") if line[0] != ":" else ("", "", line[2:]) for line in block.splitlines())
    return {name: value for name, _, value in named}


class Stream:
    """A stream as a client reads it."""

    def __init__(self, answer: httpx.Response) -> None:
        self._blocks = blocks(answer)
        self.last_id = ""

    async def next(self) -> dict[str, str]:
        """The next block, comments too."""
        found = fields(await anext(self._blocks))
        self.last_id = found.get("id", self.last_id)
        return found

    async def events(self, count: int) -> list[Any]:
        """So many events, read from JSON."""
        found: list[Any] = []
        while len(found) < count:
            block = await self.next()
            if "data" in block and "event" not in block:
                found.append(json.loads(block["data"]))
                assert found[-1]["id"] == block["id"]
        return found


@asynccontextmanager
async def watching(
    served: httpx.AsyncClient, query: str = "", headers: dict[str, str] | None = None
) -> AsyncIterator[Stream]:
    async with asyncio.timeout(120), served.stream("GET", EVENTS + query, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield Stream(answer)


async def test_a_stream_begins_with_what_comes_and_says_from_where(served: httpx.AsyncClient, farm: Farm) -> None:
    before = farm.tell_all("build_received")
    async with watching(served) as stream:
        assert await stream.next() == {"": "from here", "id": before.id}
        event = farm.tell_all("build_queued", project="other")

        [seen] = await stream.events(1)

    assert seen == event.wire()
    assert (seen["project"], seen["pool"], seen["type"]) == ("other", "linux", "build_queued")


async def test_a_reader_whose_connection_breaks_again_and_again_sees_everything_once(
    served: httpx.AsyncClient, farm: Farm
) -> None:
    told = [farm.tell_all("rows_done") for _ in range(5)]
    seen: list[Any] = []
    last = "0"
    for count in (1, 2, 4, 3):
        async with watching(served, headers={"Last-Event-ID": last}) as stream:
            told += [farm.tell_all("stage_started") for _ in range(2)]
            seen += await stream.events(count)
            last = stream.last_id

    assert seen == [event.wire() for event in told[:10]]


async def test_filters_leave_out_what_is_not_asked_for_and_still_move_on(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.farm_events.HEARTBEAT_SECONDS", 0.02)
    query = "?after=0&project=mine&type=build_ended&type=build_queued"
    for project in ("mine", "other"):
        for kind in ("build_queued", "rows_done", "build_ended"):
            farm.tell_all(kind, project=project)
    async with watching(served, query) as stream:
        seen = await stream.events(2)
        while (await stream.next())["id"] != farm.line.told[-1].id:
            pass  # comments, whose ids pass over what was left out

    assert [(event["project"], event["type"]) for event in seen] == [("mine", "build_queued"), ("mine", "build_ended")]


async def test_the_typed_client_reads_the_stream_with_its_filters(served: httpx.AsyncClient, farm: Farm) -> None:
    wanted = []
    for project in ("mine", "other"):
        for kind in ("build_queued", "rows_done", "build_ended"):
            event = farm.tell_all(kind, project=project)
            wanted += [event] if project == "mine" and kind != "rows_done" else []
    async with asyncio.timeout(60), ProducerClient(str(served.base_url)) as client:
        asked = client.farm_events(project="mine", types=("build_queued", "build_ended"), after="0")
        async with aclosing(asked) as events:
            assert [await anext(events) for _ in range(2)] == wanted


async def test_a_time_is_where_a_stream_may_begin(served: httpx.AsyncClient, farm: Farm) -> None:
    told = [farm.tell_all("rows_done", at=AT + timedelta(seconds=30 * n)) for n in range(10)]
    async with watching(served, "?since=2026-11-21T09:32:15Z") as stream:
        assert await stream.events(5) == [event.wire() for event in told[5:]]
    async with watching(served, "?since=2026-11-21T09:32:15Z", {"Last-Event-ID": told[7].id}) as stream:
        assert await stream.events(2) == [event.wire() for event in told[8:]]
    assert (await served.get(EVENTS, params={"since": "yesterday"})).status_code == 422


@pytest.mark.parametrize("known", [b"x", b"-1", b"1e3", b"7.5", b"36", b"9" * 19, b"9" * 60, "\u0663".encode()])
async def test_an_id_that_was_never_given_is_told_so_and_followed_by_what_is_new(
    served: httpx.AsyncClient, farm: Farm, known: bytes
) -> None:
    for _ in range(5):
        farm.tell_all("rows_done")
    headers = [(b"last-event-id", known)]
    async with asyncio.timeout(60), served.stream("GET", EVENTS, headers=headers) as answer:
        stream = Stream(answer)
        reset = await stream.next()
        event = farm.tell_all("build_queued")
        seen = await stream.events(1)

    assert (reset["event"], reset["id"]) == ("reset", "35")
    assert json.loads(reset["data"])["reason"]
    assert seen == [event.wire()]


async def test_the_newest_id_is_no_future_one(served: httpx.AsyncClient, farm: Farm) -> None:
    newest = farm.tell_all("rows_done")
    async with watching(served, headers={"Last-Event-ID": newest.id}) as stream:
        assert await stream.next() == {"": "from here", "id": newest.id}


@pytest.mark.parametrize("query", ["?type=nonsense", "?project=%00", "?since=1", "?after=" + "1" * 100])
async def test_a_question_that_means_nothing_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(EVENTS + query)).status_code == 422


async def test_a_quiet_stream_sends_comments_with_its_place(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.farm_events.HEARTBEAT_SECONDS", 0.02)
    newest = farm.tell_all("rows_done")
    async with watching(served) as stream:
        await stream.next()
        assert await stream.next() == {"": "ping", "id": newest.id}


async def test_a_stream_outlives_an_absence_of_the_store(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tail._AWAY_SECONDS", 0.01)
    async with watching(served) as stream:
        await stream.next()
        farm.line.failure = StoreUnavailable("The database is away.")
        farm.line.calls.clear()
        while not farm.line.calls:
            await asyncio.sleep(0)
        event = farm.tell_all("build_queued")
        farm.line.failure = None
        assert await stream.events(1) == [event.wire()]


async def test_without_the_store_no_stream_begins(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.line.failure = StoreUnavailable("The database is away.")

    assert (await client.get(EVENTS)).status_code == 503


async def test_streams_end_when_the_producer_stops(served: httpx.AsyncClient, farm: Farm) -> None:
    async with asyncio.timeout(60), served.stream("GET", EVENTS) as answer:
        stream = blocks(answer)
        await anext(stream)
        farm.state = "stopping"
        assert [block async for block in stream] == []


async def test_readers_that_take_nothing_cost_no_memory_and_hold_nobody_up(
    served: httpx.AsyncClient, farm: Farm
) -> None:
    port = served.base_url.port
    slow = [await asyncio.open_connection("127.0.0.1", port, limit=2**10) for _ in range(40)]
    for _, writer in slow:
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    for reader, _ in slow:
        await reader.readuntil(b"from here")  # and nothing more
    count = 2 * KEPT + 2 * PAGE
    async with watching(served) as quick:
        await quick.next()
        for _ in range(count):
            farm.tell_all("rows_done")
        seen = await quick.events(count)

        assert [event["seq"] for event in seen] == list(range(1, count + 1))
        assert len(farm.tail._kept) <= 2 * KEPT
        # One that wakes up reads on from the store, from the first event on, without a gap.
        text = await asyncio.wait_for(_until(slow[0][0], f'"seq":{count},'.encode()), 120)
    assert text.count(b"data: ") == count
    for _, writer in slow:
        writer.transport.abort()


async def _until(reader: asyncio.StreamReader, end: bytes) -> bytes:
    text = b""
    while end not in text:
        text += await reader.read(2**16)
    return text


async def test_readers_with_wishes_of_their_own_get_each_event_once_and_in_order(
    served: httpx.AsyncClient, farm: Farm
) -> None:
    queries = ["", "?project=mine", "?type=build_ended", "?project=mine&type=build_queued"] * 10
    expected: list[list[Any]] = [[] for _ in queries]
    async with AsyncExitStack() as opened:
        streams = [await opened.enter_async_context(watching(served, query)) for query in queries]
        for stream in streams:
            await stream.next()
        for number in range(20):
            event = farm.tell_all(
                "build_ended" if number % 3 else "build_queued", project="mine" if number % 2 else "other"
            )
            for query, wanted in zip(queries, expected, strict=True):
                fits = ("mine" not in query or event.project == "mine") and ("type" not in query or event.type in query)
                wanted.extend([event.wire()] if fits else [])
            await asyncio.sleep(0.001 * (number % 4))  # so that some come together
        seen = await asyncio.gather(
            *(stream.events(len(wanted)) for stream, wanted in zip(streams, expected, strict=True))
        )

    assert seen == expected


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_an_old_client_gets_the_same_without_chunks(served: httpx.AsyncClient, farm: Farm, version: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.base_url.port)
    writer.write(f"GET /api/v1/events HTTP/{version}\r\nHost: 127.0.0.1\r\n\r\n".encode())
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"from here")
        event = farm.tell_all("build_queued")
        text = await reader.readuntil(event.encode()) + await reader.readuntil(b"\n\n")
    writer.transport.abort()

    chunked = version == "1.1"
    assert (b"transfer-encoding: chunked" in head.lower()) is chunked
    lengths = re.findall(rb"([0-9a-f]+)\r\n(?=data: |id: )", text)
    assert len(lengths) == chunked
    if chunked:
        assert len(text.partition(lengths[0] + b"\r\n")[2]) == int(lengths[0], 16)


async def test_who_keeps_up_is_written_to_without_being_woken(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    after = farm.tail.after

    async def counted(position: int) -> Any:
        asked.append(position)
        return await after(position)

    monkeypatch.setattr(farm.tail, "after", counted)
    async with AsyncExitStack() as opened:
        streams = [await opened.enter_async_context(watching(served)) for _ in range(20)]
        for stream in streams:
            await stream.next()
        before = len(asked)
        for _ in range(10):
            event = farm.tell_all("build_queued")
            assert [await stream.events(1) for stream in streams] == [[event.wire()]] * len(streams)

    assert len(asked) - before <= len(streams)  # as one may still have been on its way to the end of the line
