"""Taskiq on aio-pika: quorum queues and confirmed publishes are its defaults; its results are in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from taskiq_aio_pika import AioPikaBroker, Queue  # type: ignore[import-not-found]

from bench.peers import records
from bench.peers.rows import handle
from bench.peers.wishes import AMQP, PREFETCH, QUEUE, RESULTS, Result, Row

_AT_ONCE = 100
_LOOK_SECONDS = 0.01

broker = AioPikaBroker(AMQP, qos=PREFETCH, task_queues=[Queue(name=QUEUE)])
if RESULTS:
    from taskiq_redis import RedisAsyncResultBackend  # type: ignore[import-not-found]

    broker = broker.with_result_backend(RedisAsyncResultBackend(RESULTS, max_connection_pool_size=_AT_ONCE))


async def _noop(sent: int) -> None:
    records.entered(sent)


async def _row(number: int, values: dict[str, str]) -> Result:
    return handle(number, values)


noop = broker.task(task_name="noop")(_noop)
row = broker.task(task_name="row")(_row)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


async def send(sent: int) -> None:
    await noop.kiq(sent)


async def work_off(rows: list[Row]) -> list[Result]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def begin(one: Row) -> Any:
        async with room:
            return await row.kiq(*one)

    waiting = await asyncio.gather(*map(begin, rows))
    return [(await task.wait_result(check_interval=_LOOK_SECONDS, timeout=300)).return_value for task in waiting]
