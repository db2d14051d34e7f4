"""The client library alone: what every one of the others that is built on it can reach at best."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from bench.peers import records
from bench.peers.wishes import AMQP, PREFETCH, QUEUE, QUEUE_TYPE

_open: list[AbstractChannel] = []


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    async with await aio_pika.connect_robust(AMQP) as connection:
        _open.append(await connection.channel())
        yield


async def send(sent: int) -> None:
    message = aio_pika.Message(str(sent).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await _open[0].default_exchange.publish(message, routing_key=QUEUE)


async def _handle(message: AbstractIncomingMessage) -> None:
    records.entered(int(message.body))
    await message.ack()


async def worker() -> None:
    async with opened():
        await _open[0].set_qos(prefetch_count=PREFETCH)
        queue = await _open[0].declare_queue(QUEUE, durable=True, arguments={"x-queue-type": QUEUE_TYPE})
        await queue.consume(_handle)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(worker())
