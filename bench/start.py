"""How long a build waits for an idle worker: from its commit until its first stage begins."""

from __future__ import annotations

from datetime import timedelta

from bench.farms import Setting, farm, make_project, settings, times, upload
from bench.figures import Row, percentile
from buildyard.client import ProducerClient

ROUNDS = 3
BUILDS = 100
_AIMS = {"embedded (SQLite, files)": "p50 <= 50 ms", "RabbitMQ and PostgreSQL": "p50 <= 15 ms"}


async def measure() -> list[Row]:
    """Rows for each setting: from the build's commit until its worker began the first stage, on one machine's clock."""
    return [await _measure(setting) for setting in settings()]


async def _measure(setting: Setting) -> Row:
    project = make_project()
    waits: list[list[float]] = []
    async with farm(setting) as running, ProducerClient(running.api_url) as client:
        for _ in range(5):
            await times(client, await upload(client, project))
        for _ in range(ROUNDS):
            waits.append([])
            for _ in range(BUILDS):
                at = await times(client, await upload(client, project))
                waits[-1].append((at["first stage"] - at["build_queued"]) / timedelta(milliseconds=1))
    every = [wait for one in waits for wait in one]
    medians = [percentile(one, 0.5) for one in waits]
    figure = f"p50 {percentile(every, 0.5):.1f} ms, p99 {percentile(every, 0.99):.1f} ms"
    spread = f"p50 of {ROUNDS} runs of {BUILDS} builds: {min(medians):.1f} to {max(medians):.1f} ms"
    return Row(f"queued to stage started, idle worker, {setting.name}", figure, spread, _AIMS[setting.name])
