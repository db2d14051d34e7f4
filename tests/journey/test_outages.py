"""The broker, the database or the producer is away for longer than a lease: a worker that lives keeps its job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaos.plan import Fault, Strike
from chaos.strikes import Striker
from chaos.yard import LEASE_SECONDS, Servers, Yard, open_yard
from tests.journey.yard import make_project, until
from tests.servers import need

pytestmark = [pytest.mark.journey]


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Servers:
    return Servers(request.getfixturevalue("rabbitmq_3_url"), request.getfixturevalue("postgres_url"))


EMBEDDED = (Fault.LOCK_STORE, Fault.LOCK_BROKER, Fault.FREEZE_PRODUCER)
SERVERS = (Fault.REFUSE_BROKER, Fault.STALL_BROKER, Fault.STALL_STORE, Fault.FREEZE_PRODUCER)
_KEPT = [("Succeeded", 1, "Succeeded")]


async def test_an_outage_of_an_embedded_part_costs_no_attempt(tmp_path: Path) -> None:
    assert await _outages(EMBEDDED, tmp_path, None) == dict.fromkeys(EMBEDDED, _KEPT)


async def test_an_outage_of_a_server_costs_no_attempt(tmp_path: Path, servers: Servers) -> None:
    assert await _outages(SERVERS, tmp_path, servers) == dict.fromkeys(SERVERS, _KEPT)


_Ends = list[tuple[str, int, str | None]]


async def _outages(faults: tuple[Fault, ...], folder: Path, servers: Servers | None) -> dict[Fault, _Ends]:
    """What each outage does to a farm of its own with one running build; side by side, since all of it is waiting."""
    need("make")
    folders = [folder / fault.name.lower() for fault in faults]
    for one in folders:
        one.mkdir()
    async with asyncio.TaskGroup() as group:  # when one fails, the others stop their farms before the test ends
        tasks = [group.create_task(_outage(fault, one, servers)) for fault, one in zip(faults, folders, strict=True)]
    return dict(zip(faults, (task.result() for task in tasks), strict=True))


async def _outage(fault: Fault, folder: Path, servers: Servers | None) -> _Ends:
    gate = folder / "gate"
    async with open_yard(folder, servers) as yard:
        build = await _submit(yard, make_project(f"while ! test -e {gate}; do sleep 0.05; done"))

        async def runs() -> bool:
            return (await yard.client.build(build)).current_stage == "Build"

        await until(runs)
        await Striker(yard).strike(Strike(0, fault, LEASE_SECONDS * 2.5, 0.0))
        # Whoever is wrongly taken for lost is so within one lease of the outage's end.
        await asyncio.sleep(LEASE_SECONDS * 1.5)
        gate.touch()

        async def ended() -> bool:
            return (await yard.client.build(build)).end_time is not None

        await until(ended)
        status = await yard.client.build(build)
        return [(status.status, one.number, one.outcome) for one in status.attempts]


async def _submit(yard: Yard, content: bytes) -> str:
    async def pieces() -> AsyncIterator[bytes]:
        yield content

    return (await yard.client.upload(pieces(), {}, filename="project.zip")).execution_id
