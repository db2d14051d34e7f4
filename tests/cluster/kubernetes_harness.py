"""How the contract suite handles the executor of Jobs, on a real API server with real processes as pods."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildyard.clock import Clock, SystemClock
from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.pools_kubernetes import KubernetesPool
from buildyard.contracts.scaling import PoolConfig
from buildyard.errors import TemporaryError
from scaler.executors.kubernetes import KubernetesExecutor
from scaler.executors.processes import find_command
from tests.cluster.relay import Relay
from tests.cluster.running import Cluster
from tests.scaler.fake_kubernetes import set_deadline

FAKE_WORKER = Path(__file__).parents[1] / "scaler" / "fake_worker.py"
PATIENCE = 60.0


class KubernetesHarness:
    """Jobs in a namespace of this test's own; its executors reach the API server through a relay."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.relay = Relay(cluster.kubeconfig)
        self.executors: list[KubernetesExecutor] = []
        self._stack = contextlib.ExitStack()
        self._patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        self.let_calls_take(30.0)  # a machine may stall; lateness has a test of its own
        self.namespace = self._stack.enter_context(cluster.namespace())

    def let_calls_take(self, seconds: float) -> None:
        """How long a call of the API server may take."""
        set_deadline(self._patch, seconds)

    async def open(self) -> None:
        """Begin to listen."""
        await self.relay.open()

    def table(self, behaviour: str = "wait", **changes: Any) -> KubernetesPool:
        """The table of a pool whose workers do as FAKE says."""
        usual: dict[str, Any] = {
            "namespace": self.namespace,
            "kubeconfig": self.relay.kubeconfig(self.folder),
            "image": "buildyard-worker:test",
            "command": (sys.executable, str(FAKE_WORKER)),
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "environment": {"FAKE": behaviour, "MARK": self.namespace},
            "grace_seconds": 5,
        }
        return KubernetesPool.model_validate({**usual, **changes})

    def executor(self, behaviour: str = "wait") -> KubernetesExecutor:
        """One more scaler's executor."""
        return self.with_table(self.table(behaviour))

    def with_table(self, table: KubernetesPool, clock: Clock | None = None) -> KubernetesExecutor:
        """An executor whose pools all have this table."""
        pools = {name: PoolConfig(name=name, executor="kubernetes", kubernetes=table) for name in ("linux", "arm-64")}
        made = KubernetesExecutor(pools, {}, clock or SystemClock())
        self.executors.append(made)
        return made

    async def until(self, executor: KubernetesExecutor, name: str, wanted: Callable[[WorkerInfo], bool]) -> WorkerInfo:
        """Wait until a worker is as wanted; while the cluster cannot be asked, nobody knows."""
        seen: object = None
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    with contextlib.suppress(TemporaryError):
                        seen = await executor.describe(name)
                        if wanted(seen):
                            return seen
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(seen) from None

    async def runs(self, name: str) -> int:
        """Wait until a worker's process runs; its number."""
        words, mark = ("--name", name), f"MARK={self.namespace}".encode()
        async with asyncio.timeout(PATIENCE):
            while (pid := find_command(words, mark)) is None:
                await asyncio.sleep(0.05)
        return pid

    async def drain(self, name: str) -> None:
        """Have a worker leave as it does when its producer asks it to."""
        os.kill(await self.runs(name), signal.SIGTERM)

    async def gone(self, worker: WorkerInfo) -> None:
        """Wait until the cluster knows that a worker ended."""
        await self.until(self.executors[-1], worker.name, lambda one: one.state == "Exited")

    async def break_platform(self) -> None:
        """Cut the executors off from the API server."""
        await self.relay.refuse()

    async def close(self) -> None:
        """Remove the namespace with all that is in it."""
        for executor in self.executors:
            await executor.aclose()
        await self.relay.refuse()
        await asyncio.to_thread(self._stack.close)
