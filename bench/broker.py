"""Our broker port and the whole product beside other job queues: same machine, same RabbitMQ, runs in turns.

Every round measures each of them once, so that a disturbance of the machine strikes all alike. What is measured and
how it is to be read stands on the page itself: see `_TEXT`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from bench import processes
from bench.farms import Setting, farm, make_project, own_database, times, upload
from bench.figures import PAGE, NotMeasured, Section
from bench.peers.contestants import contestants, with_results
from bench.peers.environment import prepared, versions
from bench.peers.figures import WHOLE, Batch, Port, Product, aims, batches_table, plotted, ports_table
from bench.peers.servers import NEEDED, redis, virtual_host
from bench.peers.stage import Stage
from buildyard.cli.local import Farm
from buildyard.client import ProducerClient

ROUNDS = 3
MESSAGES = {1: 1500, 50: 5000}
STARTS, APART_SECONDS = 150, 0.01
BUILDS = 40
ROWS = 10_000
CHUNK = 100
"""The `rowsPerJob` of our second batch; the first leaves it to the product."""
WORKERS = 2
_BUDGET_SECONDS = 420.0
"""No round begins that would likely end later: a busy machine gets fewer rounds."""
_PATIENCE_SECONDS = 240
_IDLE_SECONDS = 4.0
_PLOT = PAGE.with_name("benchmarks-broker.svg")
_PEERS = ("celery", "dramatiq", "taskiq", "taskiq-aio-pika", "faststream", "aio-pika")
_POLICY = f"max_workers = {WORKERS}\nburst_threshold = 0\nburst_size = {WORKERS}\nidle_seconds = 3600"

_TEXT = """{versions}. {rounds}, every one of them once in each; medians, with the lowest and highest run.
One RabbitMQ node without replication; messages are persistent, publishes confirmed, jobs acknowledged when done.

{ports}

- start: from just before the publish by its own client until its handler is entered; an idle worker, {starts} messages
  10 ms apart. Whole: from the build's commit until its worker began the first stage, a claim over HTTP included; no
  other has a claim.
- messages/s: no-op handler, one process, the queue filled before; CPU is the worker's, for one message. No uvloop for
  anybody. Celery solo is left out at prefetch 1, where it waits for a timer before it acknowledges.
- queue: ours are quorum queues, which write to disk before they deliver; most others declare classic queues, which do
  not. At prefetch 1 that is most of the difference, hence both kinds for ours and for the client library alone.
- idle: memory (PSS) of a worker's processes with a no-op handler; the whole worker of ours runs builds.

{batches}

From reading the CSV (ours: from the upload) until the caller has all results in hand, with {workers} idle worker
processes and the same handler for all: ours. Ours cuts the rows into jobs, as it does by itself and as `rowsPerJob`
asks for, and stores their results in PostgreSQL. Others send one message for each row, store each result where the
table says, and hand results back through their own client; FastStream has no results, so its handler inserts them.
Redis keeps results in memory, PostgreSQL makes each durable. CPU is that of workers and client; ours with producer and
scaler, without database and broker.

![Each figure as a bar](benchmarks-broker.svg)

What we aim for, in this run:

