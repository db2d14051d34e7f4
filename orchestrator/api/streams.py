"""Streams in and out: a body that stops coming is given up, an answer that nobody reads any more is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol, Self

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from orchestrator.api.problems import too_slow

STALL_SECONDS = 60.0
"""A body of which nothing came for so long is given up."""

HEARTBEAT_SECONDS = 15.0
"""After so long without anything to send, a stream of events sends a comment, so that a dead connection is noticed."""


class Closable(Protocol):
    """Bytes to send, and a way to stop making them."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces."""

    async def aclose(self) -> None:
        """Let go of what makes them."""


async def without_stalls(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks. Raises InvalidRequest (408) when none came for STALL_SECONDS."""
    while True:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise too_slow(f"Nothing of the body came for {STALL_SECONDS:g} seconds.") from error
        if chunk is None:
            return
        yield chunk


class Streamed(StreamingResponse):
    """A streaming answer that closes its source at once when the client leaves, not when memory is swept."""

    def __init__(
        self, content: Closable, *, media_type: str, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        kept = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache", **(headers or {})}
        super().__init__(content, status, kept, media_type)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all, or until the client leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._content.aclose()


class Primed:
    """A stream that was begun, so that an error of its beginning could still become a problem."""

    def __init__(self, first: bytes | None, rest: AsyncGenerator[bytes]) -> None:
        self._first = first
        self._rest = rest

    @classmethod
    async def begin(cls, content: AsyncGenerator[bytes]) -> Self:
        """Take the first piece. Raises what the stream raises before it."""
        try:
            return cls(await anext(content, None), content)
        except BaseException:
            await content.aclose()
            raise

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        return await anext(self._rest) if first is None else first

    async def aclose(self) -> None:
        """Let go of the source."""
        await self._rest.aclose()
