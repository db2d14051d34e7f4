"""The names under which pods of the real node find servers, and the ports behind them: what Services are to pods.

`Names` answers questions for the address of a name (RFC 1035) on the machine's own address; `Doors` let connections to
that address through to servers that listen on loopback only.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Collection
from typing import cast

_HEADER = struct.Struct(">HHHHHH")
_ADDRESS, _INTERNET = 1, 1
_ANSWERS, _NO_SUCH_NAME = 0x8580, 0x8583
_SECONDS = 5


class Names(asyncio.DatagramProtocol):
    """Answers for names whose first word is known with one address, and says of all others that there are none."""

    def __init__(self, address: str, words: Collection[str]) -> None:
        self._address = address
        self._words = frozenset(words)
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Listen on the port on which all ask. Raises OSError."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(self._address, 53))

    def close(self) -> None:
        """Answer no more."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The port is ours."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        if self._transport is not None:
            self._transport.sendto(answer(data, self._address, self._words), addr)


def answer(question: bytes, address: str, words: Collection[str]) -> bytes:
    """The message that answers the first question of a message. Pure."""
    number = _HEADER.unpack_from(question)[0]
    end = question.index(b"\0", _HEADER.size) + 5
    asked = question[_HEADER.size : end]
    length = asked[0]
    known = asked[1 : 1 + length].decode("ascii", "replace").lower() in words
    kind = struct.unpack(">H", asked[-4:-2])[0]
    if not known or kind != _ADDRESS:
        return _HEADER.pack(number, _ANSWERS if known else _NO_SUCH_NAME, 1, 0, 0, 0) + asked
    found = b"\xc0\x0c" + struct.pack(">HHIH", _ADDRESS, _INTERNET, _SECONDS, 4) + socket.inet_aton(address)
    return _HEADER.pack(number, _ANSWERS, 1, 1, 0, 0) + asked + found


class Doors:
    """Lets connections to the machine's address through to loopback."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._servers: list[asyncio.Server] = []
        self._flows: set[asyncio.Task[None]] = set()

    async def open(self, port: int) -> None:
        """Let connections to this port through to the same port of loopback."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._flows.add(task)
            try:
                await _joined(reader, writer, port)
            finally:
                self._flows.discard(task)

        self._servers.append(await asyncio.start_server(serve, self._address, port))

    async def close(self) -> None:
        """End all connections."""
        for server in self._servers:
            server.close()
        for flow in tuple(self._flows):
            flow.cancel()
        await asyncio.gather(*self._flows, return_exceptions=True)


async def _joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    try:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_flow(reader, outer))
            both.create_task(_flow(inner, writer))
    finally:
        outer.close()
        writer.close()


async def _flow(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(1 << 16):
            sink.write(piece)
            await sink.drain()
        sink.write_eof()
    except OSError:
        sink.close()