{aims}
"""


async def measure() -> Section:
    """All of it, in seven or eight minutes."""
    missing = [key for key in NEEDED if key not in os.environ]
    if missing:
        raise NotMeasured(f"{' and '.join(missing)} must name servers.")
    python = prepared()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="buildyard-bench-")))
        yard = _Yard(folder, python, stack)
        await yard.prepare()
        rounds = await _rounds(yard)
    drawn = json.dumps(plotted(yard.ports, yard.batches, yard.product)).encode()
    subprocess.run([python, "-m", "bench.peers.plot", _PLOT], input=drawn, check=True, cwd=PAGE.parents[1])
    found = versions()
    text = _TEXT.format(
        versions=", ".join(f"{name} {found[name]}" for name in _PEERS),
        rounds=f"{rounds} rounds" if rounds > 1 else "one round",
        starts=STARTS,
        workers=WORKERS,
        ports=ports_table(yard.ports, yard.product),
        batches=batches_table(yard.batches, ROWS),
        aims=aims(yard.ports, yard.batches, yard.product),
    )
    return Section((), text)


async def _rounds(yard: _Yard) -> int:
    """Measure in rounds; how many there were."""
    began = time.perf_counter()
    for number in range(1, ROUNDS + 1):
        sys.stderr.write(f"round {number} of {ROUNDS}\n")
        await yard.round()
        spent = time.perf_counter() - began
        if spent + spent / number > _BUDGET_SECONDS:
            return number
    return ROUNDS


class _Yard:
    """Everybody on a place of their own; `round` measures each once."""

    def __init__(self, folder: Path, python: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._python = python
        self._stack = stack
        self._stages: list[Stage] = []
        self._stores: list[Stage] = []
        self._rows = folder / "rows.csv"
        self._few = folder / "few.csv"
        self._setting = Setting("servers", {})
        self.ports: list[Port] = []
        self.batches: list[Batch] = []
        self.product = Product()

    async def prepare(self) -> None:
        """Virtual hosts, a Redis and databases for all, and the rows."""
        _write_rows(self._rows, ROWS)
        _write_rows(self._few, 10)
        everybody = contestants(self._python)
        for number, one in enumerate(everybody):
            amqp = await self._stack.enter_async_context(virtual_host(f"{one.app}{number}"))
            self._stages.append(Stage(one, amqp, self._folder))
            self.ports.append(Port(one.name, one.queue))
        cache = await self._stack.enter_async_context(redis())
        store = {"BUILDYARD_STORE_URL": os.environ["BUILDYARD_TEST_POSTGRES_URL"]}
        database = (await self._stack.enter_async_context(own_database(store)))["BUILDYARD_STORE_URL"]
        self.batches += [Batch(name, "PostgreSQL") for name in (WHOLE, f"{WHOLE}, {CHUNK} rows a job")]
        for one, where, url in with_results(self._python, cache, database.replace("+asyncpg", "", 1)):
            amqp = await self._stack.enter_async_context(virtual_host(f"{one.app}-{where.lower()}"))
            self._stores.append(Stage(one, amqp, self._folder, url))
            self.batches.append(Batch(one.name, where))
        own = await self._stack.enter_async_context(virtual_host("product"))
        self._setting = Setting("servers", {"BUILDYARD_BROKER_URL": own, **store})

    async def round(self) -> None:
        """Each once."""
        for stage, port in zip(self._stages, self.ports, strict=True):
            await _measure_start(stage, port)
            for prefetch in stage.contestant.prefetches:
                await _measure_loop(stage, port, prefetch)
        await self._measure_product()
        for stage, batch in zip(self._stores, self.batches[2:], strict=True):
            await self._measure_batch(stage, batch)

    async def _measure_batch(self, stage: Stage, batch: Batch) -> None:
        async with stage.worker(50, WORKERS), asyncio.timeout(_PATIENCE_SECONDS):
            await stage.probe()
            await stage.client("rows", str(self._few))
            before = processes.cpu_seconds(processes.tree(stage.pid))
            found = json.loads(await stage.client("rows", str(self._rows)))
            after = processes.cpu_seconds(processes.tree(stage.pid))
        if found["right"] != ROWS:
            raise SystemExit(f"{batch.name}: {found['right']} of {ROWS} results are right.")
        batch.rates.append(ROWS / found["seconds"])
        batch.cpu_seconds.append(after - before + found["cpu"])

    async def _measure_product(self) -> None:
        async with farm(self._setting, _POLICY) as running, ProducerClient(running.api_url) as client:
            project = make_project()
            await asyncio.gather(*(_built(client, project) for _ in range(2 * WORKERS)))
            await _batch(client, self._few, self._folder)
            await _all_joined(client)
            self.product.latencies.append([await _built(client, project) for _ in range(BUILDS)])
            agent = (await client.agents()).agents[0]
            before = processes.cpu_seconds([agent.pid])
            await asyncio.sleep(_IDLE_SECONDS)
            self.product.cpu_percent.append((processes.cpu_seconds([agent.pid]) - before) / _IDLE_SECONDS * 100)
            self.product.pss_mb.append(processes.pss_mb([agent.pid]))
            await self._measure_own_batch(running, client, self.batches[0], {})
            await self._measure_own_batch(running, client, self.batches[1], {"rowsPerJob": str(CHUNK)})

    async def _measure_own_batch(
        self, running: Farm, client: ProducerClient, batch: Batch, fields: dict[str, str]
    ) -> None:
        pids = [part.pid or 0 for part in (running.producer, running.scaler)]
        before, own = processes.cpu_seconds(_trees(pids)), time.process_time()
        began = time.perf_counter()
        lines = await _batch(client, self._rows, self._folder, fields)
        batch.rates.append(ROWS / (time.perf_counter() - began))
        spent = processes.cpu_seconds(_trees(pids)) - before + time.process_time() - own
        batch.cpu_seconds.append(spent)
        if lines != ROWS:
            raise SystemExit(f"Buildyard: {lines} of {ROWS} results.")


async def _measure_start(stage: Stage, port: Port) -> None:
    async with stage.worker(1), asyncio.timeout(_PATIENCE_SECONDS):
        await stage.probe()
        await asyncio.sleep(1)
        port.pss_mb.append(processes.pss_mb(processes.tree(stage.pid)))
        await stage.client("send", str(STARTS), str(APART_SECONDS))
        await stage.until(STARTS + 1)
    port.latencies.append([(entered - sent) / 1e6 for sent, entered in stage.pairs()[1:]])


async def _measure_loop(stage: Stage, port: Port, prefetch: int) -> None:
    count = MESSAGES[prefetch]
    await stage.fill(count)
    async with stage.worker(prefetch), asyncio.timeout(_PATIENCE_SECONDS):
        await stage.until(1)
        pids = processes.tree(stage.pid)
        before, first = processes.cpu_seconds(pids), stage.entered()
        await stage.until(count)
        spent = processes.cpu_seconds(pids) - before
    entered = [at for _, at in stage.pairs()]
    port.rates.setdefault(prefetch, []).append((len(entered) - 1) / (entered[-1] - entered[0]) * 1e9)
    port.cpu_us.setdefault(prefetch, []).append(spent / max(1, count - first) * 1e6)


async def _built(client: ProducerClient, project: bytes) -> float:
    at = await times(client, await upload(client, project))
    return (at["first stage"] - at["build_queued"]) / timedelta(milliseconds=1)


async def _batch(client: ProducerClient, file: Path, folder: Path, fields: dict[str, str] | None = None) -> int:
    """Have a CSV worked off and download its results; how many rows they hold."""

    async def pieces() -> AsyncIterator[bytes]:
        yield file.read_bytes()

    build = (await client.upload(pieces(), fields, filename="rows.csv")).execution_id
    await times(client, build)
    target = folder / "results.jsonl"
    target.unlink(missing_ok=True)
    artifacts = (await client.artifacts(build)).artifacts
    await client.download(next(one for one in artifacts if one.name == target.name), target)
    return target.read_bytes().count(b"\n")


async def _all_joined(client: ProducerClient) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while len((await client.agents()).agents) < WORKERS:
            await asyncio.sleep(0.2)


def _trees(pids: list[int]) -> list[int]:
    return [pid for root in pids for pid in processes.tree(root)]


def _write_rows(file: Path, count: int) -> None:
    chance = random.Random(7)
    with file.open("w", encoding="utf-8") as lines:
        lines.write("id,name,email,amount,city\n")
        for number in range(1, count + 1):
            amount = chance.randint(1, 100_000) / 100
            lines.write(f"{number},Person {number},person{number}@example.org,{amount},Town {chance.randint(1, 900)}\n")
