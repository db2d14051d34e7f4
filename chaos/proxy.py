"""A TCP proxy that loses, refuses and freezes connections, as networks do."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Proxy:
    """Stands between a client and a server on loopback; with more than one server each connection goes to the next."""

    def __init__(self, host: str, *ports: int) -> None:
        self._host = host
        self._ports = deque(ports)
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = _open()
        self._forgotten: list[asyncio.Event] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def listen(self) -> None:
        """Accept connections, at first on a free port, later on the same one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Lose all connections and accept no more."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Lose all connections."""
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        """Pass nothing on, while connections stand: what a dead network looks like."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass things on again."""
        for flowing in (self._flowing, *self._forgotten):
            flowing.set()
        self._forgotten.clear()

    def forget(self) -> None:
        """Pass nothing on of the connections that stand, and tell nobody; new ones work: what half-open ones are."""
        self._flowing.clear()
        self._forgotten.append(self._flowing)
        self._flowing = _open()

    async def emptied(self) -> None:
        """Return when no connection is left; one that does not go within 10 s is a fault of the test's own."""
        async with asyncio.timeout(10):
            while self._writers:
                await asyncio.sleep(0.01)

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the next server that accepts one."""
        for _ in range(len(self._ports) - 1):
            self._ports.rotate(1)
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(self._host, self._ports[0])
        self._ports.rotate(1)
        return await asyncio.open_connection(self._host, self._ports[0])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            back_reader, back_writer = await self._reach()
            self._writers |= {writer, back_writer}
            try:
                flowing = self._flowing
                await asyncio.gather(self._pump(reader, back_writer, flowing), self._pump(back_reader, writer, flowing))
                for either in (writer, back_writer):
                    with contextlib.suppress(OSError):
                        await either.wait_closed()
            finally:
                self._writers -= {writer, back_writer}
                back_writer.close()
        writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


def _open() -> asyncio.Event:
    flowing = asyncio.Event()
    flowing.set()
    return flowing


@contextlib.asynccontextmanager
async def proxied(host: str, *ports: int) -> AsyncIterator[Proxy]:
    """A proxy before servers of one host, gone at the end with all its connections."""
    proxy = Proxy(host, *ports)
    await proxy.listen()
    try:
        yield proxy
    finally:
        proxy.thaw()
        await proxy.refuse()
        await proxy.emptied()
