"""Agents that were asked to drain take work again when they are asked to stay, unless they have left."""

from __future__ import annotations

import pytest

from buildyard.contracts.agents import AgentHealth, ClaimRequest
from buildyard.contracts.messages import AgentHeartbeat, AgentLeft
from buildyard.errors import Conflict, NotFound
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import CLOCK, claimed, join, submit


async def test_an_agent_that_is_undrained_gets_jobs_again(yard: Yard) -> None:
    await join(yard)
    await submit(yard)
    assert (await yard.service.drain("linux-1-1", "maintenance")).state == "Draining"
    assert (await yard.service.undrain("linux-1-1")).state == "Idle"
    assert (await yard.service.undrain("linux-1-1")).reason == ""
    answer = await yard.service.claim("linux-1-1", ClaimRequest(claim_id=CLOCK.new_id(), pool="linux"))
    assert answer.verdict == "job"


async def test_one_that_works_is_busy_again_at_once(yard: Yard) -> None:
    await claimed(yard)
    assert (await yard.service.drain("linux-1-1", "maintenance")).state == "Draining"
    assert (await yard.service.undrain("linux-1-1")).state == "Busy"


async def test_one_that_has_left_is_not_called_back(yard: Yard) -> None:
    await join(yard)
    await yard.service.drain("linux-1-1", "maintenance")
    await yard.service.record(AgentLeft(agent="linux-1-1", at=CLOCK.now(), reason="Drained."))
    with pytest.raises(Conflict, match="has left") as refused:
        await yard.service.undrain("linux-1-1")
    assert refused.value.code == "agent_left"
    with pytest.raises(NotFound):
        await yard.service.undrain("linux-9-9")


async def test_one_that_leaves_at_the_same_moment_has_left(yard: Yard) -> None:
    await join(yard)
    await yard.service.drain("linux-1-1", "maintenance")
    await yard.service.undrain("linux-1-1")
    await yard.service.record(AgentLeft(agent="linux-1-1", at=CLOCK.now(), reason="maintenance"))
    await yard.service.record(AgentHeartbeat(agent="linux-1-1", at=CLOCK.now(), health=AgentHealth()))
    assert (await yard.views.agent("linux-1-1")).state == "Left"
