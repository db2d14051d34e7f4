"""A producer whose disk is full: it refuses early, says so, loses nothing, and is well again without a person."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from buildyard.cli.local import Farm
from buildyard.errors import TemporaryError
from tests.journey.faulty_yard import agent_log
from tests.journey.test_producer_faults import broken_promises, counted_project, yard_of
from tests.journey.yard import PATIENCE, Yard, make_project, open_yard, until
from tests.servers import absent, need

pytestmark = [pytest.mark.journey]

DISK_MIB = 64
RESERVE = 16 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 64 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=700", "tmpfs", str(disk)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        absent(f"A disk of one's own needs the right to mount one: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_full_disk_refuses_what_comes_and_keeps_what_is_there(small_disk: Path, tmp_path: Path) -> None:
    """Embedded: uploads, state and messages lie on the one disk that is full."""
    need("make")
    gate = tmp_path / "gate"
    ballast = small_disk / "ballast"
    env = {
        "BUILDYARD_DISK_RESERVE_BYTES": str(RESERVE),
        "BUILDYARD_OBJECTS_URL": f"file://{small_disk}/objects",
        "BUILDYARD_STORE_URL": f"sqlite+aiosqlite:///{small_disk}/store.sqlite",
        "BUILDYARD_BROKER_URL": f"sqlite:///{small_disk}/broker.sqlite",
    }
    async with yard_of(Farm, tmp_path, env, workers_most=1) as yard:
        project = counted_project(tmp_path, f"while ! test -e {gate}; do sleep 0.05; done")
        builds = [await yard.submit(project) for _ in range(2)]
        await yard.stage(builds[0], "Build")
        agent = (await yard.producer.build(builds[0])).agent
        assert agent is not None
        said_by_worker = agent_log(yard, agent.name)

        with pytest.raises(TemporaryError):  # nobody was told how large it is
            await yard.producer.upload(_too_much(), {}, filename="p.zip")
        assert _half_there(small_disk) == []
        await until(lambda: _is_empty(small_disk))  # a file that is gone takes room until its writer lets go of it
        _fill(ballast, small_disk, leave=RESERVE // 2)
        await until(lambda: _says(yard, ok=False))
        refused = await _post(yard, project)
        assert refused.status_code in {503, 507}
        assert int(refused.headers["Retry-After"]) >= 1
        assert "disk" in refused.json()["detail"]

        _fill(ballast, small_disk, leave=0)
        gate.touch()  # the build ends, and its worker has nowhere to say so
        await until(lambda: _has_nowhere_to_say_so(said_by_worker))
        assert (await _post(yard, project)).status_code in {503, 507}
        with pytest.raises(TemporaryError):
            await yard.submit(project)
        assert _half_there(small_disk) == [], "nothing is half there"

        ballast.unlink()
        await until(lambda: _says(yard, ok=True))
        ends = [await yard.end(build) for build in builds]

        assert [await broken_promises(yard, end) for end in ends] == [[], []]
        assert {one.execution_id for one in (await yard.producer.builds()).builds} == set(builds)
        again = await yard.submit(project)
        assert (await yard.end(again)).status == "Succeeded"


@pytest.mark.parametrize("where", ["servers"], indirect=True)
async def test_a_data_folder_that_is_full_costs_neither_a_build_nor_an_attempt(
    where: dict[str, str], small_disk: Path
) -> None:
    """Objects, logs and workspaces lie on the full disk; state and messages do not."""
    need("make")
    gate, ballast = small_disk / "gate", small_disk / "ballast"
    env = {**where, "BUILDYARD_DISK_RESERVE_BYTES": str(RESERVE), "BUILDYARD_WORK_DISK_BYTES": str(RESERVE)}
    async with open_yard(small_disk, env) as yard:
        held = await yard.submit(make_project(f"while ! test -e {gate}; do sleep 0.05; done"))
        await yard.stage(held, "Build")
        _fill(ballast, small_disk, leave=0)

        refused = await _post(yard, make_project("true"))
        assert refused.status_code == 503, refused.text
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.headers["Content-Type"] == "application/problem+json"
        await until(lambda: _says(yard, ok=False))
        assert (await yard.producer.build(held)).status == "Running"

        ballast.unlink()
        await until(lambda: _says(yard, ok=True))
        accepted = await yard.submit(make_project("true"))
        gate.touch()
        ends = [await yard.end(build) for build in (held, accepted)]

        assert [(end.status, [one.outcome for one in end.attempts]) for end in ends] == [
            ("Succeeded", ["Succeeded"])
        ] * 2


async def _has_nowhere_to_say_so(said_by_worker: Path) -> bool:
    """Whether the worker has met the full disk: with its reports, or with the log of its build."""
    said = said_by_worker.read_text()
    return "reports wait for the broker" in said or "the log waits for the object store" in said


async def _too_much() -> AsyncIterator[bytes]:
    yield b"PK\x03\x04"
    for _ in range(2 * DISK_MIB):
        yield b"\0" * 2**20


def _half_there(disk: Path) -> list[Path]:
    return list((disk / "objects").rglob("quarantine/*"))


async def _is_empty(disk: Path) -> bool:
    return os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > DISK_MIB * 2**20 * 3 // 4


def _fill(ballast: Path, disk: Path, *, leave: int) -> None:
    """Write until so much is free."""
    with ballast.open("ab") as file:
        while (free := os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - leave) > 0:
            try:
                os.write(file.fileno(), b"\0" * min(free, 2**20))
            except OSError:
                return


async def _says(yard: Yard, *, ok: bool) -> bool:
    """Whether the health says so of the disk, and of everything when it is well."""
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        answer = (await client.get(f"{yard.farm.api_url}/api/v1/health")).json()
    found = {check["name"]: check["ok"] for check in answer["checks"]}
    return found["disk"] is ok and (not ok or answer["status"] == "ok")


async def _post(yard: Yard, content: bytes) -> httpx.Response:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        return await client.post(f"{yard.farm.api_url}/upload", files={"file": ("p.zip", content)})
