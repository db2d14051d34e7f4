"""Both servers send what they have: with Nagle's algorithm an answer of two pieces waits 40 ms for a late ACK."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

import orchestrator.app
import scaler.app


@pytest.mark.parametrize("listen", [orchestrator.app._listen, scaler.app._listen], ids=["producer", "scaler"])
async def test_no_connection_waits_before_it_sends(listen: Callable[[str, int], socket.socket]) -> None:
    at_once: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    listening = listen("127.0.0.1", 0)

    async def connected(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted: socket.socket = writer.get_extra_info("socket")
        at_once.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(connected, sock=listening):
        reader, writer = await asyncio.open_connection(*listening.getsockname()[:2])
        assert await at_once
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
