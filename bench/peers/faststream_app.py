"""FastStream: acknowledged after the handler, durable and persistent; its handler stores results in PostgreSQL itself.

It has no result store of its own. Rows are written one by one, as a handler that gets one message can.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from faststream import FastStream  # type: ignore[import-not-found]
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue  # type: ignore[import-not-found]

from bench.peers import records
from bench.peers.rows import handle
from bench.peers.wishes import AMQP, PREFETCH, QUEUE, RESULTS, Result, Row

if TYPE_CHECKING:
    import asyncpg

_AT_ONCE = 100
_LOOK_SECONDS = 0.02
_TABLE = "CREATE TABLE IF NOT EXISTS results (row integer PRIMARY KEY, result text NOT NULL)"
_STORE = "INSERT INTO results (row, result) VALUES ($1, $2) ON CONFLICT (row) DO NOTHING"
_ROWS = f"{QUEUE}-rows"

broker = RabbitBroker(AMQP, logger=None, default_channel=Channel(prefetch_count=PREFETCH))
app = FastStream(broker, logger=None)
_pools: list[asyncpg.Pool[asyncpg.Record]] = []


@app.on_startup  # type: ignore[untyped-decorator]
async def connect() -> None:
    if RESULTS:
        import asyncpg  # noqa: PLC0415 # a worker without results needs none

        _pools.append(await asyncpg.create_pool(RESULTS, min_size=4, max_size=16))


async def _noop(sent: int) -> None:
    records.entered(sent)


async def _row(number: int, values: dict[str, str]) -> None:
    await _pools[0].execute(_STORE, number, json.dumps(handle(number, values)))


broker.subscriber(RabbitQueue(QUEUE, durable=True))(_noop)
if RESULTS:
    broker.subscriber(RabbitQueue(_ROWS, durable=True))(_row)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    await broker.connect()
    await connect()
    for pool in _pools:
        await pool.execute(_TABLE)
        await pool.execute("TRUNCATE results")
    yield
    for pool in _pools:
        await pool.close()
    await broker.stop()


async def send(sent: int) -> None:
    await broker.publish(sent, queue=QUEUE, persist=True)


async def work_off(rows: list[Row]) -> list[Result]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def begin(one: Row) -> None:
        async with room:
            await broker.publish({"number": one[0], "values": one[1]}, queue=_ROWS, persist=True)

    await asyncio.gather(*map(begin, rows))
    [pool] = _pools
    while await pool.fetchval("SELECT count(*) FROM results") < len(rows):
        await asyncio.sleep(_LOOK_SECONDS)
    return [json.loads(found["result"]) for found in await pool.fetch("SELECT result FROM results ORDER BY row")]
