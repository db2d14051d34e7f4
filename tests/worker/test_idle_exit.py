"""A worker that is told to leaves by itself once it has had nothing to do for some time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildyard.contracts.messages import AgentLeft
from buildyard.errors import BrokerUnavailable
from tests.worker.test_agent import SLOW, farm


async def test_an_agent_that_is_told_to_leaves_by_itself_after_some_time_without_work(tmp_path: Path) -> None:
    async with farm(tmp_path, idle_exit_seconds=0.2) as here:
        assert await here.running == 0
        (left,) = await here.seen(AgentLeft)
        assert left.reason == "It had nothing to do for 0.2 s."


async def test_a_job_in_hand_is_no_idle_time(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        assert here.agent._desk.idle_seconds > 0
        await here.give(SLOW)
        await here.until(here.started)
        assert here.agent._desk.idle_seconds == 0


async def test_time_in_which_no_ticket_could_come_is_no_idle_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with farm(tmp_path, idle_exit_seconds=0.4) as here:
        publish = here.agent._means.broker.publish
        away = True

        async def unavailable(*arguments: Any) -> None:
            if away:
                raise BrokerUnavailable("The broker is away.")
            await publish(*arguments)

        monkeypatch.setattr(here.agent._means.broker, "publish", unavailable)
        await here.until(lambda: [True] if here.agent._desk.idle_seconds > 1 else [])
        assert not here.running.done()

        away = False
        assert await here.running == 0
        (left,) = await here.seen(AgentLeft)
        assert left.reason == "It had nothing to do for 0.4 s."
