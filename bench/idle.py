"""What a farm that does nothing costs: processor time and memory of each process."""

from __future__ import annotations

import asyncio

from bench.farms import Setting, farm, make_project, settings, times, upload
from bench.figures import Row, median, spread
from bench.processes import cpu_seconds, pss_mb
from buildyard.client import ProducerClient

ROUNDS = 3
SECONDS = 10.0


async def measure() -> list[Row]:
    """Rows for each setting: CPU of all three processes, PSS of each after one build."""
    return [row for setting in settings() for row in await _measure(setting)]


async def _measure(setting: Setting) -> list[Row]:
    async with farm(setting) as running, ProducerClient(running.api_url) as client:
        await times(client, await upload(client, make_project()))
        [agent] = (await client.agents()).agents
        pids = {"producer": running.producer.pid or 0, "scaler": running.scaler.pid or 0, "worker": agent.pid}
        await asyncio.sleep(3)
        shares: dict[str, list[float]] = {name: [] for name in pids}
        for _ in range(ROUNDS):
            before = {name: cpu_seconds([pid]) for name, pid in pids.items()}
            await asyncio.sleep(SECONDS)
            for name, pid in pids.items():
                shares[name].append((cpu_seconds([pid]) - before[name]) / SECONDS * 100)
        memory = {name: pss_mb([pid]) for name, pid in pids.items()}
    together = [sum(one) for one in zip(*shares.values(), strict=True)]
    aims = {"producer": "< 120 MB", "worker": "< 60 MB"}
    each = ", ".join(f"{name} {median(share):.2f}" for name, share in shares.items())
    rows = [
        Row(
            f"idle farm, CPU, {setting.name}",
            f"{median(together):.2f} % of a core ({each})",
            spread(together, "%"),
            "< 2 % of a core",
        )
    ]
    rows += [
        Row(f"idle {name}, PSS, {setting.name}", f"{megabytes:.0f} MB", "one reading", aims.get(name, ""))
        for name, megabytes in memory.items()
    ]
    return rows
