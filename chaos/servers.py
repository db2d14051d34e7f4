"""Killing and restarting a run's own servers: a process is started again exactly as it was."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.processes import tell

_CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
_KEPT = ("HOME", "ERL_EPMD_ADDRESS", "ERL_EPMD_PORT")
_PATH = "/usr/bin:/usr/sbin:/bin:/sbin"
_TOOL_SECONDS = 60


@dataclass
class Server:
    """A server process that this run may kill; `pid` changes with each restart."""

    pid: int
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    user: int
    group: int
    root: str = "/"
    started: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, pid: int) -> Server:
        """What the system tells of a running process."""
        place = Path(f"/proc/{pid}")
        argv = _argv_of(pid)
        entries = (os.fsdecode(one).partition("=") for one in (place / "environ").read_bytes().split(b"\0") if one)
        # Not the owner of the folder, which is root's for whoever changed its user.
        ids = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        env = {name: value for name, _, value in entries}
        cwd, root = str((place / "cwd").readlink()), str((place / "root").readlink())
        return cls(pid, argv, env, cwd, int(ids["Uid"].split()[0]), int(ids["Gid"].split()[0]), root)

    async def kill_and_restart(self, seconds: float) -> None:
        """Kill it with its children, wait some seconds, start the same again."""
        await self.kill()
        await asyncio.sleep(seconds)
        await self.restart()

    async def kill(self) -> None:
        """Kill it with its children, and wait until it is gone."""
        for pid in self._family():  # PostgreSQL does not start beside what an earlier one left
            tell(pid, signal.SIGKILL)
        if self.started is not None:
            await asyncio.to_thread(self.started.wait)

    async def restart(self) -> None:
        """Start the same again; it may take some seconds until it answers."""
        self.started = await asyncio.to_thread(self._start)
        self.pid = self.started.pid

    def evaluate(self, expression: str) -> str:
        """Run an Erlang expression on a RabbitMQ node, as its own tools do.

        Raises:
            OSError: the node does not answer, or the expression failed.
        """
        tool = [_CONTROL, "-q", "-n", self.env["RABBITMQ_NODENAME"], "eval", expression]
        try:
            ran = subprocess.run(
                self._within(tool),
                env={"PATH": _PATH, "LANG": "C.UTF-8", **{name: self.env[name] for name in _KEPT}},
                capture_output=True,
                text=True,
                timeout=_TOOL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise OSError(f"The node did not answer within {_TOOL_SECONDS} s.") from error
        if ran.returncode != 0:
            raise OSError(ran.stdout + ran.stderr)
        return ran.stdout.strip()

    def _family(self) -> tuple[int, ...]:
        """It and its children; nobody when it is gone, and its number is another's by now."""
        try:
            if _argv_of(self.pid) not in {(), self.argv}:  # one that has only just begun tells none
                return ()
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            return ()
        return (self.pid, *map(int, children))

    def _within(self, words: Sequence[str]) -> list[str]:
        """The words that run a command where this server sees the file system."""
        return [*words] if self.root == "/" else ["chroot", self.root, *words]

    def _start(self) -> subprocess.Popen[bytes]:
        # Root's own servers stay root's; PostgreSQL refuses to be anybody's but its user's.
        user, group = (self.user, self.group) if self.user != os.getuid() else (None, None)
        return subprocess.Popen(
            self._within(self.argv),
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
        """Kill it, if this run has restarted it: whoever started it first does not know it any more."""
        if self.started is not None:
            for pid in self._family():
                tell(pid, signal.SIGKILL)
            self.started.wait()


def _argv_of(pid: int) -> tuple[str, ...]:
    return tuple(os.fsdecode(word) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1])
