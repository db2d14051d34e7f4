"""The API over fakes, in this process (`client`) and behind a real server (`served`)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn

from buildyard.connections import bounded
from orchestrator.api import create_app
from tests.orchestrator.api.fakes import Farm


@pytest.fixture
def farm() -> Farm:
    return Farm()


@pytest.fixture
async def client(farm: Farm) -> AsyncIterator[httpx.AsyncClient]:
    """A client that calls the application without a server; it sees whole answers only."""
    transport = httpx.ASGITransport(create_app(farm.parts))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as opened:
        yield opened


@pytest.fixture
async def served(farm: Farm) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a real server on a free port: for streams, disconnects and what h11 does."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(farm.parts)
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", http=bounded(4096))
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve([listening]))
    port = listening.getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as opened:
        yield opened
    farm.state = "stopping"
    server.should_exit = True
    await running
