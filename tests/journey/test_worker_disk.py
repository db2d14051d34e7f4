"""A worker whose disk is full: it takes nothing without room for it, says so, and outlives a build that fills it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.journey.yard import Yard, make_project, open_yard, until, zipped

pytestmark = [pytest.mark.journey]

ROOM = 48 * 2**20
NEEDED = 16 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own for what workers build, with ROOM bytes."""
    servers.need("make")
    place = tmp_path / "data" / "agents"
    place.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        servers.absent(f"A small disk cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_a_full_disk_ends_the_build_that_filled_it_and_keeps_the_worker_from_taking_another(
    where: dict[str, str], tmp_path: Path, small_disk: Path
) -> None:
    env = {**where, "BUILDYARD_WORK_DISK_BYTES": str(NEEDED), "BUILDYARD_MAX_ATTEMPTS": "1"}
    async with open_yard(tmp_path, env, "max_workers = 1") as yard:
        fills = {
            "Build": await yard.submit(make_project("head -c 200000000 /dev/zero > big")),
            "Fetch": await yard.submit(zipped({"Makefile": "all:\n", "big": "0" * 2 * ROOM})),
        }
        for stage, build in fills.items():
            status = await yard.end(build)
            assert (status.status, status.reason_code) == ("Failed", "disk_full"), status.reason
            assert f"{stage}: the agent's disk is full; free some space and retry." in status.reason
            assert (await yard.producer.artifacts(build)).artifacts == ()
        await until(lambda: _clean(small_disk))

        filler = small_disk / "filler"
        await asyncio.to_thread(filler.write_bytes, bytes(ROOM - NEEDED + 2**20))
        waiting = await yard.submit(make_project("true"))
        [agent] = (await yard.producer.agents()).agents
        log = yard.farm.data_dir / "workers" / agent.name / "agent.log"
        await until(lambda: _says(log, "BUILDYARD_WORK_DISK_BYTES asks for"))
        await until(lambda: _tells(yard, agent.name))
        assert (await yard.producer.build(waiting)).attempts == ()
        filler.unlink()

        status = await yard.end(waiting)
        assert status.status == "Succeeded", status.reason
        assert {one.agent for one in status.attempts} == {agent.name}, "the same worker lives on"


async def _clean(disk: Path) -> bool:
    return not list(disk.glob("*/work/*")) and os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > ROOM // 2


async def _says(log: Path, words: str) -> bool:
    return words in log.read_text()


async def _tells(yard: Yard, agent: str) -> bool:
    free = (await yard.producer.agent(agent)).health.disk_free_bytes
    return free is not None and free < NEEDED
