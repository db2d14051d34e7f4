"""Clocks that jump on the scaler's machine, and a scaler that was frozen: nobody is drained because of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.agents import AgentState
from buildyard.contracts.scaling import DecisionCode
from scaler import loop as loop_module
from scaler.loop import BLIND_SECONDS
from tests.scaler.fakes import FakeClock
from tests.scaler.test_loop import Farm

IDLE, BUSY = AgentState.IDLE, AgentState.BUSY


class JumpingClock(FakeClock):
    """Its wall clock is off by what somebody sets; the monotonic one goes on as it should."""

    def __init__(self) -> None:
        super().__init__()
        self.off = timedelta()

    def now(self) -> datetime:
        return super().now() + self.off


class ShiftedFarm(Farm):
    """A farm in memory whose wall clock jumps; its workers' ages are taken from that clock, as on a machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, tick_seconds=1)
        self.clock = self.wall = JumpingClock()
        self.executor.clock = self.clock
        self.loop._parts = replace(self.loop._parts, clock=self.clock)

    def age(self, seconds: float) -> None:
        """Let the executor believe that its workers are so old."""
        self.executor.born = dict.fromkeys(self.executor.born, self.clock.seconds - seconds)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[ShiftedFarm]:
    made = ShiftedFarm(tmp_path)
    yield made
    made.record.close()


jumps = st.lists(
    st.one_of(st.sampled_from([-86_400.0, -3600.0, -1.0, 0.0, 3600.0, 86_400.0, 3.2e8]), st.floats(-1e8, 1e8)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(jumps=jumps)
async def test_however_the_wall_clock_jumps_no_worker_goes_before_it_was_quiet_for_long(
    tmp_path_factory: pytest.TempPathFactory, jumps: list[float]
) -> None:
    farm = ShiftedFarm(tmp_path_factory.mktemp("decisions"))
    try:
        await farm.staffed(IDLE, BUSY)
        farm.running(1)
        for jump in jumps:
            farm.wall.off = timedelta(seconds=jump)
            farm.age(max(0.0, jump))
            assert (await farm.tick()).plan.drain == ()
        farm.running(0)
        farm.producer.registry["linux-2-1"] = IDLE
        for second in range(31):
            farm.wall.off = timedelta(seconds=jumps[second % len(jumps)])
            farm.age(max(0.0, jumps[second % len(jumps)]))
            plan = (await farm.tick()).plan
            assert (plan.drain == ()) is (second < 30)
        assert {name for name, _ in farm.producer.drained} == {"linux-1-1", "linux-2-1"}
    finally:
        farm.record.close()


@pytest.mark.parametrize("seconds", [BLIND_SECONDS + 0.1, 300, -5, -1e6])
async def test_time_in_which_nobody_looked_is_not_quiet_time(farm: ShiftedFarm, seconds: float) -> None:
    """The process was stopped, its machine suspended, or its steady clock was not steady."""
    await farm.staffed(IDLE)
    for _ in range(29):
        await farm.tick()

    assert (await farm.tick(seconds)).plan.code is DecisionCode.IDLE_WAIT
    assert (await farm.tick(1)).plan.drain == ()
    for _ in range(28):
        await farm.tick()
    assert (await farm.tick()).plan.drain == ("linux-1-1",)


async def test_without_that_guard_a_scaler_that_stood_still_drains_at_its_first_look(
    farm: ShiftedFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "BLIND_SECONDS", 1e9)
    await farm.staffed(IDLE)
    await farm.tick()

    assert (await farm.tick(300)).plan.drain == ("linux-1-1",)


async def test_a_look_that_took_long_is_stale_and_drains_nobody(farm: ShiftedFarm) -> None:
    """The process was stopped between a question and its answer."""
    await farm.staffed(IDLE)
    for _ in range(30):
        await farm.tick()
    counted = farm.broker.witnesses

    async def frozen(*channel: object) -> object:
        found = await counted(*channel)  # type: ignore[arg-type] # handed on
        farm.clock.seconds += 300
        return found

    farm.broker.witnesses = frozen  # type: ignore[assignment] # that is the fault

    decision = await farm.tick()

    assert decision.plan.code is DecisionCode.UNKNOWN_COUNT
    assert decision.plan.drain == ()
