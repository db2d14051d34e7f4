"""`bench cluster`, first part: from work that comes to the Jobs that the API server is asked to create.

A burst is an empty queue that gets one to five builds at once; the policy `elastic` starts a worker for each. The
clock starts when the first of them is sent, so accepting it, its commit and the publish with its confirm are inside.
It ends when the call that creates a Job reaches the API server, by that server's audit log. In place of workers, which
would need the machine for themselves, this process takes the tickets, and cancels the builds once their Jobs are
created; then their pods, which run no process, succeed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.cluster_place import Ground, Request, Requests, Yard, best_setting, yard
from bench.figures import Row, percentile
from buildyard.broker import open_broker
from buildyard.clock import SystemClock
from buildyard.ports import Broker, Delivery, jobs
from scaler.executors.kubernetes_connection import MERGE_PATCH, Connection
from scaler.executors.kubernetes_job import pool_of
from scaler.executors.kubernetes_view import View
from tests.cluster.stages import ENDS_AFTER

BURSTS = 1000
STREAMS = ("linux", "linux-b", "linux-c", "linux-d")
MOST_JOBS = 5
PATIENCE = 300.0
_LOOK_SECONDS = 0.005
_STILL_SECONDS = 0.1
_LONGEST_PAUSE = 0.5
_SEED = 7


@dataclass(frozen=True)
class Burst:
    """One burst: how many jobs came, and when, in seconds since 1970."""

    jobs: int
    sent: float
    taken: float
    """The first of its tickets was delivered; the broker confirms a publish when it may deliver it."""
    created: tuple[float, ...]
    """Its Jobs, in order."""


class _Jobs:
    """Jobs as the audit log tells of them, by pool."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self.created: dict[str, list[Request]] = {}
        self._names: set[str] = set()  # one whose answer came too late for the scaler is asked for again
        self._news = asyncio.Event()

    async def follow(self) -> None:
        """Look for new ones for ever."""
        while True:
            for request in self._requests.read():
                if (request.verb, request.what) == ("create", "jobs") and request.name not in self._names:
                    self._names.add(request.name)
                    self.created.setdefault(pool_of(request.name), []).append(request)
                    self._news.set()
            await asyncio.sleep(_LOOK_SECONDS)

    async def take(self, pool: str, number: int) -> list[Request]:
        """All of a pool that were not taken yet, once there are so many."""
        async with asyncio.timeout(PATIENCE):
            while len(self.created.get(pool, ())) < number:
                self._news.clear()
                await self._news.wait()
        return self.created.pop(pool)


class _Tickets:
    """Takes a pool's tickets as they come, and acknowledges them when told to."""

    def __init__(self) -> None:
        self._held: list[tuple[float, Delivery]] = []
        self._came = asyncio.Event()

    async def take(self, broker: Broker, pool: str) -> None:
        """Take them for ever."""
        await broker.declare(jobs(pool))
        async for delivery in await broker.subscribe(jobs(pool), prefetch=10 * MOST_JOBS):
            self._held.append((time.time(), delivery))
            self._came.set()

    async def settle(self, number: int) -> float:
        """Acknowledge so many; when the first of them came."""
        async with asyncio.timeout(PATIENCE):
            while len(self._held) < number:
                self._came.clear()
                await self._came.wait()
        held, self._held = self._held, []
        for _, delivery in held:
            await delivery.ack()
        return held[0][0]


@dataclass(frozen=True)
class _Pods:
    """The workers' pods, by the administrator's account: none of this is a call of the scaler's."""

    connection: Connection
    view: View

    async def end(self, workers: set[str]) -> None:
        """Have the pods of these workers succeed, and wait until they have."""
        asked: set[str] = set()
        async with asyncio.timeout(PATIENCE):
            while True:
                seen = {name: self.view.pods.get(name, []) for name in workers}
                if all(any(pod.over for pod in pods) for pods in seen.values()):
                    return
                for pod in (pod for pods in seen.values() for pod in pods if pod.name not in asked):
                    asked.add(pod.name)
                    path = f"{self.view.pods_path}/{pod.name}"
                    patch = {"metadata": {"annotations": {ENDS_AFTER: "0s"}}}
                    await self.connection.call("PATCH", path, body=patch, content_type=MERGE_PATCH, seconds=PATIENCE)
                await self.view.changed(1.0)


