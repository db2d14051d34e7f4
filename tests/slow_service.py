"""The example's slow service as a process of its own, for tests that call it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class SlowService:
    """A running service; `place` is HOST:PORT."""

    address: str
    client: httpx.AsyncClient

    @property
    def place(self) -> str:
        return self.address.removeprefix("http://")

    async def stats(self) -> dict[str, Any]:
        """What it counted."""
        found: dict[str, Any] = (await self.client.get("/stats")).json()
        return found


@asynccontextmanager
async def slow_service(*arguments: str) -> AsyncIterator[SlowService]:
    """Run the service with these arguments for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.slow_api", *arguments, cwd=_ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode().strip()
        assert line.startswith("slow_api listens at "), line
        address = line.removeprefix("slow_api listens at ")
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as client:
            yield SlowService(address, client)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined] # its pipe stays open otherwise
