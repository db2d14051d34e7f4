"""An HTTP server that answers as a test says, also badly: never, in drops, with rubbish, or by hanging up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class HttpStub:
    """Answers by path; what it has no answer for is 404. `asked` are the request lines and credentials."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.credentials: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            path = head[0].split(" ")[1]
            self.asked.append(path)
            self.credentials += [line for line in head if line.lower().startswith("authorization:")]
            answer = next((one for start, one in self.answers.items() if path.startswith(start)), reply(b"", 404))
            await answer(writer)
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone: that is part of many a test
        finally:
            writer.transport.abort()


def reply(body: bytes, status: int = 200) -> Answer:
    """A whole answer."""

    async def send(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return send


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Half an answer."""
    writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()


async def never(writer: asyncio.StreamWriter) -> None:
    """No answer, for as long as somebody waits."""
    while not writer.is_closing():
        await asyncio.sleep(0.02)


async def drip(writer: asyncio.StreamWriter) -> None:
    """An answer that goes on for ever, a little at a time: no single wait is long."""
    writer.write(b"HTTP/1.1 200 X\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(writer: asyncio.StreamWriter) -> None:
    """An answer without end, as fast as it goes."""
    writer.write(b"HTTP/1.1 200 X\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" " * 65536)
        await writer.drain()


@contextlib.asynccontextmanager
async def http_stub() -> AsyncIterator[HttpStub]:
    """A stub on a free loopback port."""
    stub = HttpStub()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(stub.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    stub.port = server.sockets[0].getsockname()[1]
    try:
        yield stub
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next round
