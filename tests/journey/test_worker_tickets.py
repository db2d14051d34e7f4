"""A ticket is acknowledged last of all: who dies with one in hand leaves it to another worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildyard.broker import open_broker
from buildyard.ports import jobs
from buildyard.settings import Settings
from tests.journey.faulty_worker import AT_ANY_CLAIM, EARLY_ACK
from tests.journey.faulty_yard import marks, open_faulty_yard
from tests.journey.yard import Yard, make_project, until
from tests.servers import need

pytestmark = [pytest.mark.journey]

_LOOKS = 20
"""So often in a row the worker must be seen idle: a ticket may be on its way to it."""


async def test_a_worker_that_dies_with_a_ticket_leaves_no_job_behind_since_it_acknowledges_last(
    where: dict[str, str], tmp_path: Path
) -> None:
    """Nobody sweeps here: the ticket alone has to come back."""
    need("make")
    async with open_faulty_yard(tmp_path, {**where, "BUILDYARD_SWEEP_SECONDS": "600"}, max_workers=1) as yard:
        assert await _left_behind(yard, where) == 0

        (marks(tmp_path) / AT_ANY_CLAIM).rmdir()  # it strikes once more
        (marks(tmp_path) / EARLY_ACK).mkdir()
        assert await _left_behind(yard, where) == 1, "without the guard this test sees what it looks for"


async def _left_behind(yard: Yard, where: dict[str, str]) -> int:
    """How many of two builds are left for good, after one worker died with a ticket."""
    builds = [await yard.submit(make_project("true"))]
    await until(lambda: _struck(yard))
    builds.append(await yard.submit(make_project("true")))
    looks = 0

    async def nothing_goes_on() -> bool:
        nonlocal looks
        looks = looks + 1 if await _idle(yard, where, builds) else 0
        return looks > _LOOKS or [(await yard.producer.build(one)).status for one in builds] == ["Succeeded"] * 2

    await until(nothing_goes_on)
    statuses = [await yard.producer.build(build) for build in builds]
    assert {one.status for one in statuses} <= {"Succeeded", "Queued"}
    return sum(one.status == "Queued" for one in statuses)


async def _struck(yard: Yard) -> bool:
    return (marks(yard.folder) / AT_ANY_CLAIM).exists()


async def _idle(yard: Yard, where: dict[str, str], builds: list[str]) -> bool:
    """Whether something ended, and nothing goes on any more."""
    statuses = [(await yard.producer.build(build)).status for build in builds]
    agents = [agent.state for agent in (await yard.producer.agents()).agents]
    settings = Settings(data_dir=yard.farm.data_dir, broker_url=where.get("BUILDYARD_BROKER_URL", ""))
    broker = open_broker(settings.broker)
    await broker.open()
    try:
        tickets = (await broker.depth(jobs("linux"))).ready
    finally:
        await broker.close()
    return "Succeeded" in statuses and "Running" not in statuses and "Idle" in agents and tickets == 0
