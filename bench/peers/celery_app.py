"""Celery, with late acknowledgement, so that a crash loses no job, and confirmed publishes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from celery import Celery  # type: ignore[import-not-found]

from bench.peers import records
from bench.peers.rows import handle
from bench.peers.wishes import AMQP, PREFETCH, QUEUE, RESULTS, Result, Row

app = Celery("bench", broker=AMQP, backend=RESULTS or None)
app.conf.update(
    task_default_queue=QUEUE,
    task_acks_late=True,
    task_ignore_result=not RESULTS,
    worker_prefetch_multiplier=PREFETCH,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)
noop = app.task(name="noop")(records.entered)
row = app.task(name="row")(handle)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    yield
    app.close()


async def send(sent: int) -> None:
    noop.delay(sent)


async def work_off(rows: list[Row]) -> list[Result]:
    return [answer.get(timeout=300) for answer in [row.delay(*one) for one in rows]]
