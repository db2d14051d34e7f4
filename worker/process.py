"""The one place that starts child processes, and the one that is sure to end them.

A child gets its own session, an environment of exactly what it is given plus two markers, no standard input unless
asked for, and limits. It ends with everything it started: first its process group is told to (TERM), after a grace
killed, then every process that still carries the marker or descends from one that does, however it detached itself.
POSIX-only imports live here and nowhere else in the worker; on other systems the guarantees are weaker.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from buildyard.errors import InvalidRequest, NotFound
from worker.log_text import MAX_LINE_BYTES, LineSplitter, clean_line
from worker.stopping import StopSignal
from worker.strays import find_strays

if sys.platform != "win32":
    import fcntl
    import resource
    import termios

TERM_SECONDS = 5.0
"""How long a child may take to end after TERM before it is killed."""
_KILL_SECONDS = 10.0
_DRAIN_SECONDS = 1.0
_READ_BYTES = 64 * 1024
_TAIL_LINES = 20
_INT_BYTES = 4

RawLines = Sequence[tuple[bytes, int]]
"""Lines without their line feed, each with the number of its bytes that were dropped."""
Sink = Callable[[RawLines], Awaitable[None]]


class EndedBy(Enum):
    """What ended a child."""

    EXITED = "exited"
    SIGNAL = "signal"
    TIMED_OUT = "timed_out"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Limits:
    """Bounds for one process; `file_bytes` None means none."""

    open_files: int = 16_384
    file_bytes: int | None = None


@dataclass(frozen=True)
class Launch:
    """A child to start. `agent` and `attempt` become its markers; no two that run at once share an `attempt`."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    agent: str
    attempt: str
    timeout_seconds: float | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class ProcessEnd:
    """How a child ended: `tail` are its last lines, cleaned."""

    ended_by: EndedBy
    exit_code: int | None
    signal_name: str
    tail: tuple[str, ...]


class _Keeper:
    """Which children are ours and alive, and whether orphaned grandchildren come to us."""

    def __init__(self) -> None:
        self.children: set[int] = set()
        self.adopting = False
        self.starts = 0
        self.starting = 0


_keeper = _Keeper()


def become_subreaper() -> None:
    """Let orphaned descendants come to this process, so that none escapes; a no-op where the system cannot.

    For processes that start children only through this module: whatever else it adopts counts as a stray.
    """
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only Linux needs it

        pr_set_child_subreaper = 36
        with suppress(OSError, AttributeError):
            _keeper.adopting = ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0) == 0


def process_exists(pid: int) -> bool:
    """Whether a process of this number runs on this machine; True where that cannot be told."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def run(launch: Launch, sink: Sink, stop: StopSignal | None = None) -> ProcessEnd:
    """Run a child to its end; its standard output and error go to `sink` as one stream of lines.

    Nothing that it started is left when this returns or raises.

    Raises:
        NotFound: there is no such program.
        InvalidRequest: it cannot be started as given.
    """
    tail: deque[str] = deque(maxlen=_TAIL_LINES)

    async def note_and_pass(lines: RawLines) -> None:
        tail.extend(clean_line(*line) for line in lines[-_TAIL_LINES:])
        await sink(lines)

    async with started(launch, merge_errors=True) as child:
        reading = asyncio.create_task(pump(child.stdout, note_and_pass))
        try:
            ended_by = await child.wait(stop, reading)
            all_gone = await child.end()
            await asyncio.wait({reading}, timeout=None if all_gone else _DRAIN_SECONDS)
            if reading.done():
                reading.result()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    return child.described(ended_by, tuple(tail))


async def pump(stream: asyncio.StreamReader, sink: Sink, line_bytes: int = MAX_LINE_BYTES) -> None:
    """Read a stream to its end in lines of at most `line_bytes`; a slow sink slows the writer down."""
    splitter = LineSplitter(line_bytes)
    while data := await stream.read(_READ_BYTES):
        if lines := splitter.feed(data):
            await sink(lines)
    if lines := splitter.finish():
        await sink(lines)


class _ExitAware(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells the exit itself: `Process.wait` waits for the pipes too, which a detached grandchild may hold open."""

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=limit, loop=loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


