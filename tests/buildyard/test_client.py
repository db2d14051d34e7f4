"""The clients against a real socket: values, errors of the tree, streams that break, files that verify."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.client import ProducerClient, ScalerClient
from buildyard.client.answers import error_of_answer
from buildyard.contracts.agents import AgentHealth, AgentRegistration, Capabilities, ClaimRequest
from buildyard.contracts.api import BuildRequest
from buildyard.contracts.wire import iso8601_duration, seconds_of_duration
from buildyard.errors import (
    BuildyardError,
    Conflict,
    InvalidRequest,
    InvalidSettings,
    NotFound,
    Overloaded,
    ProducerUnavailable,
    ScalerUnavailable,
    TemporaryError,
)
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply, problem

ID = answers.BUILD_ID


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer().running() as running:
        yield running


# ---------------------------------------------------------------- values


async def test_a_build_is_read_with_its_durations_in_seconds(server: FakeServer) -> None:
    server.on("GET", f"/api/v1/builds/{ID}", answers.status(duration="PT1M2.5S"))
    async with ProducerClient(server.url) as client:
        build = await client.build(ID)
    assert build.duration == 62.5
    assert build.stages[0].duration == 1.25


@given(st.floats(min_value=0, max_value=1e7))
def test_a_duration_reads_back_as_it_was_written(seconds: float) -> None:
    assert seconds_of_duration(iso8601_duration(seconds)) == pytest.approx(seconds, abs=0.001)


@pytest.mark.parametrize("text", ["", "P", "PT", "5", "PT1X", "-PT1S"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an ISO 8601 duration"):
        seconds_of_duration(text)


async def test_the_token_goes_along_and_only_then(server: FakeServer) -> None:
    server.on("GET", "/api/v1/pools", {"pools": [], "at": answers.AT})
    async with ProducerClient(server.url, token="secret") as client:
        await client.pools()
    async with ProducerClient(server.url) as client:
        await client.pools()
    assert server.seen[0].headers["Authorization"] == "Bearer secret"
    assert "Authorization" not in server.seen[1].headers


async def test_filters_that_are_not_given_are_not_sent(server: FakeServer) -> None:
    server.on("GET", "/api/v1/builds", {"builds": [], "nextCursor": None})
    async with ProducerClient(server.url) as client:
        await client.builds(status="failed", limit=5)
    assert server.seen[0].query == {"status": "failed", "limit": "5"}


async def test_an_id_cannot_reach_another_path(server: FakeServer) -> None:
    async with ProducerClient(server.url) as client:
        with pytest.raises(NotFound):
            await client.build("../../metrics")
    assert server.seen[0].path == "/api/v1/builds/%2E%2E%2F%2E%2E%2Fmetrics"


async def test_health_is_read_also_when_it_is_bad(server: FakeServer) -> None:
    checks = [{"name": "store", "ok": False, "detail": "locked"}]
    body = {"status": "degraded", "version": "1", "checks": checks}
    server.on("GET", "/api/v1/health", Reply(503, body))
    server.on("GET", "/healthz", Reply(503, body))
    async with ProducerClient(server.url) as producer, ScalerClient(server.url) as scaler:
        assert (await producer.health()).checks[0].detail == "locked"
        assert (await scaler.health()).status == "degraded"


async def test_a_worker_registers_and_claims(server: FakeServer) -> None:
    joined = {"name": "linux-1-1", "leaseSeconds": 30, "heartbeatSeconds": 10}
    server.on("POST", "/api/v1/agents", Reply(201, joined))
    server.on("POST", "/api/v1/agents/linux-1-1/claim", {"verdict": "none"})
    registration = AgentRegistration(
        name="linux-1-1",
        pool="linux",
        hostname="here",
        pid=7,
        version="1",
        capabilities=Capabilities(tools={"python": "3.11"}),
        health=AgentHealth(),
    )
    async with ProducerClient(server.url) as client:
        assert (await client.register(registration)).lease_seconds == 30
        answer = await client.claim("linux-1-1", ClaimRequest(claim_id=ID, pool="linux"))
    assert answer.verdict == "none"
    assert server.seen[0].json()["capabilities"]["tools"] == {"python": "3.11"}
    assert server.seen[1].json() == {"claimId": ID, "pool": "linux"}


async def test_a_repository_is_submitted(server: FakeServer) -> None:
    server.on("POST", "/api/v1/builds", Reply(202, answers.accepted()))
    request = BuildRequest.model_validate({"project_name": "p", "git_url": "https://github.com/a/b.git"})
    async with ProducerClient(server.url) as client:
        accepted = await client.submit(request)
    assert accepted.execution_id == ID
    assert BuildRequest.model_validate(server.seen[0].json()) == request


# ---------------------------------------------------------------- errors


async def test_a_problem_becomes_the_error_it_names(server: FakeServer) -> None:
    server.on("POST", f"/api/v1/builds/{ID}/cancel", problem(409, "conflict", "It ended.", remedy="Nothing to do."))
    async with ProducerClient(server.url) as client:
        with pytest.raises(Conflict, match=r"It ended\.") as caught:
            await client.cancel(ID)
    assert caught.value.remedy == "Nothing to do."


async def test_a_problem_keeps_a_code_that_the_tree_does_not_know(server: FakeServer) -> None:
    server.on("POST", "/api/v1/agents/a/claim", problem(409, "agent_unsuited", "It lacks dotnet."))
    async with ProducerClient(server.url) as client:
        with pytest.raises(Conflict) as caught:
            await client.claim("a", ClaimRequest(claim_id=ID, pool="linux"))
    assert caught.value.code == "agent_unsuited"
    assert Conflict.code == "conflict"


async def test_an_overloaded_producer_says_how_long_to_wait(server: FakeServer) -> None:
    reply = problem(429, "overloaded", "Too much at once.")
    reply.headers["Retry-After"] = "7"
    server.on("GET", "/api/v1/pools", reply)
    async with ProducerClient(server.url) as client:
        with pytest.raises(Overloaded) as caught:
            await client.pools()
    assert caught.value.retry_after == 7


async def test_a_wrong_field_is_named(server: FakeServer) -> None:
    wrong = [{"field": "job.timeoutMinutes", "message": "must be above 0"}]
    server.on("GET", "/api/v1/builds", problem(422, "invalid_request", "A field is wrong.", errors=wrong))
    async with ProducerClient(server.url) as client:
        with pytest.raises(InvalidRequest, match=r"job\.timeoutMinutes: must be above 0") as caught:
            await client.builds()
    assert caught.value.field == "job.timeoutMinutes"


def _classes(root: type[BuildyardError]) -> list[type[BuildyardError]]:
    return [root, *(found for child in root.__subclasses__() for found in _classes(child))]


@pytest.mark.parametrize("kind", _classes(BuildyardError))
def test_every_error_of_the_tree_comes_back_by_its_code(kind: type[BuildyardError]) -> None:
    body = json.dumps({"title": "T", "status": 400, "detail": "D.", "code": kind.code}).encode()
    error = error_of_answer(400, body, retry_after="", at="producer", unreachable=ProducerUnavailable)
    assert type(error) is kind


@given(st.integers(300, 599), st.binary(max_size=200), st.text(max_size=10))
def test_any_answer_becomes_some_error_with_a_sentence(status: int, body: bytes, retry_after: str) -> None:
    error = error_of_answer(status, body, retry_after=retry_after, at="producer", unreachable=ProducerUnavailable)
    assert str(error)
    assert not isinstance(error, TemporaryError) or 0 <= error.retry_after <= 3600


async def test_nobody_there_is_unreachable_with_a_remedy() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        async with ProducerClient(url) as producer, ScalerClient(url) as scaler:
            with pytest.raises(ProducerUnavailable, match=re.escape(url)) as caught:
                await producer.pools()
            with pytest.raises(ScalerUnavailable, match=re.escape(url)):
                await scaler.workers()
    assert "buildyard local" in caught.value.remedy


async def test_another_service_on_that_port_is_told_apart(server: FakeServer) -> None:
    server.on("GET", "/api/v1/pools", Reply(200, pieces=(b"<html>",)))
    server.on("GET", "/api/v1/builds", Reply(502, pieces=(b"Bad gateway",)))
    async with ProducerClient(server.url) as client:
        with pytest.raises(ProducerUnavailable, match="not as Buildyard's producer"):
            await client.pools()
        with pytest.raises(ProducerUnavailable, match="status 502"):
            await client.builds()


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://", "http://[::1", "http://x:port"])
def test_what_is_no_address_is_a_setting_that_is_wrong(url: str) -> None:
    with pytest.raises(InvalidSettings):
        ProducerClient(url)


# ---------------------------------------------------------------- streams


async def test_log_lines_arrive_whole_whatever_the_pieces(server: FakeServer) -> None:
    pieces = ("one\ntwo ü".encode()[:-1], "ü".encode()[1:], b"\rthree\n\n", b"\xff last")
    server.on("GET", f"/api/v1/builds/{ID}/logs", Reply(pieces=pieces))
    async with ProducerClient(server.url) as client:
        lines = [line async for line in client.logs(ID, from_=2, to=9, stage="Build")]
    assert lines == ["one", "two ü\rthree", "", "\ufffd last"]
    assert server.seen[0].query == {"from": "2", "to": "9", "stage": "Build"}


async def test_a_followed_log_goes_on_after_a_break_and_after_a_stop(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = answers.log_line
    streams = iter(
        [
            Reply(pieces=(line(41, "a"), line(42, "b"), line(43, "c")[:9]), breaks=True),
            Reply(pieces=(line(43, "c"),)),
            problem(503, "producer_unavailable", "It starts."),
            Reply(pieces=(line(44, "d"),)),
        ]
    )
    states = iter(["Running", "Running", "Running", "Succeeded", "Succeeded"])
    server.on("GET", f"/api/v1/builds/{ID}/logs", lambda _seen: next(streams))
    server.on("GET", f"/api/v1/builds/{ID}", lambda _seen: Reply(body=answers.status(status=next(states))))
    monkeypatch.setattr(asyncio, "sleep", _no_wait)
    async with ProducerClient(server.url) as client:
        assert [text async for text in client.logs(ID, tail=3, follow=True)] == ["a", "b", "c", "d"]
    asked = [seen.query for seen in server.seen if seen.path.endswith("/logs")]
    assert asked[0] == {"tail": "3", "follow": "1", "format": "jsonl"}
    assert [query.get("from") for query in asked] == [None, "43", "44", "44"]


async def test_a_followed_log_of_an_unknown_build_is_not_waited_for(server: FakeServer) -> None:
    async with ProducerClient(server.url) as client:
        with pytest.raises(NotFound):
            await anext(client.logs(ID, follow=True))
    assert len(server.seen) == 1


def _frame(seq: int, kind: str = "stage_started") -> bytes:
    event = {"buildId": ID, "seq": seq, "type": kind, "at": answers.AT}
    return f": ping\nid: {seq}\nevent: {kind}\ndata: {json.dumps(event)}\n\n".encode()


async def test_events_go_on_after_a_break_without_gap_or_repetition(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio, "sleep", _no_wait)
    streams = iter(
        [
            Reply(pieces=(_frame(1), _frame(2)), breaks=True),
            Reply(pieces=(_frame(2), b"data: {}\n\n", _frame(3)[:20], _frame(3)[20:], _frame(4, "build_ended"))),
        ]
    )
    server.on("GET", f"/api/v1/builds/{ID}/events", lambda _seen: next(streams))
    async with ProducerClient(server.url) as client:
        seqs = [event.seq async for event in client.events(ID)]
    assert seqs == [1, 2, 3, 4]
    assert "Last-Event-ID" not in server.seen[0].headers
    assert server.seen[1].headers["Last-Event-ID"] == "2"


async def test_a_stream_that_breaks_off_again_and_again_is_given_up(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("GET", f"/api/v1/builds/{ID}/events", Reply(pieces=(b": begun\n",), breaks=True))
    monkeypatch.setattr(asyncio, "sleep", _no_wait)
    async with ProducerClient(server.url) as client:
        with pytest.raises(ProducerUnavailable, match="broke off"):
            await anext(client.events(ID))
    assert len(server.seen) == 31


async def test_events_of_a_build_that_ended_before_are_at_an_end(server: FakeServer) -> None:
    server.on("GET", f"/api/v1/builds/{ID}/events", Reply(pieces=(b": nothing new\n\n",)))
    server.on("GET", f"/api/v1/builds/{ID}", answers.status(status="Succeeded"))
    async with ProducerClient(server.url) as client:
        assert [event async for event in client.events(ID, after=9)] == []


async def test_a_reader_may_leave_a_stream_early(server: FakeServer) -> None:
    server.on("GET", f"/api/v1/builds/{ID}/events", Reply(pieces=(_frame(1), _frame(2))))
    server.on("GET", "/agents/w/logs", Reply(pieces=(b"a\n", b"b\n")))
    async with ProducerClient(server.url) as producer, ScalerClient(server.url) as scaler:
        async with aclosing(producer.events(ID)) as events:
            assert (await anext(events)).seq == 1
        async with aclosing(scaler.worker_logs("w", tail=1)) as lines:
            assert await anext(lines) == "a"


async def test_row_results_stream_through(server: FakeServer) -> None:
    server.on("GET", f"/api/v1/builds/{ID}/rows", Reply(pieces=(b'{"row":1', b"}\n")))
    async with ProducerClient(server.url) as client:
        assert b"".join([piece async for piece in client.rows_jsonl(ID)]) == b'{"row":1}\n'


async def _no_wait(_seconds: float) -> None:
    """Stand in for `asyncio.sleep`."""
