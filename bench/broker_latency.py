"""How long a message is on its way: from just before its publish in one process to being taken in another."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from bench.children import child
from bench.figures import Row, percentile, spread
from buildyard.broker import open_broker
from buildyard.ports import Channel, ChannelKind

CHANNEL = Channel("bench", ChannelKind.WORK)
MESSAGES = 200
APART_SECONDS = 0.01
RUNS = 3
SERVERS = {"RabbitMQ 3.10": "BUILDYARD_TEST_AMQP_URL", "RabbitMQ 4": "BUILDYARD_TEST_AMQP4_URL"}


async def measure() -> list[Row]:
    """One row for the embedded broker, and one for each RabbitMQ that the tests' variables name."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        urls = {"embedded": f"sqlite:///{Path(folder) / 'broker.sqlite'}"}
        urls |= {
            name: f"{os.environ[key]}?prefix=bench-{os.getpid()}" for name, key in SERVERS.items() if key in os.environ
        }
        for name, url in urls.items():
            runs = [await _one_run(url) for _ in range(RUNS)]
            every = [value for run in runs for value in run]
            figure = f"{percentile(every, 0.5):.2f} / {percentile(every, 0.99):.2f} ms"
            medians = spread([percentile(run, 0.5) for run in runs], "ms")
            rows.append(Row(f"publish -> taken, {name}: p50 / p99", figure, f"p50 {medians}", "p50 <= 5 ms"))
    return rows


async def _one_run(url: str) -> list[float]:
    """Milliseconds of each message."""
    words = (sys.executable, "-m", "bench.broker_latency", url)
    async with child(*words, stdout=asyncio.subprocess.PIPE) as taker:
        if taker.stdout is None:
            raise RuntimeError
        await taker.stdout.readline()
        broker = open_broker(url)
        await broker.open()
        try:
            for _ in range(MESSAGES):
                await broker.publish(CHANNEL, [str(time.monotonic_ns()).encode()])
                await asyncio.sleep(APART_SECONDS)
            answer, _ = await taker.communicate()
        finally:
            await broker.close()
    return [float(word) for word in answer.split()]


async def take(url: str) -> None:
    """The other process: takes all messages, then tells how long each was on its way, in milliseconds."""
    broker = open_broker(url)
    await broker.open()
    subscription = await broker.subscribe(CHANNEL)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    found: list[float] = []
    async for delivery in subscription:
        found.append((time.monotonic_ns() - int(delivery.body)) / 1e6)
        await delivery.ack()
        if len(found) == MESSAGES:
            break
    await broker.close()
    sys.stdout.write(" ".join(f"{value:.3f}" for value in found))


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1]))
