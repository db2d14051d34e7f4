"""Which workers a platform may move: those that idle, of all pools of an executor, told when the set changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildyard.contracts.agents import AgentState
from buildyard.contracts.scaling import PoolConfig, ScalingPolicy, WorkerState
from buildyard.errors import ProducerUnavailable, TemporaryError
from scaler.loop import Parts, PoolLoop
from scaler.marking import IdleMarks, idle_workers
from scaler.record import DecisionRecord
from tests.scaler.fakes import FakeBroker, FakeClock, FakeExecutor, FakeProducer
from tests.scaler.observing import crowd, observed


async def test_the_platform_is_told_of_the_idle_workers_of_all_its_pools_together() -> None:
    executor = FakeExecutor(FakeClock())
    marks = IdleMarks(executor)

    await marks.tell("linux", frozenset({"linux-1-1"}))
    await marks.tell("arm", frozenset({"arm-1-1"}))
    await marks.tell("linux", frozenset())

    assert executor.marked == [
        frozenset({"linux-1-1"}),
        frozenset({"linux-1-1", "arm-1-1"}),
        frozenset({"arm-1-1"}),
    ]


async def test_nothing_is_told_twice() -> None:
    executor = FakeExecutor(FakeClock())
    marks = IdleMarks(executor)

    for _ in range(3):
        await marks.tell("linux", frozenset({"linux-1-1"}))
    await IdleMarks(executor).tell("linux", frozenset())

    assert executor.marked == [frozenset({"linux-1-1"})]


async def test_what_could_not_be_told_is_told_again() -> None:
    executor = FakeExecutor(FakeClock())
    marks = IdleMarks(executor)
    executor.trouble = TemporaryError("The platform is away.")
    with pytest.raises(TemporaryError):
        await marks.tell("linux", frozenset({"linux-1-1"}))

    executor.trouble = None
    await marks.tell("linux", frozenset({"linux-1-1"}))

    assert executor.marked == [frozenset({"linux-1-1"})]


def test_only_those_known_to_idle_may_be_moved() -> None:
    everyone = crowd(*WorkerState)

    assert idle_workers(observed(workers=everyone)) == {"linux-2-1"}
    assert idle_workers(observed(workers=None)) == frozenset()


async def test_while_the_producer_is_away_no_worker_may_be_moved(tmp_path: Path) -> None:
    clock = FakeClock()
    producer, executor, record = FakeProducer(), FakeExecutor(clock), DecisionRecord(tmp_path)
    parts = Parts(producer, FakeBroker(), executor, record, clock, marks=IdleMarks(executor))
    loop = PoolLoop(PoolConfig(name="linux", policy=ScalingPolicy(max_workers=8)), parts, 1)
    await executor.start("linux-1-1")
    producer.registry["linux-1-1"] = AgentState.IDLE

    await loop.tick("tick")
    producer.trouble = ProducerUnavailable("The producer cannot be reached.")
    await loop.tick("tick")
    record.close()

    assert executor.marked == [frozenset({"linux-1-1"}), frozenset()]


async def test_a_worker_that_took_the_place_of_an_idle_one_is_marked_at_once(tmp_path: Path) -> None:
    clock = FakeClock()
    producer, executor, record = FakeProducer(), FakeExecutor(clock), DecisionRecord(tmp_path)
    parts = Parts(producer, FakeBroker(), executor, record, clock, marks=IdleMarks(executor))
    loop = PoolLoop(PoolConfig(name="linux", policy=ScalingPolicy(max_workers=8)), parts, 1)
    for name, state in (("linux-1-1", AgentState.IDLE), ("linux-2-1", AgentState.BUSY)):
        await executor.start(name)
        producer.registry[name] = state

    await loop.tick("tick")
    producer.registry |= {"linux-1-1": AgentState.BUSY, "linux-2-1": AgentState.IDLE}
    await loop.tick("tick")
    record.close()

    assert executor.marked == [frozenset({"linux-1-1"}), frozenset({"linux-2-1"})]
