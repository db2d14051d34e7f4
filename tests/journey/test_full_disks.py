"""A disk that is full to its last byte under the whole data folder: nothing is lost, and all gets well by itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.journey.yard import Yard, make_project, open_yard, until
from tests.servers import absent, need

pytestmark = [pytest.mark.journey]

DISK_BYTES = 160 * 2**20
RESERVE_BYTES = 32 * 2**20
_BLOCK = b"\0" * 2**16


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        absent(f"A disk of one's own needs the right to mount one: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("where", ["servers"], indirect=True)  # on embedded defaults: test_producer_disk.py
async def test_a_disk_that_is_full_costs_neither_a_build_nor_an_attempt(
    where: dict[str, str], small_disk: Path, tmp_path: Path
) -> None:
    need("make")
    gate = tmp_path / "gate"
    reserve = dict.fromkeys(("BUILDYARD_DISK_RESERVE_BYTES", "BUILDYARD_WORK_DISK_BYTES"), str(RESERVE_BYTES))
    env = {**where, **reserve}
    async with open_yard(small_disk, env) as yard:
        held = await yard.submit(make_project(f"while ! test -e {gate}; do sleep 0.05; done"))
        await yard.stage(held, "Build")
        filling = small_disk / "filling"
        fill(filling)

        refused = await upload(yard)
        assert refused.status_code == 503, refused.text
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["content-type"] == "application/problem+json"
        await until(lambda: says(yard, ok=False))
        assert (await yard.producer.build(held)).status == "Running"

        filling.unlink()
        await until(lambda: says(yard, ok=True))
        answers: list[httpx.Response] = []

        async def accepted() -> bool:
            """The gate remembers for a moment how full the disk was."""
            answers.append(await upload(yard))
            return answers[-1].status_code == 202

        await until(accepted)
        gate.touch()
        ends = [await yard.end(build) for build in (held, answers[-1].json()["executionId"])]

        assert [(end.status, [one.outcome for one in end.attempts]) for end in ends] == [
            ("Succeeded", ["Succeeded"])
        ] * 2


def fill(file: Path) -> None:
    """Write until not one byte more is taken."""
    with file.open("wb", buffering=0) as out:
        for block in (_BLOCK, b"\0"):
            try:
                while out.write(block):
                    pass
            except OSError:
                os.fsync(out.fileno())


async def upload(yard: Yard) -> httpx.Response:
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        return await http.post(f"{yard.farm.api_url}/upload", files={"file": ("project.zip", make_project("true"))})


async def says(yard: Yard, *, ok: bool) -> bool:
    """Whether the producer's health says so of the disk, and of all when it is well."""
    health = await yard.producer.health()
    found = any(check.name == "disk" and check.ok is ok for check in health.checks)
    return found and (not ok or health.status == "ok")
