"""Starting many workers: side by side where their platform takes that, and never for longer than a tick may take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildyard.contracts.scaling import PoolConfig, ScalingPolicy
from buildyard.errors import TemporaryError
from scaler.loop import START_SECONDS, Parts, PoolLoop
from scaler.record import DecisionRecord
from tests.scaler.fakes import FakeBroker, FakeClock, FakeExecutor, FakeProducer

PATIENCE = 60.0
WORKERS = 8


class Counting(FakeExecutor):
    """Tells how many starts are under way; a start takes a while, by the clock and by turns of the loop."""

    def __init__(self, clock: FakeClock, takes_seconds: float = 0) -> None:
        super().__init__(clock)
        self.takes_seconds = takes_seconds
        self.under_way = 0
        self.most = 0
        self.refuses = ""

    async def start(self, name: str) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.clock.seconds += self.takes_seconds
        await asyncio.sleep(0)
        self.under_way -= 1
        if name == self.refuses:
            raise TemporaryError("No.")
        await super().start(name)


class SideBySide(Counting):
    """A platform that is not the slower for three starts at a time."""

    starts_at_once = 3


@pytest.fixture
def record(tmp_path: Path) -> Iterator[DecisionRecord]:
    made = DecisionRecord(tmp_path)
    yield made
    made.close()


def loop_of(executor: FakeExecutor, record: DecisionRecord) -> PoolLoop:
    """A loop whose next tick starts all workers."""
    producer, broker = FakeProducer(), FakeBroker()
    producer.ready = broker.ready = 100
    policy = ScalingPolicy(max_workers=WORKERS, burst_size=WORKERS)
    parts = Parts(producer, broker, executor, record, executor.clock)
    return PoolLoop(PoolConfig(name="linux", policy=policy), parts, tick_seconds=3600)


def names(number: int) -> set[str]:
    return {f"linux-{slot}-1" for slot in range(1, number + 1)}


async def test_workers_start_side_by_side_as_far_as_their_platform_takes_it(record: DecisionRecord) -> None:
    executor = SideBySide(FakeClock())

    await loop_of(executor, record).tick("tick")

    assert set(executor.workers) == names(WORKERS)
    assert executor.most == 3


async def test_workers_of_other_platforms_start_one_after_the_other(record: DecisionRecord) -> None:
    executor = Counting(FakeClock())

    await loop_of(executor, record).tick("tick")

    assert list(executor.workers) == sorted(names(WORKERS))
    assert executor.most == 1


async def test_a_start_that_fails_is_told_in_its_place_and_the_others_go_on(record: DecisionRecord) -> None:
    executor = SideBySide(FakeClock())
    executor.refuses = "linux-2-1"

    decision = await loop_of(executor, record).tick("tick")

    assert decision.failures == ("linux-2-1 was not started: No.",)
    assert set(executor.workers) == names(WORKERS) - {"linux-2-1"}


async def test_what_a_tick_has_no_time_for_is_told_and_left_to_the_next_look(record: DecisionRecord) -> None:
    executor = Counting(FakeClock(), takes_seconds=START_SECONDS / 2)

    decision = await loop_of(executor, record).tick("tick")

    assert set(decision.plan.start) == names(WORKERS)
    assert set(executor.workers) == names(2)
    assert decision.failures == ("6 of 8 workers were not started yet: the next look goes on with them.",)


async def test_the_next_look_comes_at_once_until_nothing_is_left(record: DecisionRecord) -> None:
    executor = Counting(FakeClock(), takes_seconds=START_SECONDS / 2)
    loop = loop_of(executor, record)
    running = asyncio.create_task(loop.run())
    try:
        async with asyncio.timeout(PATIENCE):
            while set(executor.workers) != names(WORKERS):
                await asyncio.sleep(0.01)
    finally:
        loop.stop()
        await running

    assert set(executor.workers) == names(WORKERS)
