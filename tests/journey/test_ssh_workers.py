"""A farm whose workers run on two machines that are reached by SSH."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildyard.contracts.api import WorkerInfo
from buildyard.errors import TemporaryError
from tests.journey.yard import Yard, make_project, open_yard, until
from tests.scaler.ssh_yard import Machine

pytestmark = pytest.mark.journey

POOL = """\
max_workers = 2
burst_threshold = 0
burst_size = 2
[pools.linux]
executor = "ssh"
[pools.linux.ssh]
python = "{python}"
environment = {{ PATH = "{path}" }}
inventory = "{inventory}"
"""
HOST = """\
[hosts.{name}]
address = "{address}"
port = {port}
user = "{user}"
key_file = "{key_file}"
known_hosts = "{known_hosts}"
data_dir = "{data_dir}"
slots = 2
"""


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    both = (Machine(tmp_path, "rack-1"), Machine(tmp_path, "rack-2"))
    yield both
    for machine in both:
        machine.stop()


def pool_on(machines: tuple[Machine, ...], folder: Path) -> str:
    """The pool's settings as TOML, its hosts in an inventory."""
    inventory = folder / "hosts.toml"
    inventory.write_text("".join(HOST.format(**dict(machine.entry())) for machine in machines))
    return POOL.format(python=sys.executable, path=os.environ["PATH"], inventory=inventory)


async def running(yard: Yard) -> dict[str, WorkerInfo]:
    """The workers that run, by name; none while the scaler is away."""
    try:
        workers = (await yard.scaler.workers()).workers
    except TemporaryError:
        return {}
    return {worker.name: worker for worker in workers if worker.state == "Busy"}


async def test_builds_run_on_two_machines_and_go_on_when_the_scaler_is_killed(
    tmp_path: Path, machines: tuple[Machine, Machine]
) -> None:
    gate = tmp_path / "gate"
    recipe = f"while test ! -e {gate}; do sleep 0.05; done; echo built by $$BUILDYARD_AGENT"
    async with open_yard(tmp_path, {}, pool_on(machines, tmp_path)) as yard:
        builds = [await yard.submit(make_project(recipe)) for _ in range(2)]
        for build in builds:
            await yard.stage(build, "Build")

        async def both_busy() -> bool:
            return len(await running(yard)) == 2

        await until(both_busy)
        before = await running(yard)
        assert sorted(worker.node for worker in before.values()) == ["rack-1", "rack-2"]

        killed = yard.farm.scaler.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)

        async def restarted() -> bool:
            return yard.farm.scaler.pid != killed and len(await running(yard)) == 2

        await until(restarted)
        after = await running(yard)
        assert {name: worker.pid for name, worker in after.items()} == {
            name: worker.pid for name, worker in before.items()
        }

        gate.touch()
        for build in builds:
            assert (await yard.end(build)).status == "Succeeded"
            assert "built by linux-" in await yard.log(build)
