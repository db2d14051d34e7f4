"""The scaler's own server bounds its connections as the producer's does, seen from raw sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from buildyard.connections import bounded
from scaler import app

SOON = 0.3
PATIENCE = 90.0
MOST = 10
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"


class Streams:
    """How many streams go on."""

    open = 0


def an_api(streams: Streams) -> FastAPI:
    api = FastAPI()

    @api.get("/healthz")
    async def health() -> str:
        return "ok"

    @api.get("/log")
    async def log() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            streams.open += 1
            try:
                while True:
                    yield b"x" * 65_536
                    await asyncio.sleep(0)
            finally:
                streams.open -= 1

        return StreamingResponse(pieces())

    return api


@asynccontextmanager
async def serving(streams: Streams | None = None) -> AsyncIterator[int]:
    """The scaler's server with an API that streams for ever: its port."""
    listening = app._listen("127.0.0.1", 0)
    server = app._server(an_api(streams or Streams()))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await running


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test can wait for."""
    monkeypatch.setattr(app, "bounded", partial(bounded, head_seconds=SOON, take_seconds=SOON))


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes, however it does so."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("said", [b"", HEAD], ids=["nothing", "half a head"])
async def test_a_connection_that_says_too_little_is_closed(said: bytes) -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)

        assert (await rest_of(reader))[:12] == (b"HTTP/1.1 408" if said else b"")
        writer.close()


async def test_idle_connections_make_room_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "connections_allowed", lambda: MOST)
    async with serving() as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * MOST)]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            assert (await client.get("/healthz")).status_code == 200
        closed = [asyncio.create_task(rest_of(reader)) for reader, _ in opened[: 2 * MOST]]
        assert await asyncio.gather(*closed) == [b""] * len(closed)
        for _, writer in opened:
            writer.close()


@pytest.mark.usefixtures("soon")
async def test_who_takes_nothing_of_a_log_is_cut_off() -> None:
    streams = Streams()
    async with serving(streams) as port:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        one.sendall(b"GET /log HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            while not streams.open:
                await asyncio.sleep(0.01)
            while streams.open:
                await asyncio.sleep(0.01)
        one.close()
