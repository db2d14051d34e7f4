"""The loop with fakes and a clock that stands still: what a pool gets, tick by tick."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from buildyard.contracts.agents import AgentState
from buildyard.contracts.scaling import Decision, DecisionCode, PoolConfig, ScalingPolicy, Trust
from buildyard.errors import BrokerUnavailable, ProducerUnavailable, TemporaryError
from scaler import loop as loop_module
from scaler.decide import decide
from scaler.loop import REST_SECONDS, REST_TICKS, Parts, PoolLoop
from scaler.record import DecisionRecord
from tests.scaler.fakes import FakeBroker, FakeClock, FakeExecutor, FakeProducer

IDLE, BUSY = AgentState.IDLE, AgentState.BUSY


class Farm:
    """One pool of a farm in memory, with the loop under test."""

    def __init__(self, folder: Path, policy: ScalingPolicy | None = None, tick_seconds: float = 3600) -> None:
        self.clock = FakeClock()
        self.producer, self.broker, self.executor = FakeProducer(), FakeBroker(), FakeExecutor(self.clock)
        self.record = DecisionRecord(folder)
        parts = Parts(self.producer, self.broker, self.executor, self.record, self.clock)
        self.loop = PoolLoop(
            PoolConfig(name="linux", policy=policy or ScalingPolicy(max_workers=8)), parts, tick_seconds
        )

    async def tick(self, seconds: float = 1) -> Decision:
        self.clock.seconds += seconds
        return await self.loop.tick("tick")

    def waiting(self, number: int, oldest: float = 0) -> None:
        self.producer.ready = self.broker.ready = number
        self.producer.oldest = oldest if number else None

    def running(self, number: int) -> None:
        self.producer.leases = self.broker.unacked = number

    async def staffed(self, *states: AgentState) -> None:
        """Workers in the first slots that have joined with these states."""
        for slot, state in enumerate(states, start=1):
            await self.executor.start(f"linux-{slot}-1")
            self.producer.registry[f"linux-{slot}-1"] = state


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path)
    yield made
    made.record.close()


async def test_a_depth_of_41_bursts_five_and_leaves_busy_workers_alone(farm: Farm) -> None:
    await farm.staffed(BUSY, BUSY)
    farm.waiting(41)
    farm.running(2)

    decision = await farm.tick()

    assert decision.plan.code is DecisionCode.BURST
    assert sorted(farm.executor.workers) == [f"linux-{slot}-1" for slot in range(1, 8)]
    assert farm.producer.drained == []


async def test_a_burst_is_not_repeated_while_its_workers_are_on_their_way(farm: Farm) -> None:
    farm.waiting(41)
    await farm.tick()

    decision = await farm.tick()

    assert decision.plan.code is DecisionCode.WORKERS_COMING
    assert len(farm.executor.workers) == 5


async def test_workers_that_joined_and_took_work_make_room_for_the_next_burst(farm: Farm) -> None:
    farm.waiting(100)
    await farm.tick()
    farm.producer.registry |= dict.fromkeys(farm.executor.workers, BUSY)
    farm.waiting(95)
    farm.running(5)

    await farm.tick()

    assert len(farm.executor.workers) == 8


async def test_idle_workers_leave_after_thirty_quiet_seconds_and_not_before(farm: Farm) -> None:
    await farm.staffed(IDLE, IDLE)
    await farm.tick()

    assert (await farm.tick(29.9)).plan.code is DecisionCode.IDLE_WAIT
    decision = await farm.tick(0.2)

    assert decision.plan.code is DecisionCode.SCALE_TO_ZERO
    assert farm.producer.drained == [("linux-1-1", decision.plan.reason), ("linux-2-1", decision.plan.reason)]
    assert (await farm.tick()).plan.drain == ()


async def test_work_between_two_quiet_times_starts_the_count_anew(farm: Farm) -> None:
    await farm.staffed(IDLE)
    await farm.tick()
    farm.running(1)
    await farm.tick(20)
    farm.running(0)
    await farm.tick(1)

    assert (await farm.tick(29)).plan.drain == ()
    assert (await farm.tick(2)).plan.drain == ("linux-1-1",)


async def test_a_producer_that_is_down_is_unknown_and_moves_nobody(farm: Farm) -> None:
    await farm.staffed(IDLE, BUSY)
    await farm.tick()
    await farm.tick(29)
    farm.producer.trouble = ProducerUnavailable("The producer at home cannot be reached: refused.")

    decision = await farm.tick(60)

    assert decision.plan.code is DecisionCode.UNKNOWN_COUNT
    assert (decision.plan.start, decision.plan.drain) == ((), ())
    assert decision.observed.ready.trust is Trust.UNKNOWN
    assert decision.observed.ready.cause == "The producer at home cannot be reached: refused."


async def test_time_without_a_trusted_count_is_not_quiet_time(farm: Farm) -> None:
    await farm.staffed(IDLE)
    await farm.tick()
    farm.broker.trouble = BrokerUnavailable("The broker is gone.")
    await farm.tick(60)
    farm.broker.trouble = None

    assert (await farm.tick(1)).plan.code is DecisionCode.IDLE_WAIT


async def test_a_broker_that_is_down_keeps_no_work_from_its_workers(farm: Farm) -> None:
    farm.waiting(41)
    farm.broker.trouble = BrokerUnavailable("The broker is gone.")

    decision = await farm.tick()

    assert len(decision.plan.start) == 5
    assert decision.observed.queue_ready.cause == "The broker is gone."


async def test_an_executor_that_cannot_be_asked_starts_and_drains_nobody(farm: Farm) -> None:
    await farm.staffed(IDLE)
    farm.waiting(500)
    farm.executor.trouble = TemporaryError("The workers' folder cannot be read.")

    decision = await farm.tick()

    assert decision.plan.code is DecisionCode.EXECUTOR_UNREACHABLE
    assert list(farm.executor.workers) == ["linux-1-1"]


async def test_actions_that_do_not_work_are_recorded_and_tried_again(farm: Farm) -> None:
    farm.waiting(1)
    farm.executor.start_trouble = TemporaryError("No more processes.")

    decision = await farm.tick()
    farm.executor.start_trouble = None
    await farm.tick()

    assert decision.failures == ("linux-1-1 was not started: No more processes.",)
    assert list(farm.executor.workers) == ["linux-1-1"]


async def test_an_agent_that_left_in_between_is_a_recorded_failure(farm: Farm) -> None:
    await farm.staffed(IDLE)
    await farm.tick()
    observed = (await farm.tick(31)).observed
    farm.producer.registry.clear()

    failures = await farm.loop._act(decide(observed))

    assert failures == ("linux-1-1 was not drained: There is no agent linux-1-1.",)


async def test_workers_that_die_before_joining_are_started_more_and_more_slowly(farm: Farm) -> None:
    farm.waiting(1)
    starts: list[float] = []
    for _ in range(40):
        before = len(farm.executor.workers)
        await farm.tick(1)
        if len(farm.executor.workers) > before:
            starts.append(farm.clock.seconds)
            farm.executor.end(list(farm.executor.workers)[-1], 1)

    assert [round(later - earlier) for earlier, later in pairwise(starts)] == [2, 4, 8, 16]
    assert list(farm.executor.workers) == [f"linux-1-{generation}" for generation in range(1, 6)]


async def test_a_worker_that_never_joins_does_not_keep_others_away_for_ever(farm: Farm) -> None:
    farm.waiting(1)
    await farm.tick()
    assert (await farm.tick(59)).plan.code is DecisionCode.WORKERS_COMING

    decision = await farm.tick(2)

    assert decision.plan.start == ("linux-2-1",)


async def test_without_a_worker_nobody_asks_for_the_registry(farm: Farm) -> None:
    await farm.tick()
    assert farm.producer.asked_for_agents == 0

    await farm.staffed(IDLE)
    await farm.tick()
    assert farm.producer.asked_for_agents == 1


async def test_the_registry_is_asked_again_when_somebody_comes_goes_or_changes_and_now_and_then(farm: Farm) -> None:
    await farm.staffed(IDLE, IDLE)
    asked: list[int] = []
    for change in ("none", "none", "busy", "left", "new", "idle", "none", "none"):
        if change == "busy":
            farm.producer.registry["linux-1-1"] = BUSY
        elif change == "left":
            farm.executor.end("linux-2-1")
        elif change == "new":
            await farm.executor.start("linux-3-1")
        elif change == "idle":
            farm.producer.registry["linux-1-1"] = IDLE
        await farm.tick(1 if len(asked) < 7 else 10)
        asked.append(farm.producer.asked_for_agents)

    assert asked == [1, 1, 2, 3, 4, 5, 5, 6]


async def test_while_some_idle_and_some_work_the_registry_is_asked_at_every_look(farm: Farm) -> None:
    await farm.staffed(IDLE, BUSY)
    for _ in range(3):
        await farm.tick()

    assert farm.producer.asked_for_agents == 3


async def test_every_tick_is_recorded_and_every_record_replays_to_its_plan(farm: Farm) -> None:
    farm.waiting(41)
    for _ in range(3):
        await farm.tick()
    farm.producer.trouble = ProducerUnavailable("Gone.")
    await farm.tick()

    recorded = [Decision.model_validate_json(line) for line in farm.record.newest(100)]

    assert [decision.number for decision in recorded] == [4, 3, 2, 1]
    assert all(decide(decision.observed) == decision.plan for decision in recorded)


async def test_an_answer_that_never_comes_is_unknown_after_its_deadline(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "DEADLINE_SECONDS", 0.01)
    farm.broker.gate.clear()

    decision = await farm.tick()

    assert decision.observed.queue_ready.cause == "The broker did not answer within 0.01 s."


async def test_an_answer_that_breaks_us_is_unknown_too(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> None:
        json.loads("{")

    monkeypatch.setattr(farm.producer, "pools", broken)

    assert (await farm.tick()).plan.code is DecisionCode.UNKNOWN_COUNT


# ------------------------------------------------------------------------------------------------ waking


@asynccontextmanager
async def running(farm: Farm) -> AsyncIterator[None]:
    task = asyncio.create_task(farm.loop.run())
    try:
        await asyncio.wait_for(farm.broker.subscribed.wait(), 60)
        yield
    finally:
        farm.loop.stop()
        farm.broker.gate.set()
        await asyncio.wait_for(task, 60)


async def next_count(farm: Farm) -> None:
    farm.broker.counting.clear()
    await asyncio.wait_for(farm.broker.counting.wait(), 60)


async def test_a_ring_wakes_the_loop_long_before_its_next_tick(farm: Farm) -> None:
    async with running(farm):
        assert farm.broker.declared == ["jobs.linux"]
        farm.waiting(41)
        farm.broker.ring()
        await next_count(farm)

    newest = Decision.model_validate_json(farm.record.newest(1)[0])
    assert newest.woken_by == "doorbell"
    assert len(newest.plan.start) == 5


async def test_rings_during_a_look_cause_exactly_one_more(farm: Farm) -> None:
    async with running(farm):
        farm.broker.gate.clear()
        farm.broker.ring()
        await next_count(farm)
        counted = farm.broker.counted
        for _ in range(5):
            farm.broker.ring()
        while not farm.broker.doorbell.rings.empty():
            await asyncio.sleep(0)
        farm.broker.gate.set()
        await next_count(farm)

    assert farm.broker.counted == counted + 1


async def test_without_a_doorbell_the_loop_ticks(tmp_path: Path) -> None:
    farm = Farm(tmp_path, tick_seconds=0.01)
    farm.broker.trouble = BrokerUnavailable("The broker is gone.")
    task = asyncio.create_task(farm.loop.run())
    await next_count(farm)
    await next_count(farm)
    farm.loop.stop()
    await asyncio.wait_for(task, 60)

    assert Decision.model_validate_json(farm.record.newest(1)[0]).woken_by == "tick"
    farm.record.close()


async def test_at_rest_a_look_comes_half_as_often_while_the_doorbell_is_heard(farm: Farm) -> None:
    async with running(farm):
        await farm.tick(REST_SECONDS - 1)
        assert farm.loop.pause_seconds == farm.loop.tick_seconds
        await farm.tick()
        assert farm.loop.pause_seconds == REST_TICKS * farm.loop.tick_seconds
        farm.waiting(1)
        await farm.tick()
        assert farm.loop.pause_seconds == farm.loop.tick_seconds


async def test_a_loop_that_cannot_hear_the_doorbell_never_rests(farm: Farm) -> None:
    await farm.tick()
    await farm.tick(REST_SECONDS + 1)

    assert farm.loop.pause_seconds == farm.loop.tick_seconds


async def test_a_fault_in_a_tick_does_not_end_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    farm = Farm(tmp_path, tick_seconds=0.01)
    monkeypatch.setattr(loop_module, "decide", lambda _: json.loads("{"))
    async with running(farm):
        await next_count(farm)
        monkeypatch.undo()
        await next_count(farm)
        await next_count(farm)

    assert farm.record.newest(1)
    farm.record.close()
