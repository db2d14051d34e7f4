"""Killing and restarting a run's own servers: a process is started again exactly as it was."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from chaos.processes import tell


@dataclass
class Server:
    """A server process that this run may kill; `pid` changes with each restart."""

    pid: int
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    user: int
    group: int
    started: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, pid: int) -> Server:
        """What the system tells of a running process."""
        place = Path(f"/proc/{pid}")
        argv = tuple(os.fsdecode(word) for word in (place / "cmdline").read_bytes().split(b"\0")[:-1])
        entries = (os.fsdecode(one).partition("=") for one in (place / "environ").read_bytes().split(b"\0") if one)
        # Not the owner of the folder, which is root's for whoever changed its user.
        ids = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        env = {name: value for name, _, value in entries}
        return cls(
            pid, argv, env, str((place / "cwd").readlink()), int(ids["Uid"].split()[0]), int(ids["Gid"].split()[0])
        )

    async def kill_and_restart(self, seconds: float) -> None:
        """Kill it with its children, wait some seconds, start the same again."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in (self.pid, *map(int, children)):  # PostgreSQL does not start beside what an earlier one left
            tell(pid, signal.SIGKILL)
        if self.started is not None:
            await asyncio.to_thread(self.started.wait)
        await asyncio.sleep(seconds)
        self.started = await asyncio.to_thread(self._start)
        self.pid = self.started.pid

    def _start(self) -> subprocess.Popen[bytes]:
        # Root's own servers stay root's; PostgreSQL refuses to be anybody's but its user's.
        user, group = (self.user, self.group) if self.user != os.getuid() else (None, None)
        return subprocess.Popen(
            self.argv,
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )

    def end(self) -> None:
        """End it, if this run has restarted it: whoever started it first does not know it any more."""
        if self.started is not None:
            tell(self.pid, signal.SIGTERM)
            self.started.wait()


def servers_of(pids: Path) -> dict[str, Server]:
    """The servers that a file of lines `NAME PID ...` names."""
    lines = [line.split() for line in pids.read_text().splitlines()]
    return {words[0]: Server.of(int(words[1])) for words in lines}
