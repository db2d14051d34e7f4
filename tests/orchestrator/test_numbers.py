"""The numbers for Prometheus: what the store holds is on the page, and its tools find nothing wrong with it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import httpx

from bench.upload_memory import producer
from buildyard.contracts.builds import Outcome, ReasonCode
from buildyard.contracts.messages import Heartbeat
from buildyard.contracts.needs import Needs
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_dead_letters import die
from tests.orchestrator.test_service import claim, claimed, ended, fact, finished
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


async def test_a_worker_that_ends_with_a_job_in_hand_is_counted_and_one_that_ends_its_job_is_not(yard: Yard) -> None:
    counted: list[tuple[str, Outcome]] = []
    yard.service._outlets = replace(yard.service._outlets, cut=lambda pool, how: counted.append((pool, how)))
    await yard.service.record(finished(await claimed(yard)))
    assert counted == []

    spec = await claimed(yard)
    await yard.service.record(ended(spec, Outcome.HANDED_BACK, ReasonCode.HANDED_BACK, "The agent had to leave."))
    assert counted == [("linux", Outcome.HANDED_BACK)]

    again = await claim(yard)
    assert again is not None
    found = Needs(os="windows")
    told = ended(again, Outcome.HANDED_BACK, ReasonCode.HANDED_BACK, "Another agent has to build it.", needs=found)
    await yard.service.record(told)
    assert len(counted) == 1, "handed on to an agent that suits"

    await claimed(yard)
    async with yard.store.read() as queries:
        (attempt,) = await queries.live_attempts()
    assert await yard.service.expire(attempt, attempt.lease_until)
    assert counted[1:] == [("linux", Outcome.LOST)]


async def test_promtool_finds_nothing_wrong_with_the_page(tmp_path: Path) -> None:
    promtool = need("promtool")
    async with producer(tmp_path) as (_, url), httpx.AsyncClient(base_url=url, timeout=60) as client:
        await client.get("/api/v1/builds")
        page = (await client.get("/metrics")).text

    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
