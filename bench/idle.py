"""What a farm that does nothing costs: processor time and memory of each process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bench.farms import Setting, farm, make_project, settings, times, upload
from bench.figures import Row, median, spread
from bench.processes import cpu_seconds, pss_mb
from buildyard.client import ProducerClient

ROUNDS = 3
SECONDS = 10.0
AIMS = {"producer": "< 120 MB", "scaler": "", "worker": "< 60 MB"}


@dataclass(frozen=True)
class Idle:
    """What one process cost: percent of a core, and megabytes of memory (PSS)."""

    share: float
    megabytes: float


async def measure() -> list[Row]:
    """Rows for each setting: CPU of all three processes, PSS of each after one build."""
    return [row for setting in settings() for row in await _measure(setting)]


async def _measure(setting: Setting) -> list[Row]:
    rounds = [await _round(setting) for _ in range(ROUNDS)]
    together = [sum(idle.share for idle in one.values()) for one in rounds]
    each = ", ".join(f"{name} {median([one[name].share for one in rounds]):.2f}" for name in AIMS)
    rows = [
        Row(
            f"idle farm, CPU, {setting.name}",
            f"{median(together):.2f} % of a core ({each})",
            spread(together, "%"),
            "< 2 % of a core",
        )
    ]
    for name, aim in AIMS.items():
        memory = [one[name].megabytes for one in rounds]
        rows.append(Row(f"idle {name}, PSS, {setting.name}", f"{median(memory):.0f} MB", spread(memory, "MB"), aim))
    return rows


async def _round(setting: Setting) -> dict[str, Idle]:
    """One farm of its own, looked at for some seconds after its first build."""
    async with farm(setting) as running, ProducerClient(running.api_url) as client:
        await times(client, await upload(client, make_project()))
        [agent] = (await client.agents()).agents
        pids = {"producer": running.producer.pid or 0, "scaler": running.scaler.pid or 0, "worker": agent.pid}
        await asyncio.sleep(3)
        before = {name: cpu_seconds([pid]) for name, pid in pids.items()}
        await asyncio.sleep(SECONDS)
        return {
            name: Idle((cpu_seconds([pid]) - before[name]) / SECONDS * 100, pss_mb([pid])) for name, pid in pids.items()
        }