async def run(on: Ground, bursts: int = BURSTS, streams: Sequence[str] = STREAMS) -> list[Burst]:
    """So many bursts, on as many pools at a time as there are streams."""
    policy = {"name": "elastic", "max_workers": 4 * MOST_JOBS, "burst_size": MOST_JOBS}
    text = "".join(on.pool(name, policy) for name in streams)
    async with yard(on, text, best_setting()) as there, _broker(there) as broker, _pods(on) as pods:
        with on.requests() as requests:
            created = _Jobs(requests)
            tickets = {pool: _Tickets() for pool in streams}
            helpers = [asyncio.create_task(created.follow())]
            helpers += [asyncio.create_task(taking.take(broker, pool)) for pool, taking in tickets.items()]
            shares = [len(range(place, bursts, len(streams))) for place in range(len(streams))]
            try:
                found = await asyncio.gather(
                    *(
                        _stream(there, pool, share, created, tickets[pool], pods)
                        for pool, share in zip(streams, shares, strict=True)
                    )
                )
            finally:
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)
    return sorted((burst for stream in found for burst in stream), key=lambda burst: burst.sent)


async def _stream(there: Yard, pool: str, number: int, created: _Jobs, tickets: _Tickets, pods: _Pods) -> list[Burst]:
    """Bursts of one pool, each after the one before is over and forgotten."""
    chance = random.Random(f"{_SEED} {pool}")
    found = []
    for _ in range(number):
        size = chance.randint(1, MOST_JOBS)
        sent = time.time()
        builds = await there.submit(size, pool)
        made = await created.take(pool, size)
        taken = await tickets.settle(size)
        await asyncio.gather(*(there.producer.cancel(build) for build in builds))
        await asyncio.sleep(_STILL_SECONDS)  # a look that was under way still saw the jobs
        made += created.created.pop(pool, [])
        await pods.end({request.name for request in made})
        found.append(Burst(size, sent, taken, tuple(sorted(request.at for request in made))))
        await asyncio.sleep(chance.uniform(0.1, _LONGEST_PAUSE))
    return found


@asynccontextmanager
async def _broker(there: Yard) -> AsyncIterator[Broker]:
    broker = open_broker(there.broker_url)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


@asynccontextmanager
async def _pods(on: Ground) -> AsyncIterator[_Pods]:
    connection = Connection(str(on.cluster.kubeconfig))
    view = View(connection, on.place.namespace, "buildyard", SystemClock())
    view.open(lambda: False)
    try:
        yield _Pods(connection, view)
    finally:
        await view.close()
        await connection.aclose()


def rows(bursts: Sequence[Burst], streams: int = len(STREAMS)) -> list[Row]:
    """What came of them."""
    jobs_made = sum(len(burst.created) for burst in bursts)
    first = [burst.created[0] - burst.sent for burst in bursts]
    confirmed = [burst.created[0] - burst.taken for burst in bursts]
    last = [burst.created[-1] - burst.sent for burst in bursts]
    what = f"{len(bursts)} bursts of 1 to {MOST_JOBS} jobs on {streams} pools at a time"
    return [
        _row(f"{what}: request sent -> first Job's create call", first, "p50 <= 0.3 s, p99 <= 1 s"),
        _row("the same, request sent -> create call of the burst's last Job", last),
        _row("the same, ticket delivered to a consumer -> first Job's create call", confirmed),
        Row("Jobs created over jobs in those bursts", f"{jobs_made} of {sum(one.jobs for one in bursts)}", "one run"),
    ]


def _row(what: str, values: Sequence[float], aim: str = "") -> Row:
    p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
    parts = [values[len(values) * place // 4 : len(values) * (place + 1) // 4] for place in range(4)]
    medians = [percentile(part, 0.5) for part in parts if part]
    figure = f"p50 {p50:.3f} s, p99 {p99:.3f} s"
    spread = f"p50 of each quarter {min(medians):.3f} to {max(medians):.3f} s; longest {max(values):.3f} s"
    return Row(what, figure, spread, aim)
