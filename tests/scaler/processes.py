"""Waiting for processes by events instead of pauses."""

from __future__ import annotations

import asyncio
import os


async def ended(pid: int) -> None:
    """Wait until a process, whosever child it is, has ended; it may still wait for its parent to look."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, gone.set)
    try:
        await asyncio.wait_for(gone.wait(), 60)
    finally:
        loop.remove_reader(handle)
        os.close(handle)
