"""A scaler that dies at the worst moments, and two at once: no worker has a twin, and no busy one is disturbed."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from buildyard.cli.local import Farm
from buildyard.client import ProducerClient, ScalerClient
from chaos.processes import workers
from tests.journey.dying_scaler import BEFORE_LAUNCH, BEFORE_RECORD, FOLDER, IN_MID_DRAIN, MOMENTS
from tests.journey.yard import QUICK, Yard, make_project, until
from tests.servers import need

pytestmark = [pytest.mark.journey]

ROOT = Path(__file__).resolve().parents[2]
_POLICY = "[pools.linux.policy]\nmax_workers = 4\nburst_threshold = 0\nburst_size = 2\nidle_seconds = 1\n"


class DyingFarm(Farm):
    """A farm whose scaler dies at each moment, once."""

    def _prepare(self) -> None:
        super()._prepare()
        self.scaler._arguments = ("tests.journey.dying_scaler", "--stop-workers")


class Roll:
    """Every worker process that was ever seen, the largest number seen at once, and who shared a slot at one moment."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.pids: dict[str, set[int]] = {}
        self.most = 0
        self.crowded: set[tuple[str, ...]] = set()

    async def call(self) -> None:
        """Look until cancelled."""
        while True:
            found = await asyncio.to_thread(workers, self._data_dir)
            self.most = max(self.most, len(found))
            slots: dict[str, list[str]] = {}
            for one in found:
                self.pids.setdefault(one.agent, set()).add(one.pid)
                slots.setdefault(one.agent.rpartition("-")[0], []).append(one.agent)
            self.crowded |= {tuple(names) for names in slots.values() if len(names) > 1}
            await asyncio.sleep(0.4)

    @property
    def twins(self) -> dict[str, set[int]]:
        """Names that more than one process had, ever."""
        return {name: pids for name, pids in self.pids.items() if len(pids) > 1}


@asynccontextmanager
async def _yard(folder: Path, env: Mapping[str, str], farm_of: type[Farm]) -> AsyncIterator[tuple[Yard, Roll]]:
    need("make")
    marks = folder / "marks"
    marks.mkdir()
    pools = folder / "pools.toml"
    pools.write_text(_POLICY)
    settings = {**QUICK, **env, "BUILDYARD_POOLS_FILE": str(pools), FOLDER: str(marks), "PYTHONPATH": str(ROOT)}
    async with (
        farm_of(folder / "data", env=settings, grace_seconds=10) as farm,
        ProducerClient(farm.api_url) as producer,
        ScalerClient(farm.scaler_url) as scaler,
    ):
        roll = Roll(farm.data_dir)
        calling = asyncio.create_task(roll.call())
        try:
            yield Yard(farm, producer, scaler, folder), roll
        finally:
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)


async def test_a_scaler_that_dies_at_every_moment_starts_no_twin_and_disturbs_nobody(
    where: dict[str, str], tmp_path: Path
) -> None:
    marks, gate = tmp_path / "marks", tmp_path / "gate"
    async with _yard(tmp_path, where, DyingFarm) as (yard, roll):
        builds = [await yard.submit(_held_by(gate)) for _ in range(2)]
        for build in builds:
            await yard.stage(build, "Build")
        assert {one.name for one in marks.iterdir()} == {BEFORE_LAUNCH, BEFORE_RECORD}
        await _restarts(yard, 2)
        gate.touch()
        ends = [await yard.end(build) for build in builds]

        await until(lambda: _exists(marks / IN_MID_DRAIN))
        ends.append(await yard.end(await yard.submit(make_project("true"))))
        await _restarts(yard, len(MOMENTS))
        await until(lambda: _nobody(yard))

        assert [[one.outcome for one in end.attempts] for end in ends] == [["Succeeded"]] * 3
        assert (roll.twins, roll.crowded) == ({}, set())
        assert roll.most <= 4
        assert await _left_unwell(yard) == []


@pytest.mark.parametrize("where", ["servers"], indirect=True)
async def test_two_scalers_at_once_start_each_worker_once_and_drain_no_busy_one(
    where: dict[str, str], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with _yard(tmp_path, where, Farm) as (yard, roll), _second_scaler(yard) as second:
        builds = [await yard.submit(_held_by(gate)) for _ in range(6)]
        await until(lambda: _busy(yard, 4))
        for scaler in (yard.scaler, second):
            await _decides_on(scaler, 3)
        assert (await yard.producer.pools()).pools[0].leases == 4
        gate.touch()
        ends = [await yard.end(build) for build in builds]
        await until(lambda: _nobody(yard))

        assert [[one.outcome for one in end.attempts] for end in ends] == [["Succeeded"]] * 6
        assert (roll.twins, roll.crowded) == ({}, set())
        assert roll.most == 4
        assert await _left_unwell(yard) == []


@asynccontextmanager
async def _second_scaler(yard: Yard) -> AsyncIterator[ScalerClient]:
    """Another scaler of the same farm that decides too, as if somebody had started one more without a lock."""
    log = yard.folder / "second.log"
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "scaler"),
            env={**yard.farm.scaler._env, "BUILDYARD_SCALER_PORT": "0", "BUILDYARD_LEADER_URL": "none:"},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=said,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            ready = await process.stdout.readline()
        assert ready.startswith(b"ready "), log.read_text()
        async with ScalerClient(ready.decode().split()[1]) as client:
            yield client
        assert process.returncode is None
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _decides_on(scaler: ScalerClient, times: int) -> None:
    """Wait for so many more decisions."""
    before = (await scaler.decisions(limit=1)).decisions[0].number

    async def more() -> bool:
        return (await scaler.decisions(limit=1)).decisions[0].number >= before + times

    await until(more)


def _held_by(gate: Path) -> bytes:
    return make_project(f"while ! test -e {gate}; do sleep 0.05; done")


async def _restarts(yard: Yard, number: int) -> None:
    async def enough() -> bool:
        return yard.farm.scaler.restarts >= number

    await until(enough)


async def _exists(path: Path) -> bool:
    return path.exists()


async def _busy(yard: Yard, number: int) -> bool:
    return (await yard.producer.pools()).pools[0].leases == number


async def _nobody(yard: Yard) -> bool:
    """Whether all workers have left."""
    return not await asyncio.to_thread(workers, yard.farm.data_dir)


async def _left_unwell(yard: Yard) -> list[str]:
    """Workers that ended otherwise than by leaving, as far as their scaler could see it."""
    told = (await yard.scaler.workers()).workers
    assert Counter(one.state for one in told)["Running"] == 0
    return [f"{one.name}: {one.exit_code}" for one in told if one.exit_code not in {0, None}]