class Child:
    """A running child; `started` makes one and ends it."""

    def __init__(self, launch: Launch, transport: asyncio.SubprocessTransport, protocol: _ExitAware) -> None:
        self._launch = launch
        self._transport = transport
        self._protocol = protocol
        self._marker = f"BUILDYARD_ATTEMPT={launch.attempt}".encode()
        self.pid = transport.get_pid()

    @property
    def stdout(self) -> asyncio.StreamReader:
        """What it writes to its standard output."""
        assert self._protocol.stdout is not None
        return self._protocol.stdout

    @property
    def stderr(self) -> asyncio.StreamReader:
        """What it writes to its standard error, when the two are not merged."""
        assert self._protocol.stderr is not None
        return self._protocol.stderr

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """Its standard input, when it was started with one."""
        assert self._protocol.stdin is not None
        return self._protocol.stdin

    def unread(self) -> int | None:
        """How many bytes of its standard input it has not read yet; None where the system does not tell."""
        waiting = self.stdin.transport.get_write_buffer_size()
        if sys.platform == "win32" or waiting:
            return waiting or None
        with suppress(OSError):
            found = fcntl.ioctl(self.stdin.get_extra_info("pipe").fileno(), termios.FIONREAD, bytes(_INT_BYTES))
            return int.from_bytes(found, sys.byteorder)
        return None

    async def wait(self, stop: StopSignal | None, *readers: asyncio.Task[None]) -> EndedBy:
        """Wait for its exit, the stop signal or its time limit; an exception of a reader is raised.

        After an exit the readers get a moment to come to the end of what was written.
        """
        exited = asyncio.create_task(self._protocol.exited.wait())
        stopping = asyncio.create_task(stop.wait()) if stop is not None else None
        watched: set[asyncio.Task[object]] = {exited, *readers} | ({stopping} if stopping else set())
        loop = asyncio.get_running_loop()
        limit = self._launch.timeout_seconds
        deadline = None if limit is None else loop.time() + limit
        try:
            while True:
                left = None if deadline is None else max(0.0, deadline - loop.time())
                done, _ = await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for reader in done.intersection(readers):
                    reader.result()
                if exited in done:
                    await asyncio.wait(readers, timeout=_DRAIN_SECONDS) if readers else None
                    return EndedBy.EXITED
                if stopping in done:
                    return EndedBy.STOPPED
                if not done:
                    return EndedBy.TIMED_OUT
                watched -= done
        finally:
            for task in (exited, stopping):
                if task is not None:
                    task.cancel()

    async def end(self, grace: float = TERM_SECONDS) -> bool:
        """End it and everything it started: TERM, after `grace` seconds KILL. Quick when all is over already.

        False when something outlived even KILL for 10 s, as a process can that hangs inside the kernel.
        """
        loop = asyncio.get_running_loop()
        kill_at = loop.time() + grace
        give_up_at = kill_at + _KILL_SECONDS
        told: set[int] = set()
        pause = 0.005
        while strays := await self._alive():
            now = loop.time()
            if now >= give_up_at:
                return False
            if now >= kill_at:
                self._signal(strays, "SIGKILL")
            else:
                self._signal(strays - told, "SIGTERM")
                told |= strays
            pause = min(pause * 2, 0.1)
            await asyncio.sleep(pause)
        return True

    async def _alive(self) -> set[int]:
        starts, adopting = _keeper.starts, _keeper.adopting and not _keeper.starting
        strays = await self._find(adopting=adopting)
        if adopting and _keeper.starts != starts:  # a child that was being started looked like an adopted one
            strays = await self._find(adopting=False)
        if not self._protocol.exited.is_set():
            strays.add(self.pid)
        return strays

    async def _find(self, *, adopting: bool) -> set[int]:
        known = frozenset(_keeper.children)
        return await asyncio.to_thread(find_strays, self._marker, self.pid, known, adopting=adopting)

    def _signal(self, pids: set[int], name: str) -> None:
        if sys.platform == "win32":
            if not self._protocol.exited.is_set():
                self._transport.kill()
            return
        number = getattr(signal, name)
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                group = os.getpgid(pid)
                # A group at once, so that none of it forks away; ours is never one that a child's session made.
                (os.killpg(group, number) if group != os.getpgrp() else os.kill(pid, number))
                os.kill(pid, signal.SIGCONT)  # a stopped process cannot die of TERM

    def described(self, ended_by: EndedBy, tail: tuple[str, ...] = ()) -> ProcessEnd:
        """How it ended, once it has."""
        code = self._transport.get_returncode()
        if ended_by is EndedBy.EXITED and code is not None and code < 0:
            ended_by = EndedBy.SIGNAL
        name = _signal_name(-code) if code is not None and code < 0 else ""
        return ProcessEnd(ended_by, code if code is not None and code >= 0 else None, name, tail)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@asynccontextmanager
