"""How much memory the producer takes for one large upload, and how fast it takes it in.

A real producer with embedded defaults in a temporary folder gets uploads over loopback; the kernel tells its peak.
On its own: `python -m bench.upload_memory`.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.figures import Row, median, spread

MEGABYTES = 2048
ROUNDS = 3
MOST_GROWTH_MB = 50.0
_PIECE = b"\x1f\x8b\x08" + os.urandom(2**20 - 3)  # the first bytes say gzip; the producer reads no further
_HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="big.tar.gz"\r\n\r\n'
_TAIL = b"\r\n--b--\r\n"


@dataclass(frozen=True)
class Measured:
    """One upload: how much the producer's peak lay above what it had before, and how long it took."""

    growth_mb: float
    seconds: float


async def measure() -> list[Row]:
    """Rows for uploads of 2 GB, one after another to one producer."""
    found = await measured_uploads(MEGABYTES, ROUNDS)
    growth = [one.growth_mb for one in found]
    rates = [MEGABYTES / one.seconds for one in found]
    aim = f"<= {MOST_GROWTH_MB:g} MB"
    return [
        Row("upload of 2 GB, growth of the producer's memory", f"{max(growth):.0f} MB", spread(growth, "MB"), aim),
        Row("upload of 2 GB, rate", f"{median(rates):.0f} MB/s", spread(rates, "MB/s")),
    ]


async def measured_uploads(megabytes: int, rounds: int) -> list[Measured]:
    """Upload that much, so many times, to a producer of its own."""
    with tempfile.TemporaryDirectory(prefix="buildyard-bench-") as folder:
        async with producer(Path(folder)) as (pid, url), httpx.AsyncClient(base_url=url, timeout=600) as client:
            await _send(client, 1)  # what is imported and made on the first upload is not the upload's
            return [await _measured(client, pid, megabytes) for _ in range(rounds)]


async def _measured(client: httpx.AsyncClient, pid: int, megabytes: int) -> Measured:
    before, begun = _resident_mb(pid, "VmRSS"), time.perf_counter()
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    await _send(client, megabytes)
    return Measured(_resident_mb(pid, "VmHWM") - before, time.perf_counter() - begun)


async def _send(client: httpx.AsyncClient, megabytes: int) -> None:
    size = len(_HEAD) + megabytes * len(_PIECE) + len(_TAIL)
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(size)}
    answer = await client.post("/upload", content=_body(megabytes), headers=headers)
    answer.raise_for_status()


async def _body(megabytes: int) -> AsyncIterator[bytes]:
    yield _HEAD
    for _ in range(megabytes):
        yield _PIECE
    yield _TAIL


@asynccontextmanager
async def producer(folder: Path) -> AsyncIterator[tuple[int, str]]:
    """A producer with embedded defaults in this folder: its process id and URL."""
    settings = {"BUILDYARD_DATA_DIR": str(folder), "BUILDYARD_PORT": "0", "BUILDYARD_LOG_LEVEL": "warning"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "orchestrator", env={**kept, **settings}, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            ready = await process.stdout.readline()
        yield process.pid, ready.decode().removeprefix("ready ").strip()
    finally:
        process.terminate()
        await process.wait()


def _resident_mb(pid: int, name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    for row in asyncio.run(measure()):
        sys.stdout.write(f"{row.what}: {row.figure} ({row.spread}){f', aim {row.aim}' if row.aim else ''}\n")
