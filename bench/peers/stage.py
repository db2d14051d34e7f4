"""One contestant on its own virtual host: starting its worker, sending to it, and reading what its handlers noted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from bench.children import child
from bench.peers import records
from bench.peers.contestants import Contestant

ROOT = Path(__file__).resolve().parents[2]
QUEUE = "bench"
_LOOK_SECONDS = 0.01
_START_SECONDS = 60
_WINDOW = 200


@dataclass
class Stage:
    """Where one contestant is measured; `results` is where it keeps results."""

    contestant: Contestant
    amqp: str
    folder: Path
    results: str = ""
    _template: AbstractIncomingMessage | None = None
    _worker: asyncio.subprocess.Process | None = None
    _records: Path = field(init=False)

    def __post_init__(self) -> None:
        self._records = self.folder / f"{self.contestant.name}.records"

    @property
    def pid(self) -> int:
        """The running worker's first process."""
        if self._worker is None:
            raise RuntimeError
        return self._worker.pid

    def entered(self) -> int:
        """How many messages its handlers were given since the worker began."""
        return self._records.stat().st_size // records.SHAPE.size

    def pairs(self) -> list[tuple[int, int]]:
        """When each was sent and entered, nanoseconds."""
        return records.read(self._records)

    @asynccontextmanager
    async def worker(self, prefetch: int, processes: int = 1) -> AsyncIterator[None]:
        """Have a worker running for the length of the block."""
        self._records.unlink(missing_ok=True)
        self._records.touch()
        if self.contestant.laid:
            await self._lay()
        log = self.folder / f"{self.contestant.name}.log"
        with log.open("ab") as output:
            self._worker = await asyncio.create_subprocess_exec(
                self.contestant.python,
                *self.contestant.command(processes),
                cwd=ROOT,
                env=self._env(prefetch),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield
        except TimeoutError:
            sys.stderr.write(log.read_text(encoding="utf-8", errors="replace")[-3000:])
            raise
        finally:
            await self._end(self._worker)
            self._worker = None

    async def probe(self) -> None:
        """Wait until the worker's handler takes messages."""
        async with asyncio.timeout(_START_SECONDS):
            while not await self._there():
                await asyncio.sleep(0.1)
            await self.client("send", "1", "0")
            await self.until(1)

    async def until(self, count: int) -> None:
        """Wait until so many messages were entered."""
        while self.entered() < count:
            await asyncio.sleep(_LOOK_SECONDS)

    async def client(self, *words: str) -> str:
        """Run the contestant's own client; what it printed."""
        async with child(
            str(self.contestant.python),
            *("-m", "bench.peers.client", self.contestant.app, *words),
            cwd=ROOT,
            env=self._env(50),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        ) as process:
            output, errors = await process.communicate()
        if process.returncode:
            raise SystemExit(f"{self.contestant.name}: {errors.decode(errors='replace')[-2000:]}")
        return output.decode()

    async def fill(self, count: int) -> None:
        """Lay so many copies of the contestant's own message into its queue, which must have no worker."""
        async with await aio_pika.connect(self.amqp) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(QUEUE, ensure=False)
            await queue.purge()
            if self._template is None:
                await self.client("send", "1", "0")
                self._template = await queue.get(timeout=10)
                await self._template.ack()
            found = self._template
            for done in range(0, count, _WINDOW):
                copies = [_copy(found) for _ in range(min(_WINDOW, count - done))]
                await asyncio.gather(*(channel.default_exchange.publish(copy, routing_key=QUEUE) for copy in copies))

    async def _lay(self) -> None:
        """Declare the queue as the contestant would not by itself; it takes what it finds."""
        async with await aio_pika.connect(self.amqp) as connection:
            channel = await connection.channel()
            await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": self.contestant.queue})

    async def _there(self) -> bool:
        async with await aio_pika.connect(self.amqp) as connection:
            try:
                await (await connection.channel()).declare_queue(QUEUE, passive=True)
            except aio_pika.exceptions.ChannelClosed:
                return False
            return True

    def _env(self, prefetch: int) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "BENCH_AMQP": self.amqp,
            "BENCH_QUEUE": QUEUE,
            "BENCH_QUEUE_TYPE": self.contestant.queue,
            "BENCH_PREFETCH": str(prefetch),
            "dramatiq_queue_prefetch": str(prefetch),
            "BENCH_RESULTS": self.results,
            "BENCH_RECORDS": str(self._records),
        }

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """End it at once: what it held goes back, and the queue is purged before it is filled again."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _copy(found: AbstractIncomingMessage) -> aio_pika.Message:
    fields: dict[str, Any] = {
        "headers": found.headers,
        "content_type": found.content_type,
        "content_encoding": found.content_encoding,
        "priority": found.priority,
        "correlation_id": found.correlation_id,
        "reply_to": found.reply_to,
        "message_id": None,
        "type": found.type,
        "app_id": found.app_id,
    }
    return aio_pika.Message(found.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **fields)
