"""Our broker port alone: no claim, no store, no stages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.peers import records
from bench.peers.wishes import AMQP, PREFETCH, QUEUE
from buildyard.broker import open_broker
from buildyard.ports import Channel, ChannelKind

CHANNEL = Channel(QUEUE, ChannelKind.WORK)
broker = open_broker(AMQP)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    await broker.open()
    yield
    await broker.close()


async def send(sent: int) -> None:
    await broker.publish(CHANNEL, [str(sent).encode()])


async def worker() -> None:
    async with opened():
        async for delivery in await broker.subscribe(CHANNEL, PREFETCH):
            records.entered(int(delivery.body))
            await delivery.ack()


if __name__ == "__main__":
    asyncio.run(worker())
