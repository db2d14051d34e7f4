"""`bench drain`: ten thousand jobs of known time on workers that are there already: how near the ideal they are done.

One batch of rows, a job for each row; a row takes its time asleep, as most tools wait for a disk or a network. The
ideal is jobs x job time / workers, as if a worker had its next job the moment it was done with the last one.
On its own, and smaller: `python -m bench.drain JOBS WORKERS MILLISECONDS`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.farms import Setting, farm, settings, times, upload_batch
from bench.figures import Row
from buildyard.client import ProducerClient
from buildyard.contracts.api import RowList

JOBS = 10_000
WORKERS = 24
WORK_MS = 750
AIM = "0 lost, <= 1.05 of the ideal"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """How much is to be done, by how many."""

    jobs: int = JOBS
    workers: int = WORKERS
    work_ms: int = WORK_MS

    @property
    def ideal_seconds(self) -> float:
        return self.jobs * self.work_ms / 1000 / self.workers


async def measure(load: Load | None = None) -> list[Row]:
    """Rows for each setting."""
    return [row for setting in settings() for row in await _measure(setting, load or Load())]


async def _measure(setting: Setting, load: Load) -> list[Row]:
    policy = f"max_workers = {load.workers}\nidle_seconds = 3600\nburst_threshold = 1\nburst_size = {load.workers}"
    async with farm(setting, policy) as running, ProducerClient(running.api_url) as client:
        await _warm(client, load)
        assert running.producer.pid is not None
        pids = [running.producer.pid, *(agent.pid for agent in (await client.agents()).agents)]
        before, begun = [_cpu(pid) for pid in pids], time.perf_counter()
        build_id = await upload_batch(client, load.jobs, load.work_ms)
        await times(client, build_id)
        seconds = time.perf_counter() - begun
        used = [_cpu(pid) - one for pid, one in zip(pids, before, strict=True)]
        status = await client.build(build_id)
        rows = await _all_rows(client, build_id)
    counts = status.rows
    assert counts is not None
    numbers = [row for page in rows for row in (one.row for one in page.rows)]
    lost = load.jobs - len(set(numbers))
    twice = len(numbers) - len(set(numbers))
    ratio = seconds / load.ideal_seconds
    what = f"{load.jobs} jobs of {load.work_ms} ms on {load.workers} workers, {setting.name}"
    figure = (
        f"{seconds:.1f} s, {ratio:.3f} of the ideal {load.ideal_seconds:.1f} s; {lost} lost, {twice} twice, "
        f"{counts.failed} failed"
    )
    cost = (
        f"a job costs {used[0] / load.jobs * 1000:.1f} ms of a processor in the producer and "
        f"{sum(used[1:]) / load.jobs * 1000:.1f} ms in its worker; {sum(used) / seconds:.2f} cores busy"
    )
    return [Row(f"drain: {what}", figure, cost, AIM)]


async def _warm(client: ProducerClient, load: Load) -> None:
    """Have every worker started, joined and idle again."""
    async with asyncio.timeout(240):
        await times(client, await upload_batch(client, load.workers * 4, load.work_ms * 2))
        while len((await client.agents()).agents) < load.workers:
            await times(client, await upload_batch(client, load.workers * 4, load.work_ms * 2))


async def _all_rows(client: ProducerClient, build_id: str) -> list[RowList]:
    pages: list[RowList] = []
    after = 0
    while True:
        page = await client.rows(build_id, after=after, limit=1000)
        pages.append(page)
        if page.next_cursor is None:
            return pages
        after = int(page.next_cursor)


def _cpu(pid: int) -> float:
    """Of a process and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS


if __name__ == "__main__":
    jobs, workers, work_ms = (int(word) for word in sys.argv[1:4])
    for row in asyncio.run(measure(Load(jobs, workers, work_ms))):
        sys.stdout.write(f"{row.what}: {row.figure} ({row.spread})\n")
