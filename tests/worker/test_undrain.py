"""An agent that was asked to drain, and is not any more when its job is done, takes tickets again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from buildyard.contracts.builds import Outcome
from buildyard.contracts.messages import AgentLeft, DrainAgent, JobFinished
from buildyard.errors import ProducerUnavailable
from buildyard.ports import CONTROL
from tests.worker.fakes import FakeProducer
from tests.worker.test_agent import NAME, QUICK, Farm, farm
from worker.leaving import Leaving, Urgency

ORDER = DrainAgent(agent=NAME, reason="maintenance").encode()


async def drains_with_a_job(here: Farm, gate: Path) -> None:
    """It has a job that ends when the gate is there, and was asked to drain; it has heard so."""
    await here.give(f"all:\n\t@while [ ! -e {gate} ]; do sleep 0.02; done\n")
    await here.until(here.started)
    here.producer.state = "Draining"
    await here.broker.publish(CONTROL, [ORDER])
    async with asyncio.timeout(60):
        await here.agent._leaving.wait()


async def test_it_works_on_when_the_producer_asks_no_more(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        await drains_with_a_job(here, tmp_path / "gate")
        await here.give(QUICK)
        here.producer.state = "Busy"
        (tmp_path / "gate").touch()
        done = await here.seen(JobFinished, 2)
        await here.settled((0, 0))
        await here.give(QUICK)
        await here.seen(JobFinished, 3)

        assert not here.running.done()
        assert {one.outcome for one in done} == {Outcome.SUCCEEDED}
        assert not [one for one in here.reports if isinstance(one, AgentLeft)]


async def test_it_can_be_asked_again_and_then_leaves(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        await drains_with_a_job(here, tmp_path / "gate")
        here.producer.state = "Busy"
        (tmp_path / "gate").touch()
        await here.seen(JobFinished)
        await here.give(QUICK)
        await here.seen(JobFinished, 2)
        here.producer.state = "Draining"
        await here.broker.publish(CONTROL, [ORDER])
        async with asyncio.timeout(60):
            assert await here.running == 0
        (left,) = await here.seen(AgentLeft)
        assert left.reason == "maintenance"


async def test_an_order_that_comes_late_changes_nothing(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        await here.broker.publish(CONTROL, [ORDER])  # the producer has no such wish on record any more
        async with asyncio.timeout(60):
            while not here.producer.asked:
                await asyncio.sleep(0.01)
        await here.give(QUICK)
        await here.seen(JobFinished)
        assert not here.running.done()


@pytest.mark.parametrize("state", ["Draining", "Lost", "Left", "something new"])
async def test_it_leaves_while_the_producer_says_anything_else(tmp_path: Path, state: str) -> None:
    async with farm(tmp_path) as here:
        here.producer.state = state
        await here.broker.publish(CONTROL, [ORDER])
        async with asyncio.timeout(60):
            assert await here.running == 0


async def test_it_leaves_when_the_producer_cannot_be_asked(tmp_path: Path) -> None:
    def silent(producer: FakeProducer) -> None:
        async def nobody(_: str) -> object:
            raise ProducerUnavailable("The producer is away.", retry_after=0.05)

        producer.agent = nobody  # type: ignore[assignment]

    async with farm(tmp_path, silent) as here:
        await here.broker.publish(CONTROL, [ORDER])
        async with asyncio.timeout(60):
            assert await here.running == 0


async def test_a_cause_of_its_own_stands_whatever_the_producer_says(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        await drains_with_a_job(here, tmp_path / "gate")
        here.agent.leave(Urgency.DRAIN, "It had nothing to do.")
        here.producer.state = "Busy"
        (tmp_path / "gate").touch()
        async with asyncio.timeout(60):
            assert await here.running == 0
        assert here.producer.asked == 0


def test_only_what_the_producer_alone_asked_for_is_withdrawn() -> None:
    leaving = Leaving()
    leaving.withdraw()
    assert not leaving.decided
    leaving.decide(Urgency.DRAIN, "asked", asked=True)
    assert leaving.revocable
    leaving.withdraw()
    assert not leaving.decided
    leaving.decide(Urgency.DRAIN, "asked", asked=True)
    leaving.decide(Urgency.TERMINATE, "SIGTERM")
    assert not leaving.revocable
    leaving.withdraw()
    assert leaving.urgency is Urgency.TERMINATE
    assert leaving.reason == "asked"


async def test_who_waits_for_a_change_hears_of_none_that_was_withdrawn() -> None:
    leaving = Leaving()
    waiting = asyncio.create_task(leaving.next_change())
    await asyncio.sleep(0)
    leaving.decide(Urgency.DRAIN, "asked", asked=True)
    leaving.withdraw()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    leaving.decide(Urgency.AT_ONCE, "SIGTERM")
    assert await waiting is Urgency.AT_ONCE
