"""`bench live`: one change of a build until a thousand clients that follow all builds' events have it.

Then as many that stop reading, and what they cost. The producer is a process of its own; all clients are sockets of
this one, which share the machine with it. A change is an annotation, since it needs no worker; the clock starts when
its request is sent.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from bench.farms import make_project, own_database, settings, upload
from bench.figures import NotMeasured, Row, percentile, spread
from bench.serving import producer_settings, serving
from buildyard.client import ProducerClient
from buildyard.contracts.annotations import AnnotationRequest

READERS = 1000
ROUNDS = 3
CHANGES = 20
SLOW_TEXT = "x" * 1_900
SLOW_CHANGES = 500
_APART_SECONDS = 0.25
_READY_SECONDS = 60.0
_OTHER_FILES = 200


class _Reader(asyncio.Protocol):
    """A client: notes when each mark comes."""

    def __init__(self, host: str, *, stops: bool = False) -> None:
        self._host, self._stops = host, stops
        self.seen: dict[bytes, float] = {}
        self.begun = asyncio.Event()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        asked = f"GET /api/v1/events?type=build_annotated HTTP/1.1\r\nHost: {self._host}\r\n\r\n"
        transport.write(asked.encode())

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        text = self._rest + data
        if not self.begun.is_set() and b"from here" in text:
            self.begun.set()
            if self._stops:
                self.transport.pause_reading()
        for part in text.split(b'"text":"mark ')[1:]:
            self.seen.setdefault(part.split(b'"', 1)[0], now)
        self._rest = text[-200:]


async def measure() -> list[Row]:
    """Rows for each setting."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < READERS + _OTHER_FILES:
        raise NotMeasured(f"{READERS} readers need more open files than the {hard} that `ulimit -Hn` allows.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, READERS + _OTHER_FILES), hard))
    rows = []
    for setting in settings():
        with tempfile.TemporaryDirectory(prefix="buildyard-bench-") as folder:
            async with own_database(setting.env) as places:
                env = producer_settings(Path(folder), places)
                async with serving("orchestrator", env=env) as served:
                    rows += await _measure(served.url, served.pid, setting.name)
    return rows


async def _measure(url: str, pid: int, name: str) -> list[Row]:
    async with ProducerClient(url) as client:
        build_id = await upload(client, make_project())
        before = _resident(pid)
        readers = await _readers(url, READERS)
        rounds = [await _round(client, build_id, readers, number) for number in range(ROUNDS)]
        each = (_resident(pid) - before) * 1024 / READERS
        for reader in readers:
            reader.transport.abort()
        slow = await _slow(client, url, pid, build_id)
    every = [value for one in rounds for value in one]
    return [
        Row(
            f"a change until each of {READERS} clients that follow all events has it, {name}",
            f"p50 {percentile(every, 0.5):.0f} ms, p99 {percentile(every, 0.99):.0f} ms",
            "p99 " + spread([percentile(one, 0.99) for one in rounds], "ms"),
            "p99 < 200 ms",
        ),
        Row(f"the producer's memory for each of them, {name}", f"{each:.0f} KiB", "one run"),
        Row(
            f"the same for each of {READERS} that stopped reading, {SLOW_CHANGES} changes of 2 kB later, {name}", *slow
        ),
    ]


async def _readers(url: str, count: int, *, stops: bool = False) -> list[_Reader]:
    """So many clients whose streams have begun; with `stops` they read nothing any more."""
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    made = []
    for _ in range(count):
        _, reader = await loop.create_connection(
            lambda: _Reader(parts.netloc, stops=stops), parts.hostname or "", parts.port or 0
        )
        made.append(reader)
    async with asyncio.timeout(_READY_SECONDS):
        for reader in made:
            await reader.begun.wait()
    return made


async def _slow(client: ProducerClient, url: str, pid: int, build_id: str) -> tuple[str, str]:
    """What the producer holds for clients that take nothing, while one that reads gets every change."""
    slow = await _readers(url, READERS, stops=True)
    (quick,) = await _readers(url, 1)
    before = _resident(pid)
    for change in range(SLOW_CHANGES):
        await client.annotate(build_id, AnnotationRequest(text=f"{SLOW_TEXT} {change}"))
    await client.annotate(build_id, AnnotationRequest(text="mark last"))
    async with asyncio.timeout(_READY_SECONDS):
        while b"last" not in quick.seen:
            await asyncio.sleep(_APART_SECONDS)
    each = (_resident(pid) - before) * 1024 / READERS
    for reader in (*slow, quick):
        reader.transport.abort()
    return f"{each:.0f} KiB", "one run; the one that read on saw the last change"


async def _round(client: ProducerClient, build_id: str, readers: list[_Reader], number: int) -> list[float]:
    """Milliseconds of each change to each reader."""
    found = []
    for change in range(CHANGES):
        mark = f"{number}.{change}"
        begun = time.perf_counter()
        await client.annotate(build_id, AnnotationRequest(text=f"mark {mark}"))
        async with asyncio.timeout(_READY_SECONDS):
            while any(mark.encode() not in reader.seen for reader in readers):
                await asyncio.sleep(_APART_SECONDS)
        found += [(reader.seen[mark.encode()] - begun) * 1000 for reader in readers]
    return found


def _resident(pid: int) -> float:
    """Megabytes that a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)
