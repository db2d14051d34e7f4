"""Hosts for SSH workers: OpenSSH servers of the tests' own on loopback, behind a proxy where a test wants one."""

from __future__ import annotations

import getpass
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from buildyard.clock import SystemClock
from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.pools_ssh import SshHost, SshPool
from buildyard.contracts.scaling import PoolConfig
from scaler.executors.ssh import SshExecutor
from tests.scaler.processes import ended
from tests.worker.git import hosts as servers

FAKE_WORKER = Path(__file__).with_name("fake_worker.py")
PATIENCE = 60.0
"""The longest that a question may take here: for a machine under load."""


class Machine:
    """A host of the tests' own: a server with its key, a user's key, and a folder for workers."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.server = servers.SshHost(folder / name)
        self.server.start()
        self.data_dir = folder / name / "data"

    @property
    def port(self) -> int:
        port: int = self.server.port
        return port

    def known_as(self, port: int) -> str:
        """A line for a file of known hosts."""
        kind, key = (self.server.folder / "host.pub").read_text().split()[:2]
        return f"[127.0.0.1]:{port} {kind} {key}\n"

    def entry(self, port: int | None = None, **fields: Any) -> SshHost:
        """This host as an inventory has it; `port` is that of a proxy before it."""
        known_hosts = self.server.folder / f"known_hosts_{port or self.port}"
        known_hosts.write_text(self.known_as(port or self.port))
        given = {
            "name": self.name,
            "address": "127.0.0.1",
            "port": port or self.port,
            "user": getpass.getuser(),
            "key_file": str(self.server.folder / "client"),
            "known_hosts": str(known_hosts),
            "data_dir": str(self.data_dir),
            "slots": 8,
        }
        return SshHost.model_validate({**given, **fields})

    def stop(self) -> None:
        """End the server with all its connections."""
        if self.server.process is None:
            return
        for pid in _children(self.server.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.stop()
        self.server.process = None


def executor_of(
    pools: Mapping[str, tuple[SshHost, ...]],
    behaviour: str = "wait",
    *,
    answer_seconds: float = PATIENCE,
    environment: Mapping[str, str] | None = None,
    **fields: Any,
) -> SshExecutor:
    """An executor whose workers do what `behaviour` says; `fields` are those of the pools' tables."""
    table = {"python": sys.executable, "command": (sys.executable, str(FAKE_WORKER)), "connect_seconds": 60, **fields}
    configs = {
        name: PoolConfig(name=name, executor="ssh", ssh=SshPool.model_validate({"hosts": hosts, **table}))
        for name, hosts in pools.items()
    }
    told = {name: {"FAKE": behaviour, **(environment or {})} for name in pools}
    return SshExecutor(configs, told, SystemClock(), answer_seconds=answer_seconds, chance=lambda: 0.0)


class SshHarness:
    """Handles SSH workers for the suite that all executors pass."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder, "only")
        self.executors: list[SshExecutor] = []

    def executor(self, behaviour: str = "wait") -> SshExecutor:
        host = (self.machine.entry(),)
        made = executor_of({"linux": host, "arm-64": host}, behaviour)
        self.executors.append(made)
        return made

    async def gone(self, worker: WorkerInfo) -> None:
        assert worker.pid is not None
        await ended(worker.pid)

    async def break_platform(self) -> None:
        self.machine.stop()

    async def close(self) -> None:
        for executor in self.executors:
            await executor.aclose()
        if self.machine.server.process is None:
            self.machine.server.start()
        last = self.executor()
        assert await last.stop(10) == ()
        await last.aclose()
        self.machine.stop()


def _children(pid: int) -> list[int]:
    """The processes that a server made for its connections, with theirs, as far as they are servers too."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text().startswith("sshd"):
                found += [*_children(int(child)), int(child)]
    return found
