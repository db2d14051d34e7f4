"""A program that a bench runs beside itself: whatever ends the bench ends it too, in order."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

_END_SECONDS = 60.0
"""A program that runs a farm of its own stops that first."""


@asynccontextmanager
async def child(*words: str, **options: Any) -> AsyncIterator[Process]:
    """Run a program for the length of the block; one that still runs then is asked to end, and waited for."""
    process = await asyncio.create_subprocess_exec(*words, **options)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
