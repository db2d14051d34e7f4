"""Streams are closed where they are left, not when the garbage collector finds them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def closed(stream: AsyncIterator[bytes] | Any) -> AsyncIterator[AsyncIterator[Any]]:
    """Hand out an asynchronous iterator, and close it at the end of the block when it can be closed."""
    try:
        yield stream
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
