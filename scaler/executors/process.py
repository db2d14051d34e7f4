"""Workers as local processes: `python -m worker`, each in a session of its own with a folder for its log and state.

A worker outlives its scaler. Its state file says which process it is, so that the next scaler finds it again and
starts no twin. Whatever a dead worker left running is killed when its death is noticed: that is the only kill there
is, and it needs Linux. The folder `DATA_DIR/workers/<name>/` holds `agent.log` and `worker.json`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from buildyard.clock import Clock
from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.scaling import WorkerState
from buildyard.contracts.wire import Moment, Value
from buildyard.errors import InvalidRequest, InvalidSettings, NotFound, TemporaryError
from buildyard.telemetry import logger
from scaler.executors.log_file import LogFile
from scaler.executors.processes import began, find_command, kill_marked, send

WORKER_COMMAND = (sys.executable, "-P", "-m", "worker")
"""-P: what lies in the folder where a worker runs is never imported."""
KEPT_FOLDERS = 50
"""So many ended workers keep their folder."""
_START_SECONDS = 10.0
_LOG_BYTES = 16 * 2**20
_STATE_FILE = "worker.json"
_NAME = re.compile(r"([a-z][a-z0-9-]{0,39})-[1-9]\d{0,8}-[1-9]\d{0,8}")

_log = logger("executor")


class _Record(Value):
    """What `worker.json` says. `identity` tells the process from later ones with its number."""

    name: str
    pool: str
    pid: int | None = None
    identity: str = ""
    started_at: Moment
    ended_at: Moment | None = None
    exit_code: int | None = None
    detail: str = ""


class ProcessExecutor:
    """Workers on this machine; an `Executor` for all pools whose executor is `process`.

    Args:
        data_dir: where the workers run and where their folders are.
        environment: the whole environment of a worker; it must hold BUILDYARD_DATA_DIR.
        clock: tells ages.
        command: what to start; ` --pool P --name N` is added.
        of_pools: further variables for the workers of a pool.

    Raises:
        InvalidSettings: this platform cannot run it, or the folder cannot be made.
    """

    def __init__(
        self,
        data_dir: Path,
        environment: Mapping[str, str],
        clock: Clock,
        command: Sequence[str] = WORKER_COMMAND,
        of_pools: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        if os.name != "posix":
            raise InvalidSettings("The process executor runs on Linux and macOS only.")
        self._data_dir = data_dir.resolve()
        self._folder = self._data_dir / "workers"
        self._environment = dict(environment)
        self._of_pools = {pool: dict(variables) for pool, variables in (of_pools or {}).items()}
        self._clock = clock
        self._command = tuple(command)
        self._records: dict[str, _Record] = {}
        self._children: set[str] = set()
        self._unsettled: set[str] = set()
        self._reaping = asyncio.Lock()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidSettings(f"The folder {self._folder} cannot be made: {error.strerror}.") from error

    async def list(self) -> tuple[WorkerInfo, ...]:
        """All workers that run, and the last ones that ended. Raises TemporaryError."""
        self._look()
        now = self._clock.now()
        return tuple(_info(record, now) for record in self._records.values())

    async def start(self, name: str) -> None:
        """Start a worker unless its name was used before.

        Raises:
            InvalidRequest: the name is none of a worker.
            TemporaryError: it cannot be started now.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise InvalidRequest(f"{name!r} is not the name of a worker: <pool>-<slot>-<generation>.")
        try:
            (self._folder / name).mkdir(mode=0o700)
        except FileExistsError:
            return
        except OSError as error:
            raise TemporaryError(f"The folder for {name} cannot be made: {error.strerror}.") from error
        record = _Record(name=name, pool=match[1], started_at=self._clock.now())
        try:
            pid = self._spawn(record)
        except OSError as error:
            detail = f"It could not be started: {error.strerror}."
            self._keep(record.model_copy(update={"ended_at": self._clock.now(), "detail": detail}))
            raise TemporaryError(f"{name} could not be started: {error.strerror}.") from error
        self._children.add(name)
        self._keep(record.model_copy(update={"pid": pid, "identity": began(pid) or ""}))

    async def describe(self, name: str) -> WorkerInfo:
        """One worker, running or ended. Raises NotFound."""
        self._look()
        record = self._records.get(name)
        if record is None:
            raise NotFound(f"There is no worker {name} here, or it ended long ago.")
        return _info(record, self._clock.now())

    async def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncGenerator[bytes]:
        """What the worker process wrote. Raises NotFound."""
        await self.describe(name)
        file = LogFile(self._folder / name / "agent.log")

        def runs() -> bool:
            self._look()
            record = self._records.get(name)
            return record is not None and record.ended_at is None

        async for piece in file.read(tail=tail, more=runs if follow else None):
            yield piece

    async def reap(self) -> None:
        """Settle the workers that ended, bound the logs of the others, forget the oldest."""
        async with self._reaping:
            self._look()
            for name in sorted(self._unsettled):
                killed = await asyncio.to_thread(kill_marked, f"BUILDYARD_AGENT={name}".encode(), self._data_dir)
                if killed:
                    _log.warning("killed what a dead worker left running", worker=name, processes=killed)
                self._write(self._records[name])
                self._unsettled.discard(name)
            for record in self._records.values():
                if record.ended_at is None:
                    LogFile(self._folder / record.name / "agent.log").bound(_LOG_BYTES)
            await self._trim()

    async def mark(self, idle: frozenset[str]) -> None:
        """Nothing moves a local process."""

    def forget(self) -> None:
        """The workers' folders are the memory, and every look reads them."""

    async def stop(self, seconds: float) -> tuple[str, ...]:
        """SIGTERM to all workers; the names of those that still run after `seconds`."""
        self._look()
        for record in self._records.values():
            if record.ended_at is None and record.pid is not None:
                send(record.pid, record.identity, signal.SIGTERM)
        deadline = self._clock.monotonic() + seconds
        while running := self._running():
            if self._clock.monotonic() >= deadline:
                break
            await asyncio.sleep(0.05)
            self._look()
        await self.reap()
        return running

    async def aclose(self) -> None:
        """There is nothing to let go of."""

    # ------------------------------------------------------------------------------------------------ looking

    def _running(self) -> tuple[str, ...]:
        return tuple(record.name for record in self._records.values() if record.ended_at is None)

    def _look(self) -> None:
        """Bring `_records` up to date: new folders, workers that ended, and ended ones whose folder vanished."""
        try:
            with os.scandir(self._folder) as entries:
                names = {entry.name for entry in entries if _NAME.fullmatch(entry.name)}
        except OSError as error:
            raise TemporaryError(f"The workers' folder {self._folder} cannot be read: {error.strerror}.") from error
        for name in self._records.keys() - names:
            if self._records[name].ended_at is not None and name not in self._unsettled:
                del self._records[name]
        for name in names - self._records.keys():
            if record := self._read(name):
                self._records[name] = record
        for record in tuple(self._records.values()):
            if record.ended_at is None:
                self._check(record)

    def _check(self, record: _Record) -> None:
        """Note the end of a worker; who was not our child keeps its exit code to itself."""
        exit_code = self._exit_code(record)
        if exit_code is None and record.pid is not None and began(record.pid) == record.identity:
            return
        self._children.discard(record.name)
        ended = {"ended_at": self._clock.now(), "exit_code": exit_code}
        self._records[record.name] = record.model_copy(update=ended)
        self._unsettled.add(record.name)

    def _exit_code(self, record: _Record) -> int | None:
        if record.name not in self._children or record.pid is None:
            return None
        try:
            pid, status = os.waitpid(record.pid, os.WNOHANG)
        except ChildProcessError:
            return None
        return os.waitstatus_to_exitcode(status) if pid else None

    def _read(self, name: str) -> _Record | None:
        """The record of a worker that an earlier scaler, or another one, started; None while it is being started."""
        file = self._folder / name / _STATE_FILE
        try:
            return _Record.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return self._find_unrecorded(name)
        except (OSError, ValidationError) as error:
            raise TemporaryError(
                f"The state of the worker {name} cannot be read: {file}.",
                remedy=f"When no process `worker --name {name}` runs, remove its folder.",
            ) from error

    def _find_unrecorded(self, name: str) -> _Record | None:
        """A worker whose scaler ended between starting it and writing it down."""
        match = _NAME.fullmatch(name)
        assert match is not None
        words = ("--pool", match[1], "--name", name)
        pid = find_command(words, b"BUILDYARD_DATA_DIR=" + os.fsencode(self._data_dir))
        record = _Record(name=name, pool=match[1], started_at=self._clock.now())
        if pid is not None:
            found = record.model_copy(update={"pid": pid, "identity": began(pid) or ""})
            self._write(found)
            return found
        try:
            age = self._clock.now().timestamp() - (self._folder / name).stat().st_mtime
        except OSError:
            return None
        if age < _START_SECONDS:
            return None
        return record.model_copy(update={"ended_at": self._clock.now(), "detail": "Its start was interrupted."})

    # ------------------------------------------------------------------------------------------------ acting

    def _spawn(self, record: _Record) -> int:
        log = os.open(self._folder / record.name / "agent.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(  # it outlives this function on purpose
                [*self._command, "--pool", record.pool, "--name", record.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._data_dir,
                env={**self._environment, **self._of_pools.get(record.pool, {})},
                start_new_session=True,
            )
        finally:
            os.close(log)
        # A worker may outlive its scaler, which Popen takes for an oversight: from here on waitpid is asked instead.
        process.returncode = 0
        return process.pid

    def _keep(self, record: _Record) -> None:
        self._records[record.name] = record
        self._write(record)

    def _write(self, record: _Record) -> None:
        """Replace the state file as a whole, so that a reader never sees half of one."""
        file = self._folder / record.name / _STATE_FILE
        draft = file.with_suffix(".new")
        try:
            draft.write_bytes(record.encode())
            draft.replace(file)
        except OSError as error:
            _log.warning("a worker's state cannot be written", worker=record.name, cause=str(error))

    async def _trim(self) -> None:
        ended = [record for record in self._records.values() if record.ended_at and record.name not in self._unsettled]
        ended.sort(key=lambda record: record.ended_at or record.started_at, reverse=True)
        for record in ended[KEPT_FOLDERS:]:
            await asyncio.to_thread(shutil.rmtree, self._folder / record.name, ignore_errors=True)


def _info(record: _Record, now: datetime) -> WorkerInfo:
    return WorkerInfo(
        name=record.name,
        pool=record.pool,
        state="Running" if record.ended_at is None else WorkerState.EXITED.wire,
        pid=record.pid,
        age_seconds=max(0.0, (now - record.started_at).total_seconds()),
        exit_code=record.exit_code,
        detail=record.detail,
    )
