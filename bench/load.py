"""A load client that costs little: requests prepared as bytes, a few connections kept alive, answers hardly looked at.

It runs as a process of its own (`python -m bench.load`), so that its work is not the server's, and tells what it cost.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from bench.children import child


@dataclass(frozen=True)
class Shape:
    """One request, `count` times over `connections` at once; each waits for its answer before it sends the next.

    Every `{n}` in path and body is replaced by the next of `ids`.
    """

    method: str
    path: str
    count: int
    connections: int
    content_type: str = ""
    body: str = ""
    """As latin-1 text, so that it passes through JSON."""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of a shape. `statuses` counts answers by status, `retry_after` those that carried the header."""

    seconds: float
    cpu_seconds: float
    milliseconds: tuple[float, ...]
    statuses: dict[str, int]
    retry_after: int


async def ask(url: str, shape: Shape) -> Outcome:
    """Run a shape in a process of its own."""
    words = (sys.executable, "-m", "bench.load", url)
    async with child(*words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE) as process:
        answer, _ = await process.communicate(json.dumps(asdict(shape)).encode())
    if process.returncode:
        raise SystemExit("The load client failed.")
    found = json.loads(answer)
    return Outcome(**{**found, "milliseconds": tuple(found["milliseconds"])})


def requests_of(shape: Shape, host: str) -> list[bytes]:
    """The bytes to send, one after another, from the first again."""
    return [_request(shape, one, host) for one in shape.ids or ("",)]


def _request(shape: Shape, one: str, host: str) -> bytes:
    body = shape.body.replace("{n}", one).encode("latin-1")
    head = f"{shape.method} {shape.path.replace('{n}', one)} HTTP/1.1\r\nHost: {host}\r\n"
    if shape.method != "GET":
        head += f"Content-Type: {shape.content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


class _Connection(asyncio.Protocol):
    """One connection: sends, reads the whole answer, sends again while there is something left."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._begun = 0.0
        self._need = 0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._need:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            place = head.find(b"content-length:")
            if place < 0:
                raise SystemExit(f"An answer without a length: {head[:200]!r}")
            self._need = end + 4 + int(head[place + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) >= self._need:
            self._run.answered(time.perf_counter() - self._begun, self._buffer)
            self._buffer, self._need = b"", 0
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.left(exc)

    def _next(self) -> None:
        assert self._transport is not None
        request = self._run.take()
        if request is None:
            self._transport.close()
            return
        self._begun = time.perf_counter()
        self._transport.write(request)


class _Run:
    """What all connections share."""

    def __init__(self, requests: list[bytes], shape: Shape) -> None:
        self._requests = requests
        self._left = shape.count
        self._taken = 0
        self._open = shape.connections
        self.over = asyncio.Event()
        self.milliseconds: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.retry_after = 0

    def take(self) -> bytes | None:
        if not self._left:
            return None
        self._left -= 1
        request = self._requests[self._taken % len(self._requests)]
        self._taken += 1
        return request

    def answered(self, seconds: float, answer: bytes) -> None:
        self.milliseconds.append(seconds * 1000)
        self.statuses[answer[9:12].decode("ascii")] += 1
        self.retry_after += b"\r\nretry-after:" in answer.lower()

    def left(self, error: Exception | None) -> None:
        if error is not None:
            raise SystemExit(f"A connection broke: {error}")
        self._open -= 1
        if not self._open:
            self.over.set()


async def run(url: str, shape: Shape) -> Outcome:
    """Ask in this process."""
    parts = urlsplit(url)
    running = _Run(requests_of(shape, parts.netloc), shape)
    loop = asyncio.get_running_loop()
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(shape.connections):
        await loop.create_connection(lambda: _Connection(running), parts.hostname or "", parts.port or 80)
    await running.over.wait()
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Outcome(seconds, cpu, tuple(running.milliseconds), dict(running.statuses), running.retry_after)


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    sys.stdout.write(
        json.dumps(asdict(asyncio.run(run(sys.argv[1], Shape(**{**wanted, "ids": tuple(wanted["ids"])})))))
    )
