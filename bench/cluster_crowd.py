"""`bench cluster`, second part: thousands of workers at once, and thousands of Jobs that ended.

Pods are KWOK's: they have a node and run, without a process. The times of ticks are those of a scaler made in this
process from the parts that the real one is made of, beside the real one: it looks, decides and records, and finds
nothing to start.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from bench.cluster_place import Ground, Request, Yard, best_setting, yard
from bench.figures import Row, percentile
from bench.processes import pss_mb
from buildyard.contracts.wire import rfc3339
from buildyard.pools_file import load_farm
from buildyard.settings import Settings
from scaler.app import Scaler, build_scaler
from scaler.executors.kubernetes_job import worker_job
from tests.cluster.certificates import client_context

WORKERS = 5000
FINISHED = 10_000
TICKS = 20
PATIENCE = 3600.0
_AT_ONCE = 16
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Crowd:
    """Workers that came at once. Times in seconds since 1970, memory in MB (PSS of the scaler's process)."""

    created: tuple[float, ...]
    submitted: float
    """All jobs waited, and the scaler began to look."""
    all_ran: float
    requests: tuple[Request, ...]
    """What the scaler asked until all ran."""
    memory_before: float
    memory: float
    ticks: tuple[float, ...]


@dataclass(frozen=True)
class Past:
    """A namespace full of Jobs that ended; seconds."""

    jobs: int
    first_look: float
    ticks: tuple[float, ...]


async def crowd(on: Ground, workers: int = WORKERS, ticks: int = TICKS) -> Crowd:
    """Have so many jobs wait until each has a worker."""
    pools = on.pool("linux", {"name": "elastic", "max_workers": workers, "burst_size": workers})
    async with yard(on, pools, best_setting()) as there, _administrator(on) as api:
        with on.requests() as asked:
            await _decides(there)
            before = _memory(there)
            with _stopped(there):  # all wait before it looks
                await there.submit(workers)
                asked.read()
                submitted = time.time()
            requests: list[Request] = []
            async with asyncio.timeout(PATIENCE):
                while len(_created(requests)) < workers or not await _all_run(api, on, workers):
                    requests += asked.read()
                    await asyncio.sleep(_LOOK_SECONDS)
            all_ran = time.time()
            requests += asked.read()
        async with _own_scaler(there) as (scaler, _):
            times = await _ticks(scaler, ticks)
        return Crowd(
            tuple(sorted(_created(requests))), submitted, all_ran, tuple(requests), before, _memory(there), times
        )


async def past(on: Ground, number: int = FINISHED, ticks: int = TICKS) -> Past:
    """Make so many Jobs that ended, then look."""
    pools = on.pool("linux", {"name": "elastic", "max_workers": 25})
    async with yard(on, pools, best_setting()) as there, _administrator(on) as api:
        await _make_ended(api, on, there, number)
        async with _own_scaler(there) as (scaler, first_look):
            return Past(number, first_look, await _ticks(scaler, ticks))


def rows_of_crowd(found: Crowd) -> list[Row]:
    """What came of it."""
    workers = len(found.created)
    seconds = found.created[-1] - found.created[0]
    calls = Counter(f"{request.verb} {request.what}" for request in found.requests)
    told = ", ".join(f"{name} {number}" for name, number in calls.most_common())
    return [
        Row(
            f"{workers} workers for {workers} jobs that wait: Jobs created",
            f"{workers / seconds:.0f}/s",
            f"{seconds:.1f} s from the first to the last; all pods ran {found.all_ran - found.submitted:.0f} s after "
            "the scaler's first look",
        ),
        Row(
            f"the scaler's API calls for each of {workers} workers, until all ran",
            f"{len(found.requests) / workers:.3f}",
            told,
        ),
        Row(
            f"the scaler's memory with {workers} workers",
            f"{found.memory:.0f} MB",
            f"{found.memory_before:.0f} MB before",
        ),
        _ticks_row(f"a tick with {workers} workers", found.ticks, ""),
    ]


def rows_of_past(found: Past) -> list[Row]:
    """What came of it."""
    return [
        _ticks_row(f"a tick with {found.jobs} finished Jobs present", found.ticks, "< 1 s"),
        Row(f"until a new scaler sees {found.jobs} finished Jobs", f"{found.first_look:.1f} s", "one run"),
    ]


def _ticks_row(what: str, ticks: Sequence[float], aim: str) -> Row:
    return Row(what, f"p50 {percentile(ticks, 0.5):.3f} s", f"longest {max(ticks):.3f} s of {len(ticks)}", aim)


def _created(requests: Sequence[Request]) -> list[float]:
    """When each Job was first asked for; one whose answer came too late for the scaler is asked for again."""
    first: dict[str, float] = {}
    for one in requests:
        if (one.verb, one.what) == ("create", "jobs"):
            first.setdefault(one.name, one.at)
    return list(first.values())


def _memory(there: Yard) -> float:
    assert there.farm.scaler.pid is not None
    return pss_mb([there.farm.scaler.pid])


@contextmanager
def _stopped(there: Yard) -> Iterator[None]:
    """The scaler's process stands still for the length of the block."""
    pid = there.farm.scaler.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def _decides(there: Yard) -> None:
    """Wait until the scaler sees its workers."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(trust_env=False) as client:
        while (await client.get(f"{there.farm.scaler_url}/healthz")).status_code != httpx.codes.OK:
            await asyncio.sleep(_LOOK_SECONDS)


# ---------------------------------------------------------------- a scaler of our own


@asynccontextmanager
async def _own_scaler(there: Yard) -> AsyncIterator[tuple[Scaler, float]]:
    """A second scaler in this process, once it has seen the workers, and how long it took until then."""
    with tempfile.TemporaryDirectory(prefix="buildyard-bench-") as folder:
        begun = time.perf_counter()
        scaler = build_scaler(
            Settings(
                data_dir=Path(folder),
                api_url=there.farm.api_url,
                broker_url=there.broker_url,
                pools_file=there.pools_file,
            ),
            {},
        )
        opening = asyncio.create_task(scaler.late_broker.open_for_ever())
        try:
            async with asyncio.timeout(PATIENCE):
                while (await scaler.loops[0].tick("tick")).observed.workers is None:
                    await asyncio.sleep(0.1)
            yield scaler, time.perf_counter() - begun
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            await scaler.close()


async def _ticks(scaler: Scaler, number: int) -> tuple[float, ...]:
    """Seconds of so many ticks, each a while after the one before, as the loop makes them."""
    found = []
    for _ in range(number):
        await asyncio.sleep(1.0)
        begun = time.perf_counter()
        decision = await scaler.loops[0].tick("tick")
        found.append(time.perf_counter() - begun)
        if decision.observed.workers is None or decision.plan.start:
            raise AssertionError(decision.plan.reason)
    return tuple(found)


# ---------------------------------------------------------------- the administrator


@asynccontextmanager
async def _administrator(on: Ground) -> AsyncIterator[httpx.AsyncClient]:
    server, context = client_context(on.cluster.kubeconfig)
    async with httpx.AsyncClient(base_url=server, verify=context, trust_env=False, timeout=60) as client:
        yield client


async def _all_run(api: httpx.AsyncClient, on: Ground, number: int) -> bool:
    path = f"/api/v1/namespaces/{on.place.namespace}/pods"
    some = (await api.get(path, params={"limit": "1"})).raise_for_status().json()
    there = len(some["items"]) + some["metadata"].get("remainingItemCount", 0)
    if there < number:
        return False
    waiting = {"limit": "1", "fieldSelector": "status.phase!=Running"}
    return not (await api.get(path, params=waiting)).raise_for_status().json()["items"]


async def _make_ended(api: httpx.AsyncClient, on: Ground, there: Yard, number: int) -> None:
    """Jobs of workers of the pool that ended well. No controller looks after them: their status is written here."""
    (pool,) = load_farm(Settings(pools_file=there.pools_file)).pools
    table = pool.kubernetes
    assert table is not None
    path = f"/apis/batch/v1/namespaces/{on.place.namespace}/jobs"
    ended = datetime.now(UTC)
    status = json.dumps({"status": _completed(ended - timedelta(minutes=1), ended)})
    room = asyncio.Semaphore(_AT_ONCE)
    slots = pool.policy.max_workers

    async def make(place: int) -> None:
        name = f"linux-{place % slots + 1}-{place // slots + 1}"
        job = worker_job(table, name, {}, ended)
        job["spec"]["managedBy"] = "buildyard.test/nobody"
        async with room:
            (await api.post(path, json=job)).raise_for_status()
            headers = {"content-type": "application/merge-patch+json"}
            (await api.patch(f"{path}/{name}/status", content=status, headers=headers)).raise_for_status()

    await asyncio.gather(*(make(place) for place in range(number)))


def _completed(began: datetime, ended: datetime) -> Mapping[str, object]:
    """The status of a Job whose one pod succeeded."""
    at = rfc3339(ended.replace(microsecond=0))
    true = {"status": "True", "lastProbeTime": at, "lastTransitionTime": at, "reason": "CompletionsReached"}
    return {
        "startTime": rfc3339(began.replace(microsecond=0)),
        "completionTime": at,
        "succeeded": 1,
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {},
        "conditions": [{"type": "SuccessCriteriaMet", **true}, {"type": "Complete", **true}],
    }
