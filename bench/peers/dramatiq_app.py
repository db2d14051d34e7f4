"""Dramatiq, with confirmed publishes and its results in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dramatiq  # type: ignore[import-not-found]
from dramatiq.brokers.rabbitmq import RabbitmqBroker  # type: ignore[import-not-found]

from bench.peers import records
from bench.peers.rows import handle
from bench.peers.wishes import AMQP, QUEUE, RESULTS, Result, Row

broker = RabbitmqBroker(url=AMQP, confirm_delivery=True)
if RESULTS:
    from dramatiq.results import Results  # type: ignore[import-not-found]
    from dramatiq.results.backends import RedisBackend  # type: ignore[import-not-found]

    broker.add_middleware(Results(backend=RedisBackend(url=RESULTS)))
dramatiq.set_broker(broker)
noop = dramatiq.actor(records.entered, queue_name=QUEUE, max_retries=0)
row = dramatiq.actor(handle, queue_name=QUEUE, max_retries=0, **({"store_results": True} if RESULTS else {}))


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    yield
    broker.close()


async def send(sent: int) -> None:
    noop.send(sent)


async def work_off(rows: list[Row]) -> list[Result]:
    waiting = dramatiq.group(row.message(*one) for one in rows).run()
    return list(waiting.get_results(block=True, timeout=300_000))
