"""Servers that are killed, stalled or cut off without a word: what was accepted stays, and no attempt is blamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from buildyard.client import ScalerClient
from buildyard.contracts.scaling import Decision, DecisionCode, Trust
from chaos.plan import Fault, Strike
from chaos.strikes import Striker
from chaos.yard import BROKER, LEASE_SECONDS, STORE, Servers, Yard, open_yard
from tests.journey.yard import make_project, until
from tests.servers import need

pytestmark = [pytest.mark.journey]

OUTAGE_SECONDS = LEASE_SECONDS * 2.5
"""Beyond a lease, a deadline and, where a test says so, the broker's heartbeats."""
Outage = Callable[[Yard], Coroutine[None, None, None]]


@pytest.fixture
def shared(request: pytest.FixtureRequest) -> Servers:
    """Servers that others use too."""
    need("make")
    return Servers(request.getfixturevalue("rabbitmq_3_url"), request.getfixturevalue("postgres_url"))


# ---------------------------------------------------------------- the broker


async def test_a_broker_that_is_killed_or_cut_off_costs_no_attempt_and_is_unknown_not_empty(
    tmp_path: Path, own_servers: dict[str, Servers], shared: Servers
) -> None:
    """Side by side, since all of it is waiting."""
    async with asyncio.TaskGroup() as group:
        for name, servers in own_servers.items():
            group.create_task(_holds(tmp_path / name, servers, _broker_killed))
        group.create_task(_holds(tmp_path / "half-open", _with_quick_heartbeats(shared), _half_open))


async def _holds(folder: Path, servers: Servers, outage: Outage) -> None:
    """A farm with a running build and one that waits, before, in and after an outage of its broker."""
    gate = folder / "gate"
    async with _farm(folder, servers) as (yard, scaler):
        builds = [await _submit(yard, f"while ! test -e {gate}; do sleep 0.05; done") for _ in range(2)]
        await until(lambda: _builds(yard, builds))
        before = await _newest(scaler)

        striking = asyncio.create_task(outage(yard))
        await until(lambda: _says(yard, "broker", ok=False))
        await until(lambda: _unknown_since(scaler, before))
        await striking
        during = await _since(scaler, before)
        await until(lambda: _says(yard, "broker", ok=True))
        await until(lambda: _well(scaler))
        gate.touch()
        await until(lambda: _ended(yard, builds))

        _is_unknown_at_once(during)
        ends = [await yard.client.build(build) for build in builds]
        assert [(end.status, [one.outcome for one in end.attempts]) for end in ends] == [
            ("Succeeded", ["Succeeded"])
        ] * 2


def _is_unknown_at_once(decisions: list[Decision]) -> None:
    """From the tick after the one that the outage met: no number, why there is none, and nobody is drained."""
    first = next(number for number, one in enumerate(decisions) if one.observed.queue_ready.trust is Trust.UNKNOWN)
    assert first <= 1, "a tick that began in the outage took a count for true"
    for one in decisions[first:]:
        queue = one.observed.queue_ready
        assert (queue.value, queue.trust, queue.cause != "") == (None, Trust.UNKNOWN, True)
        assert one.plan.drain == ()
        if not one.observed.ready.value:  # what waits by the producer's count is served all the same
            assert one.plan.code is DecisionCode.UNKNOWN_COUNT
            assert queue.cause.rstrip(".") in one.plan.reason


async def _broker_killed(yard: Yard) -> None:
    await yard.own[BROKER].kill_and_restart(OUTAGE_SECONDS)


async def _half_open(yard: Yard) -> None:
    """Nothing comes through, and nobody is told; in the end all that was on its way is lost."""
    await Striker(yard).strike(Strike(0, Fault.STALL_BROKER, OUTAGE_SECONDS, 0.0))


def _with_quick_heartbeats(servers: Servers) -> Servers:
    """So that both sides give the connection up while nothing comes through."""
    return replace(servers, broker_options={"heartbeat": "2"})


async def test_a_consumer_timeout_in_a_long_build_costs_no_attempt(
    tmp_path: Path, own_servers: dict[str, Servers]
) -> None:
    """RabbitMQ 3.10 takes the ticket back; later versions heed the longer timeout that its queue asks for."""
    async with asyncio.TaskGroup() as group:
        taken = {
            name: group.create_task(_taken_back(tmp_path / name, servers)) for name, servers in own_servers.items()
        }
    assert {name: task.result() for name, task in taken.items()} == {"rabbitmq3": True, "rabbitmq4": False}


async def _taken_back(folder: Path, servers: Servers) -> bool:
    """Whether the server took the ticket of a running build back, which has to end well either way."""
    gate = folder / "gate"
    async with _farm(folder, servers) as (yard, scaler):
        build = await _submit(yard, f"while ! test -e {gate}; do sleep 0.05; done")
        await until(lambda: _builds(yard, [build]))
        striker = Striker(yard)
        await striker.strike(Strike(0, Fault.CONSUMER_TIMEOUT, 1.0, 0.0))
        await until(lambda: _well(scaler))
        gate.touch()
        await until(lambda: _ended(yard, [build]))
        end = await yard.client.build(build)
        assert (end.status, [one.outcome for one in end.attempts]) == ("Succeeded", ["Succeeded"])
        return bool(striker.blows)


