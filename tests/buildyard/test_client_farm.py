"""The stream of all builds' events as the client reads it: taken up again where it stopped, told when it cannot be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.client import ProducerClient
from buildyard.client.sse import ServerSent, blocks_of
from buildyard.contracts.events import FarmEvent, StreamReset
from buildyard.errors import ProducerUnavailable
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply

EVENTS = "/api/v1/events"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer().running() as running:
        yield running


def frame(number: int, kind: str = "build_queued") -> bytes:
    event = {"id": str(number), "project": "p", "pool": "linux", "buildId": answers.BUILD_ID, "seq": 1, "type": kind}
    return f"data: {json.dumps({**event, 'at': answers.AT})}\nid: {number}\n\n".encode()


async def first(server: FakeServer, count: int, **asked: object) -> list[FarmEvent | StreamReset]:
    found: list[FarmEvent | StreamReset] = []
    async with ProducerClient(server.url) as client, aclosing(client.farm_events(**asked)) as events:  # type: ignore[arg-type] # passed through as they are
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
    return found


async def _no_wait(_seconds: float) -> None:
    return None


async def test_a_stream_goes_on_after_the_last_place_it_told_also_where_that_came_with_no_event(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio, "sleep", _no_wait)
    streams = iter(
        [
            Reply(pieces=(b": from here\nid: 5\n\n", frame(7)), breaks=True),
            Reply(pieces=(frame(9, "of_a_newer_producer"), b": ping\nid: 12\n\n")),
            Reply(pieces=(frame(20)[:30], frame(20)[30:], frame(21))),
        ]
    )
    server.on("GET", EVENTS, lambda _seen: next(streams))
    seen = await first(server, 3)

    assert [event.id for event in seen if isinstance(event, FarmEvent)] == ["7", "20", "21"]
    assert [request.headers.get("Last-Event-ID") for request in server.seen] == [None, "7", "12"]


async def test_what_is_asked_for_is_sent_and_a_reset_is_told(server: FakeServer) -> None:
    reset = b'event: reset\ndata: {"reason": "Another database."}\nid: 3\n\n'
    server.on("GET", EVENTS, Reply(pieces=(reset, frame(4))))
    since = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    seen = await first(server, 2, project="p", types=("build_ended",), since=since, after="77")

    assert seen[0] == StreamReset(reason="Another database.")
    assert isinstance(seen[1], FarmEvent)
    assert (seen[1].project, seen[1].id) == ("p", "4")
    assert server.seen[0].headers["Last-Event-ID"] == "77"
    assert server.seen[0].query == {"project": "p", "type": "build_ended", "since": "2026-11-21T09:30:00.000Z"}


async def test_a_producer_that_stays_away_is_given_up(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "sleep", _no_wait)
    server.on("GET", EVENTS, Reply(pieces=(b": begun\n",), breaks=True))
    with pytest.raises(ProducerUnavailable):
        await first(server, 1)


FIELD = st.text(st.characters(blacklist_characters="\r\n\0", codec="utf-8"), min_size=1, max_size=20)


@given(st.lists(st.builds(ServerSent, st.just("") | FIELD, FIELD, st.just("") | FIELD)), st.sampled_from(["", "\r"]))
def test_blocks_read_back_as_they_were_written(blocks: list[ServerSent], end: str) -> None:
    lines: list[str] = []
    for block in blocks:
        lines += [f"event: {block.event}"] if block.event else []
        lines += [": a comment", f"data: {block.data}", *([f"id: {block.id}"] if block.id else []), ""]

    async def written() -> list[ServerSent]:
        async def given_lines() -> object:
            for line in lines:
                yield line + end

        return [block async for block in blocks_of(given_lines())]  # type: ignore[arg-type] # an async generator of text

    assert asyncio.run(written()) == blocks
