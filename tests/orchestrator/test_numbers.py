"""The numbers for Prometheus: what the store holds is on the page, and its tools find nothing wrong with it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import httpx

from bench.upload_memory import producer
from buildyard.contracts.messages import Heartbeat
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_dead_letters import die
from tests.orchestrator.test_service import claimed, fact, finished
from tests.servers import need


async def test_dead_letters_are_counted_until_a_person_settles_them(yard: Yard) -> None:
    spec = await claimed(yard)
    await die(yard, spec)

    assert (await yard.views.metrics()).open_dead_letters == 1
    await yard.service.drop(spec.build_id, "The project is gone.", requester="me")
    assert (await yard.views.metrics()).open_dead_letters == 0


async def test_reports_of_attempts_that_are_over_are_counted_and_repeats_are_not(yard: Yard) -> None:
    counted: list[str] = []
    yard.service._outlets = replace(yard.service._outlets, refused=counted.append)
    spec = await claimed(yard)
    await yard.service.record(Heartbeat(**fact(spec)))
    await yard.service.record(finished(spec))

    await yard.service.record(Heartbeat(**fact(spec)))

    assert counted == ["heartbeat"]


async def test_promtool_finds_nothing_wrong_with_the_page(tmp_path: Path) -> None:
    promtool = need("promtool")
    async with producer(tmp_path) as (_, url), httpx.AsyncClient(base_url=url) as client:
        await client.get("/api/v1/builds")
        page = (await client.get("/metrics")).text

    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