# ---------------------------------------------------------------- the store


@dataclass
class Intake:
    """Uploads one after the other, answered or not, and what they were answered."""

    url: str
    content: bytes
    accepted: list[str] = field(default_factory=list)
    refused: list[httpx.Response] = field(default_factory=list)
    slowest: float = 0

    async def run(self, enough: asyncio.Event) -> None:
        """Upload every half second until told, and once more."""
        async with httpx.AsyncClient(timeout=60, trust_env=False) as http, asyncio.TaskGroup() as group:
            while not enough.is_set():
                group.create_task(self._upload(http))
                await asyncio.sleep(0.5)
            group.create_task(self._upload(http))

    async def _upload(self, http: httpx.AsyncClient) -> None:
        answer = await http.post(f"{self.url}/upload", files={"file": ("project.zip", self.content)})
        self.slowest = max(self.slowest, answer.elapsed.total_seconds())
        if answer.status_code == 202:
            self.accepted.append(answer.json()["executionId"])
        else:
            self.refused.append(answer)


async def test_a_store_that_is_killed_stalled_or_locked_slows_the_intake_and_loses_nothing(
    tmp_path: Path, own_servers: dict[str, Servers], shared: Servers
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_takes_in(tmp_path / "killed", own_servers["rabbitmq4"], _store_killed))
        group.create_task(_takes_in(tmp_path / "stalled", shared, _struck(Fault.STALL_STORE)))
        group.create_task(_takes_in(tmp_path / "locked", None, _struck(Fault.LOCK_STORE)))


async def _takes_in(folder: Path, servers: Servers | None, outage: Outage) -> None:
    gate, enough = folder / "gate", asyncio.Event()
    async with _farm(folder, servers) as (yard, scaler):
        held = await _submit(yard, f"while ! test -e {gate}; do sleep 0.05; done")
        await until(lambda: _builds(yard, [held]))
        intake = Intake(yard.farm.api_url, make_project("true"))
        taking = asyncio.create_task(intake.run(enough))
        await outage(yard)
        await until(lambda: _says(yard, "store", ok=True))
        enough.set()
        await taking
        gate.touch()
        await until(lambda: _ended(yard, [held, *intake.accepted]))

        assert intake.accepted
        assert intake.refused or intake.slowest > 1, "the outage was not felt"
        for answer in intake.refused:
            assert answer.status_code in {429, 503}, answer.text
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["content-type"] == "application/problem+json"
        ends = [await yard.client.build(build) for build in (held, *intake.accepted)]
        assert {end.status for end in ends} == {"Succeeded"}
        assert [one.outcome for one in ends[0].attempts] == ["Succeeded"], "the outage cost an attempt"
        await until(lambda: _well(scaler))


async def _store_killed(yard: Yard) -> None:
    await yard.own[STORE].kill_and_restart(OUTAGE_SECONDS)


def _struck(fault: Fault) -> Outage:
    async def outage(yard: Yard) -> None:
        await Striker(yard).strike(Strike(0, fault, 5.0, 1.0))

    return outage


# ---------------------------------------------------------------- looking


@asynccontextmanager
async def _farm(folder: Path, servers: Servers | None) -> AsyncIterator[tuple[Yard, ScalerClient]]:
    need("make")
    folder.mkdir()
    async with open_yard(folder, servers) as yard, ScalerClient(yard.farm.scaler_url) as scaler:
        yield yard, scaler


async def _submit(yard: Yard, recipe: str) -> str:
    async def pieces() -> AsyncIterator[bytes]:
        yield make_project(recipe)

    return (await yard.client.upload(pieces(), {}, filename="project.zip")).execution_id


async def _builds(yard: Yard, builds: list[str]) -> bool:
    """Whether the first of the builds is in its stage Build."""
    return (await yard.client.build(builds[0])).current_stage == "Build"


async def _ended(yard: Yard, builds: list[str]) -> bool:
    return all([(await yard.client.build(build)).end_time is not None for build in builds])


async def _says(yard: Yard, part: str, *, ok: bool) -> bool:
    """Whether the producer's health says so of a part."""
    return any(check.name == part and check.ok is ok for check in (await yard.client.health()).checks)


async def _well(scaler: ScalerClient) -> bool:
    return (await scaler.health()).status == "ok"


async def _newest(scaler: ScalerClient) -> int:
    return (await scaler.decisions(limit=1)).decisions[0].number


async def _since(scaler: ScalerClient, number: int) -> list[Decision]:
    """The decisions after this one, oldest first."""
    return [one for one in reversed((await scaler.decisions(limit=1000)).decisions) if one.number > number]


async def _unknown_since(scaler: ScalerClient, number: int) -> bool:
    return any(one.observed.queue_ready.trust is Trust.UNKNOWN for one in await _since(scaler, number))
