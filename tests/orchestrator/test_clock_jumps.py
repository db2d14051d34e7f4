"""The clock is set while builds run: no living build is ended by it, and no dead one is saved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from buildyard.clock import SteadyClock
from buildyard.contracts.messages import Heartbeat, StageFinished, StageStarted
from buildyard.ports import Broker
from orchestrator.domain.records import Attempt
from orchestrator.hearing import Hearing
from orchestrator.store.facts import Facts
from tests.guards import holds_only_with
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_background import sweeper
from tests.orchestrator.test_guards import LEASE, Jumping, lost
from tests.orchestrator.test_service import a_request, an_upload, claim, claimed, fact, join, submit

JUMPS = [timedelta(hours=1), timedelta(hours=-1)]


async def _jump(yard: Yard, broker: Broker, machine: Jumping, ahead: timedelta) -> str:
    """A build of half an hour runs and its worker is heard, while the clock is set; the build's id."""
    await join(yard)
    request = a_request()
    request = request.model_copy(update={"job": request.job.model_copy(update={"timeout_minutes": 30.0})})
    build = (await yard.service.submit(request, an_upload(), requester="local")).execution_id
    queued = (await yard.service.submit(request, an_upload(), requester="local")).execution_id
    spec = await claim(yard)
    assert spec is not None
    assert spec.build_id == build
    sweeping = sweeper(yard, broker, machine)
    sweeping._hearing._since = machine.seconds - LEASE
    for number in range(12):
        machine.seconds += LEASE / 4
        if number == 2:
            machine.ahead += ahead
        await sweeping._pass()
        await yard.service.record(Heartbeat(**fact(spec)))
    status = await yard.views.build(queued)
    assert status.status == "Queued", status.reason
    return build


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("ahead", JUMPS, ids=["forward", "back"])
async def test_a_clock_that_is_set_ends_no_living_build_and_saves_no_dead_one(
    yard: Yard, broker: Broker, ahead: timedelta
) -> None:
    machine = Jumping()
    clock = SteadyClock(machine.now, machine.monotonic)
    yard.store._clock = yard.service._clock = clock

    build = await _jump(yard, broker, machine, ahead)

    status = await yard.views.build(build)
    assert ([one.outcome for one in status.attempts], status.status) == ([None], "Running")
    sweeping = sweeper(yard, broker, machine)
    sweeping._hearing._since = machine.seconds
    for _ in range(6):
        machine.seconds += LEASE / 4
        await sweeping._pass()
    assert [one.outcome for one in (await yard.views.build(build)).attempts] == ["Lost"], "now it is silent"


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_with_the_machines_own_clock_a_jump_would_end_a_living_build(yard: Yard, broker: Broker) -> None:
    machine = Jumping()
    yard.store._clock = yard.service._clock = machine

    build = await _jump(yard, broker, machine, JUMPS[0])

    assert (await yard.views.build(build)).status == "TimedOut"


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("ahead", JUMPS, ids=["forward", "back"])
async def test_on_postgresql_the_clock_of_a_producer_does_not_matter(
    yard: Yard, broker: Broker, ahead: timedelta
) -> None:
    yard.store._clock = yard.service._clock = machine = Jumping()
    spec = await claimed(yard)
    sweeping = sweeper(yard, broker)

    machine.ahead = ahead
    await sweeping._pass()

    status = await yard.views.build(spec.build_id)
    assert ([one.outcome for one in status.attempts], status.status) == ([None], "Running")
    assert status.start_time is not None
    assert abs(status.start_time - datetime.now(UTC)) < timedelta(minutes=30)


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_jump_of_the_stores_own_clock_gives_every_worker_time_to_be_heard(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Jumping()
    yard.store._clock = yard.service._clock = machine

    async def check() -> list[str]:
        spec = await claimed(yard)
        sweeping = sweeper(yard, broker, machine)
        await sweeping._expire_leases()
        machine.ahead += timedelta(seconds=LEASE * 2)
        await sweeping._expire_leases()
        return await lost(yard, spec.build_id)

    await holds_only_with(lambda patch: patch.setattr(Hearing, "look", lambda *_: None), check, monkeypatch)


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_after_a_long_silence_of_the_producer_itself_no_queued_build_is_told_that_there_is_no_agent(
    yard: Yard, broker: Broker
) -> None:
    build_id = await submit(yard)
    yard.clock.ahead = timedelta(minutes=11)
    sweeping = sweeper(yard, broker, Jumping())
    sweeping._hearing._since = 0.0

    await sweeping._end_overdue()
    assert (await yard.views.build(build_id)).status == "Queued"

    sweeping._hearing._since -= 100_000
    await sweeping._end_overdue()
    assert (await yard.views.build(build_id)).reason_code == "no_agent"


# ---------------------------------------------------------------- the clock of a worker


@pytest.mark.parametrize("wrong", [timedelta(days=3650), timedelta(days=-3650)], ids=["ahead", "behind"])
async def test_what_a_workers_clock_says_moves_no_lease_since_the_stores_clock_alone_counts(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch, wrong: timedelta
) -> None:
    async def check() -> list[str]:
        spec = await claimed(yard)
        before = datetime.now(UTC)
        async with yard.store.begin() as tx:
            attempt = await tx.attempt(spec.job_id, 1)
            assert attempt is not None
            await tx.renew(attempt, attempt.started_at + timedelta(seconds=LEASE / 4))  # due to be renewed
        told = {**fact(spec), "at": datetime.now(UTC) + wrong}
        for report in (
            StageStarted(**told, stage="fetch"),
            Heartbeat(**told),
            StageFinished(**told, stage="fetch", status="succeeded"),
        ):
            assert await yard.service.record(report)
        await sweeper(yard, broker)._expire_leases()
        status = await yard.views.build(spec.build_id)
        broken = await lost(yard, spec.build_id)
        began = status.stages[0].start_time
        if began is None or abs(began - before) > timedelta(minutes=1):
            broken.append(f"its stage began at {began}")
        return broken

    renew = Facts.renew

    async def by_the_worker(self: Facts, attempt: Attempt, until: datetime) -> None:
        await renew(self, attempt, until + wrong)

    await holds_only_with(lambda patch: patch.setattr(Facts, "renew", by_the_worker), check, monkeypatch)
