"""A clamd that speaks the real protocol and finds the EICAR text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


@dataclass
class FakeClamd:
    """What it was sent, and how it behaves."""

    limit: int = 10 * 2**20
    answer: bytes | None = None
    seen: bytearray = field(default_factory=bytearray)
    port: int = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[FakeClamd]:
        """Serve connections for the length of the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
            writer.write(await self._verdict(reader))
            await writer.drain()
        finally:
            writer.close()

    async def _verdict(self, reader: asyncio.StreamReader) -> bytes:
        while length := int.from_bytes(await reader.readexactly(4), "big"):
            self.seen += await reader.readexactly(length)
            if len(self.seen) > self.limit:
                return b"INSTREAM size limit exceeded. ERROR\0"
        if self.answer is not None:
            return self.answer
        return b"stream: Eicar-Signature FOUND\0" if EICAR in self.seen else b"stream: OK\0"