async def started(launch: Launch, *, merge_errors: bool = False, with_input: bool = False) -> AsyncIterator[Child]:
    """A child process that is gone, with all it started, when the block ends.

    Raises:
        NotFound: there is no such program.
        InvalidRequest: it cannot be started as given.
    """
    _keeper.starts += 1
    _keeper.starting += 1
    starting = asyncio.create_task(_start(launch, merge_errors=merge_errors, with_input=with_input))
    try:
        child, transport = await asyncio.shield(starting)
        _keeper.children.add(child.pid)
    except asyncio.CancelledError:  # a start broken off would kill the child alone, not what it started by then
        await asyncio.wait({starting})
        if starting.exception() is None:
            await _end_and_forget(*starting.result())
        raise
    finally:
        _keeper.starting -= 1
    try:
        _limit(child.pid, launch.limits)
        yield child
    finally:
        await asyncio.shield(asyncio.create_task(_end_and_forget(child, transport)))


async def _end_and_forget(child: Child, transport: asyncio.SubprocessTransport) -> None:
    try:
        await child.end()
    finally:
        _keeper.children.discard(child.pid)
        transport.close()


async def _start(launch: Launch, *, merge_errors: bool, with_input: bool) -> tuple[Child, asyncio.SubprocessTransport]:
    loop = asyncio.get_running_loop()
    env = {**launch.env, "BUILDYARD_AGENT": launch.agent, "BUILDYARD_ATTEMPT": launch.attempt}
    pipe, nothing, merged = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL, asyncio.subprocess.STDOUT
    try:
        transport, protocol = await loop.subprocess_exec(
            lambda: _ExitAware(_READ_BYTES, loop),
            *launch.argv,
            stdin=pipe if with_input else nothing,
            stdout=pipe,
            stderr=merged if merge_errors else pipe,
            cwd=str(launch.cwd),
            env=env,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise _not_there(launch) from error
    except ValueError as error:
        raise InvalidRequest(f"The program `{launch.argv[0]}` cannot be started: {error}.") from error
    except OSError as error:
        if error.errno not in _FAULTS_OF_THE_PROGRAM:
            raise
        raise InvalidRequest(f"The program `{launch.argv[0]}` cannot be started: {error.strerror}.") from error
    return Child(launch, transport, protocol), transport


_FAULTS_OF_THE_PROGRAM = {errno.EACCES, errno.ENOEXEC, errno.E2BIG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}


def _not_there(launch: Launch) -> NotFound:
    program = launch.argv[0]
    if not launch.cwd.is_dir():
        return NotFound(f"The folder to run `{program}` in does not exist: {launch.cwd.name}.")
    if "/" in program and (launch.cwd / program).exists():
        return NotFound(f"The interpreter that the first line of `{program}` names is not there on this agent.")
    return NotFound(f"The program `{program}` is not there on this agent.")


def _limit(pid: int, limits: Limits) -> None:
    if sys.platform != "linux":
        return
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: limits.open_files}
    if limits.file_bytes is not None:
        wanted[resource.RLIMIT_FSIZE] = limits.file_bytes
    for kind, value in wanted.items():
        with suppress(OSError, ValueError):  # it may have ended already, or its hard limit is lower
            resource.prlimit(pid, kind, (value, value))
