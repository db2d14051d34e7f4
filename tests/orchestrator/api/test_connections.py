"""Connections that say nothing, too little or take nothing are bounded, seen from raw sockets."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn

from buildyard.clock import SystemClock
from buildyard.connections import bounded, connections_allowed
from buildyard.errors import InvalidRequest
from orchestrator.api import create_app
from orchestrator.api.body_pace import BODY_BYTES_PER_SECOND, BODY_SECONDS, BodyPace
from tests.orchestrator.api.fakes import BUILD_ID, Farm

HEAD = b"GET /api/v1/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n"
SOON = 0.3
PATIENCE = 90.0


@asynccontextmanager
async def serving(farm: Farm, *, most: int = 1000, keep_alive: float = 60, take: float = 60) -> AsyncIterator[int]:
    """A real server with short bounds: its port."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(
        create_app(farm.parts),
        log_config=None,
        access_log=False,
        lifespan="off",
        http=bounded(most, head_seconds=SOON, take_seconds=take),
    )
    config.timeout_keep_alive = keep_alive  # type: ignore[assignment] # whole seconds by its type, any by its use
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve([listening]))
    yield listening.getsockname()[1]
    farm.state = "stopping"
    server.should_exit = True
    await running


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes, however it does so."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def test_a_connection_that_says_nothing_is_closed(farm: Farm) -> None:
    async with serving(farm) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        assert await rest_of(reader) == b""
        writer.close()


async def test_a_head_that_trickles_is_ended_however_often_a_byte_of_it_comes(farm: Farm) -> None:
    async with serving(farm) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD)
        answered = asyncio.create_task(rest_of(reader))
        sent = 0
        while not answered.done():
            writer.write(b"X-Slow: 1\r\n")
            sent += 1
            await asyncio.wait({answered}, timeout=SOON / 10)

        assert (await answered)[:12] in {b"", b"HTTP/1.1 408"}
        assert sent > 1
        writer.close()


async def test_an_idle_connection_is_closed_after_its_answer_and_may_ask_again_before(farm: Farm) -> None:
    async with serving(farm, keep_alive=SOON) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(HEAD + b"\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readuntil(b"}")

        await rest_of(reader)
        writer.close()


async def test_a_started_second_request_is_no_way_to_stay(farm: Farm) -> None:
    async with serving(farm) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"\r\n")
        await reader.readuntil(b"}")
        writer.write(b"GET /")

        assert (await rest_of(reader)).startswith(b"HTTP/1.1 408")
        writer.close()


@pytest.fixture
def open_files() -> Iterator[int]:
    """As many open files as this process may have, for both ends of many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    more = max(soft, min(4096, hard) if hard != resource.RLIM_INFINITY else 4096)
    resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
    yield more
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_leave_open_files_for_everything_else(open_files: int) -> None:
    assert 64 <= connections_allowed() <= min(4096, max(64, open_files - 256))


async def test_a_thousand_idle_connections_make_room_for_the_next_one(farm: Farm, open_files: int) -> None:
    many = 1000 if open_files > 3000 else 150
    most = many // 10
    async with serving(farm, most=most) as port:
        opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(many)]
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
                assert (await client.get("/api/v1/health/live")).status_code == 200
            for one in opened:
                one.setblocking(False)
                async with asyncio.timeout(PATIENCE):
                    assert await closed(one)
        finally:
            for one in opened:
                one.close()


async def closed(one: socket.socket) -> bool:
    try:
        return await asyncio.get_running_loop().sock_recv(one, 1) == b""
    except ConnectionError:
        return True


async def test_a_client_that_takes_nothing_is_cut_off_in_the_middle_of_a_stream(farm: Farm) -> None:
    for number in range(400):
        farm.tell("stage_started", text="x" * 60_000, number=number)
    async with serving(farm, take=SOON) as port:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        one.sendall(f"GET /api/v1/builds/{BUILD_ID}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            await until_nobody_watches(farm)
        one.close()


async def until_nobody_watches(farm: Farm) -> None:
    while not farm.feed._watches:
        await asyncio.sleep(0.01)
    while farm.feed._watches:
        await asyncio.sleep(0.01)


class Waits(SystemClock):
    """A clock that tells how long was waited, by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at


@pytest.mark.parametrize(
    ("seconds_a_kilobyte", "refused"), [(1.0, False), (1.1, True), (30.0, True), (0.0, False)], ids=str
)
async def test_a_body_comes_at_a_pace_or_not_at_all(seconds_a_kilobyte: float, *, refused: bool) -> None:
    clock, taken = Waits(), 0

    async def receive() -> dict[str, object]:
        clock.at += seconds_a_kilobyte
        return {"type": "http.request", "body": b"x" * 1024, "more_body": True}

    async def reader(_scope: object, receive: object, _send: object) -> None:
        nonlocal taken
        while taken < 4000:
            await receive()  # type: ignore[operator] # an ASGI application's callable
            clock.at += 1000  # what the application does meanwhile is not the client's fault
            taken += 1

    paced = BodyPace(reader, clock)
    if refused:
        with pytest.raises(InvalidRequest, match="less than"):
            await paced({"type": "http"}, receive, None)  # type: ignore[arg-type] # nothing is sent
        assert taken * seconds_a_kilobyte <= BODY_SECONDS + taken * 1024 / BODY_BYTES_PER_SECOND
    else:
        await paced({"type": "http"}, receive, None)  # type: ignore[arg-type] # nothing is sent


async def test_a_body_that_trickles_is_a_408(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.api.body_pace.BODY_SECONDS", SOON)
    async with serving(farm) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /api/v1/builds HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 100000\r\n\r\n")
        answered = asyncio.create_task(reader.readuntil(b"\r\n"))
        while not answered.done():
            writer.write(b" ")
            await asyncio.wait({answered}, timeout=SOON / 10)

        assert b" 408 " in await answered
        writer.close()
