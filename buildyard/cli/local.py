"""The embedded farm: producer and scaler as children of this process, watched, restarted, and stopped in order.

`Farm` is the whole of it as a library: the verb `local`, the demo and tests use the same class. Children run in
sessions of their own, so that Ctrl-C in a terminal reaches only this process, which then stops them in order: the
scaler with its workers first, the producer last, so that everything that was in hand is still recorded.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from buildyard.cli.farm_lock import MARKER, FarmLock, FarmRecord, end_leftovers
from buildyard.errors import Conflict, ProducerUnavailable, ScalerUnavailable, TemporaryError

READY_SECONDS = 60.0
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 4.0
_STEADY_SECONDS = 30.0
_BEYOND_GRACE_SECONDS = 20.0
_LOG_BYTES = 5 << 20
_TAIL_LINES = 5
_TAIL_BYTES = 64 << 10
_LOOK_SECONDS = 0.02
_READY = re.compile(rb"^ready \S+\s*$", re.MULTILINE)
_STARTS = 4
_PORT_TAKEN = "cannot listen"
"""What both parts say of a port that somebody else has."""
_PORT_TRIES = 50
_OWN_PORTS = range(20_000, 32_000)
"""Below those that systems give to outgoing connections; two farms may still pick the same, see `held_port`."""
_MAY_HOLD = sys.platform == "linux"
"""Whether a server may bind a port that somebody else has bound too, as long as only one of them listens."""
_ANY_HOST = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


class Part:
    """One child process of a farm: started, watched, restarted when it dies, stopped."""

    def __init__(
        self,
        name: str,
        arguments: tuple[str, ...],
        log: Path,
        env: Mapping[str, str],
        failed: type[TemporaryError],
        say: Callable[[str], None],
    ) -> None:
        self.name = name
        self.log = log
        self.restarts = 0
        self._arguments = arguments
        self._env = dict(env)
        self._failed = failed
        self._say = say
        self._process: Process | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def pid(self) -> int | None:
        """The process id of the newest child; None before the first."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether the child lives."""
        return self._process is not None and self._process.returncode is None

    async def start(self, ready_seconds: float) -> None:
        """Start the child, wait until it says it is ready, and watch it from then on.

        Raises:
            TemporaryError: it ended or stayed silent; the sentence holds the end of its log.
        """
        _rotate(self.log)
        await self._launch(ready_seconds)
        self._tasks.append(asyncio.create_task(self._watch(ready_seconds)))

    async def stop(self, seconds: float) -> None:
        """Ask the child to end; force it after `seconds`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._end(seconds)

    def kill(self) -> None:
        """End the child at once."""
        if self._process is not None and self.running:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _launch(self, ready_seconds: float) -> None:
        with self.log.open("ab") as log:
            start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                # No -P folder: what lies in the user's working directory must not shadow our modules.
                "-P",
                "-m",
                *self._arguments,
                env=self._env,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(ready_seconds):
                await self._ready(self._process, start)
        except TimeoutError:
            await self._end(0)
            raise self._not_ready(f"did not get ready within {ready_seconds:g} s", start) from None
        except BaseException:
            await self._end(0)
            raise

    async def _ready(self, process: Process, start: int) -> None:
        """Wait for the line `ready URL` in the log: unlike a pipe, a file is never full and never held open."""
        end = asyncio.create_task(process.wait())
        try:
            while not _READY.search(_written(self.log, start)):
                done, _ = await asyncio.wait({end}, timeout=_LOOK_SECONDS)
                if done:
                    code = process.returncode
                    raise self._not_ready(f"ended with exit code {code} before it was ready", start)
        finally:
            end.cancel()

    def _not_ready(self, what: str, start: int) -> TemporaryError:
        return self._failed(f"The {self.name} {what}: {_tail(self.log, start)}", remedy=f"Its log is {self.log}.")

    async def _watch(self, ready_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        while self._process is not None:
            since = loop.time()
            code = await self._process.wait()
            delay = _FIRST_DELAY if loop.time() - since > _STEADY_SECONDS else delay
            self._say(f"The {self.name} ended with exit code {code}; it is started again in {delay:g} s ({self.log}).")
            while True:
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY)
                try:
                    await self._launch(ready_seconds)
                except TemporaryError as error:
                    self._say(f"{error} It is tried again in {delay:g} s.")
                else:
                    self.restarts += 1
                    self._say(f"The {self.name} runs again.")
                    break

    async def _end(self, seconds: float) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None and seconds > 0:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.wait()
        self.kill()
        await process.wait()


class Farm:
    """A whole farm on one machine, as an async context manager; data in `data_dir` survive it.

    Port 0 picks a free one. The parts get the variables `inherited` (None: those of this process) with `env` on
    top; `say` is told what happens to them.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        scaler_port: int = 0,
        env: Mapping[str, str] | None = None,
        inherited: Mapping[str, str] | None = None,
        grace_seconds: float = 25,
        ready_seconds: float = READY_SECONDS,
        say: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.logs = self.data_dir / "logs"
        self._host = host
        self._ports = (port, scaler_port)
        self._env = {**(os.environ if inherited is None else inherited), **(env or {})}
        self._grace = grace_seconds
        self._ready_seconds = ready_seconds
        self._say = say
        self._lock = FarmLock(self.data_dir)
        self._farm_id = secrets.token_hex(16)
        self._parts: list[Part] = []
        self._held: list[socket.socket] = []
        self.api_url = ""
        self.scaler_url = ""

    @property
    def producer(self) -> Part:
        """The producer's process."""
        return self._parts[0]

    @property
    def scaler(self) -> Part:
        """The scaler's process."""
        return self._parts[1]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start producer and scaler and wait until both are ready.

        Raises:
            Conflict: another farm runs on this folder, or a port is in use.
            InvalidSettings: the folder cannot be written.
            ProducerUnavailable, ScalerUnavailable: a part does not start; the sentence holds the end of its log.
        """
        before = self._lock.take()
        try:
            if before is not None and (count := await end_leftovers(before.farm_id)):
                self._say(f"An earlier farm was killed; {count} of its processes were still running and were ended.")
            await self._start_parts()
        except BaseException:
            await self.stop()
            raise

    async def _start_parts(self) -> None:
        """Start the parts; where ports are picked and somebody was quicker at one, pick others."""
        for tries_left in reversed(range(_STARTS)):
            self._prepare()
            try:
                for part in self._parts:
                    await part.start(self._ready_seconds)
            except TemporaryError as error:
                if not tries_left or all(self._ports) or _PORT_TAKEN not in str(error):
                    raise
                for part in reversed(self._parts):
                    await part.stop(self._grace)
            else:
                return

    def _prepare(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        ports = self._pick_ports()
        self.api_url, self.scaler_url = (_address(self._host, port) for port in ports)
        self._lock.write(FarmRecord(self._farm_id, os.getpid(), self.api_url, self.scaler_url))
        env = {
            **self._env,
            MARKER: self._farm_id,
            "BUILDYARD_DATA_DIR": str(self.data_dir),
            "BUILDYARD_HOST": self._host,
            "BUILDYARD_PORT": str(ports[0]),
            "BUILDYARD_SCALER_PORT": str(ports[1]),
            "BUILDYARD_API_URL": self.api_url,
            "BUILDYARD_SCALER_URL": self.scaler_url,
            "BUILDYARD_GRACE_SECONDS": str(self._grace),
        }
        log = self.logs
        self._parts = [
            Part("producer", ("orchestrator",), log / "producer.log", env, ProducerUnavailable, self._say),
            Part("scaler", ("scaler", "--stop-workers"), log / "scaler.log", env, ScalerUnavailable, self._say),
        ]

    def _pick_ports(self) -> list[int]:
        """The ports that were asked for, if they are free, and picked ones, which are held until the farm stops."""
        self._let_go()
        ports = []
        for wanted in self._ports:
            port, holder = (_probed(self._host, wanted), None) if wanted else held_port(self._host)
            ports.append(port)
            self._held += [holder] if holder else []
        return ports

    def _let_go(self) -> None:
        for holder in self._held:
            holder.close()
        self._held.clear()

    async def stop(self) -> None:
        """Stop scaler and workers, then the producer; nothing of the farm runs afterwards."""
        try:
            for part in reversed(self._parts):
                # The scaler waits for its workers, which have the grace for themselves.
                await part.stop(self._grace + _BEYOND_GRACE_SECONDS)
            await end_leftovers(self._farm_id)
        finally:
            self._let_go()
            self._lock.release()

    def kill(self) -> None:
        """End the parts at once, for when somebody does not want to wait for `stop`, which is under way."""
        for part in self._parts:
            part.kill()


def held_port(host: str) -> tuple[int, socket.socket | None]:
    """A free port, and the socket that keeps it for us until it is closed; None where the system does not allow that.

    A part listens seconds after its port was picked, and again after each restart. In between nobody listens there,
    so another farm would find the same port free. The holder is bound and never listens: whoever picks a port meets
    it, while a server that asks for SO_REUSEADDR may bind beside it.

    Raises:
        Conflict: the address is not this machine's, or no port is free.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    holder = socket.socket(family)
    try:
        for _ in range(_PORT_TRIES):
            with suppress(OSError):
                holder.bind((host, secrets.choice(_OWN_PORTS)))
                break
        else:
            holder.bind((host, 0))
    except OSError as error:
        holder.close()
        raise _in_use(host, 0, error) from error
    number: int = holder.getsockname()[1]
    if not _MAY_HOLD:
        holder.close()
        return number, None
    # Only now: its own bind had to fail beside every other socket, also one that only holds.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return number, holder


def _probed(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":
            # As servers do: connections that are closing do not count. Elsewhere this option means something else.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _in_use(host, port, error) from error
    return port


def _in_use(host: str, port: int, error: OSError) -> Conflict:
    return Conflict(
        f"Port {port} of {host} cannot be listened on: {error.strerror or error}.",
        remedy="Stop what uses it, choose another with BUILDYARD_PORT and BUILDYARD_SCALER_PORT, "
        "or let free ones be picked with --open-port.",
    )


def _address(host: str, port: int) -> str:
    reachable = "127.0.0.1" if host in _ANY_HOST else host
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))


def _tail(log: Path, start: int) -> str:
    """The last lines that were written to a log since `start`, in one line."""
    lines = _written(log, start).decode(errors="replace").split("\n")
    return " / ".join([line.strip() for line in lines if line.strip()][-_TAIL_LINES:]) or "its log is empty"


def _written(log: Path, start: int) -> bytes:
    """What was written to a log since `start`, at most the end of it."""
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start, end - _TAIL_BYTES))
        return file.read()
