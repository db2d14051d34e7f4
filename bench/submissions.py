"""How many uploads a second one producer accepts durably."""

from __future__ import annotations

import asyncio
import time

from bench.farms import Setting, farm, make_project, settings, upload
from bench.figures import Row, median, spread
from buildyard.client import ProducerClient

ROUNDS = 3
UPLOADS = 320
CLIENTS = 8


async def measure() -> list[Row]:
    """Rows for each setting; no worker runs, so only accepting is measured."""
    return [await _measure(setting) for setting in settings()]


async def _measure(setting: Setting) -> Row:
    rates = []
    async with farm(setting, "max_workers = 0") as running, ProducerClient(running.api_url) as client:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            await asyncio.gather(*(_upload_some(client) for _ in range(CLIENTS)))
            rates.append(UPLOADS / (time.perf_counter() - began))
    return Row(f"uploads accepted, {CLIENTS} at once, {setting.name}", f"{median(rates):.0f}/s", spread(rates, "/s"))


async def _upload_some(client: ProducerClient) -> None:
    project = make_project()
    for _ in range(UPLOADS // CLIENTS):
        await upload(client, project)
