"""The log endpoint: ranges, tails and stages of what is stored, and following what happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from buildyard.errors import ObjectsUnavailable
from orchestrator.feed import WATCH_LIMIT
from tests.orchestrator.api.fakes import BUILD_ID, JOB_ID, OTHER_ID, Farm

LOGS = f"/api/v1/builds/{BUILD_ID}/logs"


def three_segments(farm: Farm) -> None:
    """Lines 1..9: fetch 1-3, build 4-6 and 7-9, the last by a second attempt."""
    farm.store_log(1, ["f1", "f2", "f3"], stage="fetch")
    farm.store_log(4, ["b4", "b5", "b6"])
    farm.store_log(1, ["b7", "b8", "b9"], attempt=2)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "f1 f2 f3 b4 b5 b6 b7 b8 b9"),
        ("from=5", "b5 b6 b7 b8 b9"),
        ("from=3&to=4", "f3 b4"),
        ("to=1", "f1"),
        ("from=100", ""),
        ("tail=2", "b8 b9"),
        ("tail=100", "f1 f2 f3 b4 b5 b6 b7 b8 b9"),
        ("stage=Fetch", "f1 f2 f3"),
        ("stage=fetch&tail=1", "f3"),
        ("stage=Build&tail=4", "b6 b7 b8 b9"),
        ("stage=Build&tail=99", "b4 b5 b6 b7 b8 b9"),
        ("stage=Test", ""),
        ("stage=Build&from=6&to=7", "b6 b7"),
    ],
)
async def test_the_wanted_lines_of_a_stored_log_come_as_text(
    client: httpx.AsyncClient, farm: Farm, query: str, expected: str
) -> None:
    three_segments(farm)

    answer = await client.get(f"{LOGS}?{query}")

    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.text == "".join(f"{word}\n" for word in expected.split())


async def test_lines_as_json_tell_all_that_is_known_of_them(client: httpx.AsyncClient, farm: Farm) -> None:
    three_segments(farm)

    answer = await client.get(f"{LOGS}?from=7&to=7&format=jsonl")

    assert json.loads(answer.text) == {
        "n": 7,
        "at": "2026-11-21T09:30:00.001Z",
        "stage": "Build",
        "text": "b7",
        "job": JOB_ID,
        "attempt": 2,
    }


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=0", "from"),
        ("from=x", "from"),
        ("to=-1", "to"),
        ("tail=0", "tail"),
        ("stage=Nonsense", "stage"),
        ("from=5&to=4", "to"),
        ("tail=1&from=2", "tail"),
        ("follow=maybe", "follow"),
        ("format=xml", "format"),
    ],
)
async def test_a_wrong_question_names_what_is_wrong(client: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await client.get(f"{LOGS}?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize("follow", ["0", "1"])
async def test_the_log_of_an_unknown_build_is_404(client: httpx.AsyncClient, follow: str) -> None:
    answer = await client.get(f"/api/v1/builds/{OTHER_ID}/logs?follow={follow}")

    assert answer.status_code == 404


async def test_only_the_segments_of_a_tail_are_read(client: httpx.AsyncClient, farm: Farm) -> None:
    for number in range(400):
        farm.store_log(number * 10 + 1, [f"line {number * 10 + n}" for n in range(1, 11)])

    answer = await client.get(f"{LOGS}?tail=15")

    assert answer.text.splitlines()[0] == "line 3986"
    assert len(farm.objects.reads) == 2


async def test_a_segment_that_is_gone_says_so_in_its_place(client: httpx.AsyncClient, farm: Farm) -> None:
    three_segments(farm)
    del farm.objects.kept[farm.views.segments[1].key]

    answer = await client.get(LOGS)

    assert answer.text.splitlines()[2:5] == ["f3", "[the lines 4 to 6 of attempt 1 are stored no more]", "b7"]


async def test_an_object_store_that_is_away_is_a_problem_not_an_empty_log(
    client: httpx.AsyncClient, farm: Farm
) -> None:
    three_segments(farm)
    farm.objects.failure = ObjectsUnavailable("The object store cannot be reached.")

    assert (await client.get(LOGS)).status_code == 503


@asynccontextmanager
async def following(served: httpx.AsyncClient, query: str = "") -> AsyncIterator[AsyncIterator[str]]:
    async with asyncio.timeout(60), served.stream("GET", f"{LOGS}?follow=1{query}") as answer:
        assert answer.status_code == 200
        yield answer.aiter_lines()


async def taken(lines: AsyncIterator[str], count: int) -> list[str]:
    return [await anext(lines) for _ in range(count)]


async def rest(lines: AsyncIterator[str]) -> list[str]:
    return [line async for line in lines]


async def test_following_gives_what_is_stored_then_live_lines_then_ends_with_the_build(
    served: httpx.AsyncClient, farm: Farm
) -> None:
    farm.store_log(1, ["one", "two"])
    async with following(served) as lines:
        assert await taken(lines, 2) == ["one", "two"]
        farm.say(3, ["three"])
        assert await taken(lines, 1) == ["three"]
        farm.store_log(3, ["three", "four"])
        assert await taken(lines, 1) == ["four"]
        farm.say(3, ["three", "four", "five"])
        assert await taken(lines, 1) == ["five"]
        farm.store_log(5, ["five", "six"])
        farm.end()
        assert await rest(lines) == ["six"]


async def test_lines_that_were_lost_on_the_way_are_read_from_the_store(served: httpx.AsyncClient, farm: Farm) -> None:
    farm.store_log(1, ["one"])
    async with following(served) as lines:
        await taken(lines, 1)
        farm.say(4, ["four"])
        farm.store_log(2, ["two", "three", "four"])
        assert await taken(lines, 3) == ["two", "three", "four"]
        farm.end()
        assert await rest(lines) == []


async def test_a_reader_that_was_too_slow_reads_on_from_the_store(served: httpx.AsyncClient, farm: Farm) -> None:
    farm.store_log(1, ["one"])
    async with following(served) as lines:
        await taken(lines, 1)
        for number in range(2, WATCH_LIMIT + 10):
            farm.say(number, [str(number)])
        farm.store_log(2, [str(number) for number in range(2, WATCH_LIMIT + 10)])
        assert await taken(lines, WATCH_LIMIT + 8) == [str(number) for number in range(2, WATCH_LIMIT + 10)]
        farm.end()
        assert await rest(lines) == []


async def test_following_outlives_an_absence_of_the_object_store(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.log_streams._TICK_SECONDS", 0.01)
    farm.store_log(1, ["one"])
    async with following(served) as lines:
        await taken(lines, 1)
        farm.objects.failure = ObjectsUnavailable("The object store is away.")
        farm.views.calls.clear()
        farm.store_log(2, ["two"])
        farm.end()
        while farm.views.calls.count("log_segments") < 2:
            await asyncio.sleep(0)
        farm.objects.failure = None
        assert await rest(lines) == ["two"]


async def test_following_a_build_that_has_ended_gives_it_all_and_ends(served: httpx.AsyncClient, farm: Farm) -> None:
    three_segments(farm)
    farm.end()

    async with following(served) as lines:
        assert len(await rest(lines)) == 9


async def test_the_last_words_of_a_lost_worker_are_given_out(served: httpx.AsyncClient, farm: Farm) -> None:
    farm.store_log(1, ["one"])
    async with following(served) as lines:
        await taken(lines, 1)
        farm.say(3, ["last words"])
        farm.end()
        assert await rest(lines) == ["last words"]


async def test_following_takes_a_tail_a_stage_a_start_and_an_end(served: httpx.AsyncClient, farm: Farm) -> None:
    three_segments(farm)
    async with following(served, "&tail=1&stage=Build&format=jsonl") as lines:
        assert json.loads((await taken(lines, 1))[0])["n"] == 9
        farm.say(4, ["b10"], attempt=2)
        live = json.loads((await taken(lines, 1))[0])
        assert (live["n"], live["text"], live["stage"]) == (10, "b10", "Build")
    async with following(served, "&from=9&to=10") as lines:
        assert await taken(lines, 1) == ["b9"]
        farm.say(4, ["b10", "b11"], attempt=2)
        assert await rest(lines) == ["b10"]


async def test_following_ends_when_the_producer_stops(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.log_streams._TICK_SECONDS", 0.01)
    farm.store_log(1, ["one"])
    async with following(served) as lines:
        await taken(lines, 1)
        farm.state = "stopping"
        assert await rest(lines) == []


async def test_a_reader_that_leaves_is_noticed(served: httpx.AsyncClient, farm: Farm) -> None:
    farm.store_log(1, ["one"])
    async with following(served) as lines:
        await taken(lines, 1)
        assert BUILD_ID in farm.feed._watches

    async with asyncio.timeout(60):
        while BUILD_ID in farm.feed._watches:
            await served.get("/api/v1/live")


async def test_missed_wakes_are_made_good_by_asking_the_store(
    served: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.log_streams._TICK_SECONDS", 0.01)
    async with following(served) as lines:
        while "log_segments" not in farm.views.calls[1:]:
            await asyncio.sleep(0)
        farm.store_log(1, ["one"])
        farm.views.ended = True
        assert await rest(lines) == ["one"]
