"""One scaler leads, the others stand by and take over; and if two believe that they lead, no worker comes twice."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from buildyard.clock import SystemClock
from buildyard.contracts.scaling import PoolConfig, ScalingPolicy
from buildyard.errors import InvalidSettings
from scaler.executors.process import ProcessExecutor
from scaler.leading import Alone, FileLock, open_leadership
from scaler.loop import Parts, PoolLoop
from scaler.record import DecisionRecord
from tests.scaler.fakes import FakeBroker, FakeClock, FakeProducer
from tests.scaler.test_executor_contract import FAKE_WORKER

HOLDER = """
import asyncio, sys
from pathlib import Path
from scaler.leading import FileLock

async def hold():
    await FileLock(Path(sys.argv[1]), "the holder").won()
    print("holds", flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""

STALL = 25
"""Seconds that a loaded machine gets beyond what is promised."""


async def within(seconds: float, what: asyncio.Future[None] | asyncio.Task[None]) -> None:
    async with asyncio.timeout(seconds):
        await what


async def test_the_first_leads_and_the_second_stands_by_and_says_who_leads(tmp_path: Path) -> None:
    first, second = (FileLock(tmp_path / "data" / "lock", name) for name in ("the first", "the second"))
    await first.won()

    waiting = asyncio.create_task(second.won())
    await asyncio.sleep(0)

    assert (first.leads, second.leads, second.leader()) == (True, False, "the first")
    first.resign()
    await within(30, waiting)
    assert (first.leads, second.leads, first.leader()) == (False, True, "the second")
    second.resign()


async def test_when_the_leader_is_killed_another_one_leads_within_five_seconds(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(lock), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await asyncio.wait_for(holder.stdout.readline(), 60) == b"holds\n"
    second = FileLock(lock, "the second")
    waiting = asyncio.create_task(second.won())
    await asyncio.sleep(0)
    assert (second.leads, second.leader()) == (False, "the holder")

    holder.kill()
    await holder.wait()

    await within(5 + STALL, waiting)
    assert second.leads
    second.resign()


async def test_who_finds_its_lock_file_removed_leads_no_more_and_joins_the_queue_again(tmp_path: Path) -> None:
    first, second = (FileLock(tmp_path / "lock", name) for name in ("the first", "the second"))
    await first.won()
    losing = asyncio.create_task(first.lost())
    (tmp_path / "lock").unlink()

    await within(30, losing)
    await within(30, asyncio.create_task(second.won()))

    assert (first.leads, second.leads) == (False, True)
    second.resign()


async def test_a_lock_that_cannot_be_taken_makes_nobody_lead(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock", "me")
    (tmp_path / "lock").mkdir()
    waiting = asyncio.create_task(lock.won())
    await asyncio.sleep(0)

    assert (lock.leads, lock.leader()) == (False, "")
    (tmp_path / "lock").rmdir()
    await within(30, waiting)
    lock.resign()


def test_a_folder_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InvalidSettings, match="cannot be made"):
        FileLock(tmp_path / "file" / "lock", "me")


async def test_by_none_each_scaler_leads_for_ever(tmp_path: Path) -> None:
    alone = open_leadership("none:", tmp_path, "me")

    await alone.won()
    losing = asyncio.create_task(alone.lost())
    await asyncio.sleep(0)

    assert alone.leads
    assert not losing.done()
    losing.cancel()
    assert isinstance(open_leadership("file:", tmp_path, "me"), FileLock)
    with pytest.raises(InvalidSettings, match="BUILDYARD_LEADER_URL is wrong"):
        open_leadership("zookeeper:", tmp_path, "me")
    assert Alone().leader()


class Leaders:
    """Two scalers on one data folder that both decide."""

    def __init__(self, folder: Path) -> None:
        self.producer, self.broker = FakeProducer(), FakeBroker()
        self.executors, self.records, self.loops = [], [], []
        for name in ("one", "other"):
            environment = {"PATH": os.environ["PATH"], "BUILDYARD_DATA_DIR": str(folder), "FAKE": "wait"}
            executor = ProcessExecutor(folder, environment, SystemClock(), (sys.executable, str(FAKE_WORKER)))
            record = DecisionRecord(folder / name)
            parts = Parts(self.producer, self.broker, executor, record, FakeClock())
            config = PoolConfig(name="linux", policy=ScalingPolicy(max_workers=12))
            self.executors.append(executor)
            self.records.append(record)
            self.loops.append(PoolLoop(config, parts, 3600))


@pytest.fixture
async def leaders(tmp_path: Path) -> AsyncIterator[Leaders]:
    made = Leaders(tmp_path)
    yield made
    for record in made.records:
        record.close()
    for executor in made.executors:
        assert await executor.stop(30) == ()


async def test_two_forced_leaders_start_each_worker_once(leaders: Leaders) -> None:
    leaders.producer.ready = leaders.broker.ready = 100

    for _ in range(3):
        await asyncio.gather(*(loop.tick("tick") for loop in leaders.loops))

    one, other = [{worker.name: worker.pid for worker in await executor.list()} for executor in leaders.executors]
    assert sorted(one) == [f"linux-{slot}-1" for slot in range(1, 6)]
    assert one == other
    for name, executor in ((name, executor) for name in one for executor in leaders.executors):
        async with aclosing(executor.logs(name, follow=True)) as pieces:
            assert (await anext(pieces)).count(b"started") == 1, "a twin writes to the same log"
