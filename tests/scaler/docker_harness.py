"""How the contract suite handles the executor of containers, on a real engine."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from pathlib import Path

import pytest

from buildyard.clock import Clock, SystemClock
from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.pools_docker import DockerPool, DockerVolume
from buildyard.contracts.scaling import PoolConfig
from scaler.executors.docker import DockerExecutor
from scaler.executors.docker_engine import Engine
from tests import docker_engine

FAKE_WORKER = Path(__file__).with_name("fake_worker.py")


class DockerHarness:
    """Containers of the base image, each with a fake worker; all carry a label of this test's own."""

    def __init__(self, folder: Path) -> None:
        self.url = docker_engine.host(docker_engine.BASE)
        self.farm = f"test-{secrets.token_hex(4)}"
        self.folder = folder
        self.fake = folder / "fake"
        self.fake.mkdir(mode=0o755)
        shutil.copy(FAKE_WORKER, self.fake)
        (self.fake / FAKE_WORKER.name).chmod(0o644)
        self.executors: list[DockerExecutor] = []
        self._patch = pytest.MonkeyPatch()
        self.let_looks_take(60.0)  # a machine may stall; lateness has a test of its own
        self.breaker = docker_engine.Breaker(self.url, folder / "engine.sock")

    def let_looks_take(self, seconds: float) -> None:
        """How long a look at the engine may take."""
        self._patch.setattr(Engine.call, "__defaults__", (seconds,))

    def pool(self, behaviour: str = "wait", **changes: object) -> DockerPool:
        """The table of a pool whose workers do as FAKE says."""
        usual: dict[str, object] = {
            "image": docker_engine.BASE,
            "host": self.breaker.url,
            "farm": self.farm,
            "command": ("python3", f"/fake/{FAKE_WORKER.name}"),
            "pull": "never",
            "network": "host",
            "memory_bytes": 128 * 2**20,
            "workspace_bytes": 16 * 2**20,
            "volumes": (DockerVolume(source=str(self.fake), target="/fake"),),
            "environment": {"FAKE": behaviour},
        }
        return DockerPool.model_validate({**usual, **changes})

    def executor(self, behaviour: str = "wait") -> DockerExecutor:
        """One more scaler's executor."""
        return self.with_pool(self.pool(behaviour))

    def with_pool(self, docker: DockerPool, clock: Clock | None = None) -> DockerExecutor:
        """An executor whose pools all have this table."""
        pools = {
            name: PoolConfig(name=name, executor="docker", docker=docker) for name in ("linux", "arm-64", "windows")
        }
        made = DockerExecutor(pools, {}, clock or SystemClock())
        self.executors.append(made)
        return made

    async def gone(self, worker: WorkerInfo) -> None:
        """Wait until the engine knows that a worker ended."""
        with docker_engine.client(self.url) as engine:
            await asyncio.to_thread(engine.wait, f"{self.farm}-{worker.name}", timeout=60)

    async def break_platform(self) -> None:
        """Cut the executors off from the engine."""
        await asyncio.to_thread(self.breaker.close)

    async def close(self) -> None:
        """Remove every container of this test."""
        self._patch.undo()
        for executor in self.executors:
            await executor.aclose()
        await asyncio.to_thread(self.breaker.close)
        await asyncio.to_thread(docker_engine.remove_farm, self.url, self.farm)
