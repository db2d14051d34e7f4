"""What runs on a host for the SSH executor: its source is sent over the connection and ends with it.

It needs Python 3.11 and its standard library; `scaler/executors/ssh_link.py` sends it after `processes` and
`log_file`, which it uses. Questions come as lines of JSON, answers go as a line with a length and so many bytes of it.

Everything that it knows is in files of `DATA_DIR`, so another scaler's copy may run beside it:

    id                      made once: tells whether two hosts are one folder
    names/<name>            where a name was placed, made once (`link`); its text is the host's name
    workers/<name>/         made once (`mkdir`): whoever makes it starts the worker
        worker.json         the worker's process, and its end
        agent.log           what it wrote

Each worker has a keeper: a copy of this process in a session of its own, which waits for the worker's end, notes it
and ends what the worker left running. The worker is in a session of its own, too: it outlives keeper and connection.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from scaler.executors.log_file import LogFile
from scaler.executors.processes import began, find_command, kill_marked, send

Record = dict[str, Any]
"""`name pool pid identity keeper keeper_identity started_at ended_at exit_code detail settled`; times in seconds."""

KEPT_FOLDERS = 50
KEPT_NAMES = 2000
LOG_BYTES = 16 * 2**20
_KEEPER_SECONDS = 2.0
"""So long a keeper may take from its worker's end to its note."""
_NAME = re.compile(r"([a-z][a-z0-9-]{0,39})-[1-9]\d{0,8}-[1-9]\d{0,8}")
_INTERRUPTED = "Its start was interrupted."


class Folder:
    """The folder of one farm on this host.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser().resolve()
        self._workers = self.path / "workers"
        self._names = self.path / "names"
        self._placed: dict[str, str] = {}
        self._over: dict[str, Record] = {}
        for folder in (self._workers, self._names):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def identity(self) -> str:
        """A word that no other folder has."""
        with suppress(FileExistsError):
            self._make(self.path / "id", secrets.token_hex(16))
        return (self.path / "id").read_text(encoding="ascii")

    def place(self, name: str, host: str) -> str:
        """Note that a worker is placed on `host`, unless it was placed before; where it is placed."""
        with suppress(FileExistsError):
            self._make(self._names / name, host)
        return (self._names / name).read_text(encoding="utf-8")

    def placed_elsewhere(self, pool: str, hosts: list[str]) -> dict[str, str]:
        """Worker -> host, for those names of a pool that were placed on none of `hosts`."""
        known = _names_of(pool, self._names)
        for name in known - self._placed.keys():
            with suppress(FileNotFoundError):
                self._placed[name] = (self._names / name).read_text(encoding="utf-8")
        return {name: host for name, host in self._placed.items() if name in known and host not in hosts}

    # ------------------------------------------------------------------------------------------------ looking

    def look(self, pool: str, pending_seconds: float) -> list[Record]:
        """The workers of a pool, running and ended ones."""
        names = _names_of(pool, self._workers)
        self._over = {name: record for name, record in self._over.items() if name in names or record["pool"] != pool}
        records = [self._over.get(name) or self._record(name, pending_seconds) for name in sorted(names)]
        now = time.time()
        return [{**record, "age": max(0.0, now - record["started_at"])} for record in records if record]

    def _record(self, name: str, pending_seconds: float) -> Record | None:
        """What is known of a worker; None when its folder went meanwhile."""
        record = self._read(name)
        if record is None:
            return self._unrecorded(name, pending_seconds)
        if record["settled"]:
            self._over[name] = record
        if record["ended_at"] is not None or _runs(record):
            return record
        patience = time.monotonic() + _KEEPER_SECONDS
        while _alive(record["keeper"], record["keeper_identity"]) and time.monotonic() < patience:
            time.sleep(0.005)
            record = self._read(name) or record
            if record["ended_at"] is not None:
                return record
        record = self._read(name) or record  # a keeper may have noted the end as its last deed
        return record if record["ended_at"] is not None else {**record, "ended_at": time.time()}

    def _unrecorded(self, name: str, pending_seconds: float) -> Record | None:
        """A worker that is being started, or whose start was interrupted before or after its process began."""
        try:
            made = (self._workers / name).stat().st_mtime
        except FileNotFoundError:
            return None
        if record := self._read(name):  # it was written meanwhile
            return record
        match = _NAME.fullmatch(name)
        assert match is not None
        words = ("--pool", match[1], "--name", name)
        record = _new_record(name, match[1]) | {"started_at": made}
        if (pid := find_command(words, b"BUILDYARD_DATA_DIR=" + os.fsencode(self.path))) is not None:
            record |= {"pid": pid, "identity": identity_of(pid)}
            self._write(record)
        elif time.time() - made >= pending_seconds:
            record |= {"ended_at": time.time(), "detail": _INTERRUPTED, "settled": True}
            self._write(record)
        return record

    def read_log(self, name: str, offset: int | None, tail: int | None, *, follow: bool) -> dict[str, Any]:
        """The next piece of a log from `offset` on; the first time (None) from its last `tail` lines on."""
        log = LogFile(self._workers / name / "agent.log")
        record = self._record(name, math.inf) if follow else None
        runs = record is not None and record["ended_at"] is None  # asked first: what was written by then is still read
        if offset is None:
            offset = 0 if tail is None else log.offset_of_tail(tail)
        if log.size() < offset:
            offset = 0  # it was bounded meanwhile
        piece = log.piece(offset, whole_lines=runs)
        last = not runs and not piece
        return {"data": base64.b64encode(piece).decode(), "offset": offset + len(piece), "last": last}

    # ------------------------------------------------------------------------------------------------ acting

    def start(self, name: str, command: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
        """Start a worker unless its folder is there. The answer holds `error` when its process could not begin."""
        match = _NAME.fullmatch(name)
        if match is None:
            return {"error": f"{name!r} is not the name of a worker."}
        try:
            (self._workers / name).mkdir(mode=0o700)
        except FileExistsError:
            return {"new": False}
        return {"new": True, **self._begin(_new_record(name, match[1]), command, environment)}

    def _begin(self, record: Record, command: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
        hears, tells = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(hears)
            self._become_keeper(record, command, environment, tells)
        os.close(tells)
        os.waitpid(child, 0)
        with os.fdopen(hears, "rb") as pipe:
            told = pipe.read()
        return json.loads(told) if told else {"error": "Its keeper ended at once."}

    def _become_keeper(
        self, record: Record, command: list[str], environment: Mapping[str, str], tells: int
    ) -> NoReturn:
        """Leave this process's session, start the worker, tell how that went, note the worker's end."""
        try:
            os.setsid()
            if os.fork():
                os._exit(0)
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(nothing, number)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, _heard)  # a signal that is ignored would be ignored by the worker, too
            self._keep(record, command, environment, tells)
        finally:
            os._exit(0)

    def _keep(self, record: Record, command: list[str], environment: Mapping[str, str], tells: int) -> None:
        words = [*command, "--pool", record["pool"], "--name", record["name"]]
        try:
            worker = self._spawn(record["name"], words, environment)
        except OSError as error:
            cause = f"It could not be started: {error.strerror}: {error.filename or command[0]}."
            self._write(record | {"ended_at": time.time(), "detail": cause, "settled": True})
            _tell(tells, {"error": cause})
            return
        record |= {"pid": worker.pid, "identity": identity_of(worker.pid)}
        record |= {"keeper": os.getpid(), "keeper_identity": identity_of(os.getpid())}
        self._write(record)
        _tell(tells, {"pid": worker.pid})
        record |= {"exit_code": worker.wait(), "ended_at": time.time()}
        self._write(record)
        self._settle(record)

    def _spawn(self, name: str, words: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        log = os.open(self._workers / name / "agent.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.path,
                env={**_own_environment(), **environment, "BUILDYARD_DATA_DIR": str(self.path)},
                start_new_session=True,
            )
        finally:
            os.close(log)

    def terminate(self, pool: str) -> None:
        """Send SIGTERM to all workers of a pool."""
        for record in self.look(pool, math.inf):
            if record["ended_at"] is None and record["pid"] is not None:
                if sys.platform == "linux":
                    send(record["pid"], record["identity"], signal.SIGTERM)
                elif _runs(record):
                    os.kill(record["pid"], signal.SIGTERM)

    def reap(self, pool: str, pending_seconds: float) -> None:
        """Settle workers whose keeper is gone, bound logs, forget the oldest of the ended."""
        ended = []
        for record in self.look(pool, pending_seconds):
            if record["ended_at"] is None:
                LogFile(self._workers / record["name"] / "agent.log").bound(LOG_BYTES)
            elif not record["settled"] and not _alive(record["keeper"], record["keeper_identity"]):
                self._settle({key: value for key, value in record.items() if key != "age"})
            else:
                ended.append(record)
        ended.sort(key=lambda record: record["ended_at"], reverse=True)
        for record in ended[KEPT_FOLDERS:]:
            shutil.rmtree(self._workers / record["name"], ignore_errors=True)
        self._forget_names()

    def _forget_names(self) -> None:
        notes = list(self._names.iterdir())
        if len(notes) > KEPT_NAMES:
            for note in sorted(notes, key=lambda note: note.stat().st_mtime)[:-KEPT_NAMES]:
                note.unlink(missing_ok=True)
                self._placed.pop(note.name, None)

    def _settle(self, record: Record) -> None:
        kill_marked(f"BUILDYARD_AGENT={record['name']}".encode(), self.path)
        self._write(record | {"settled": True})

    # ------------------------------------------------------------------------------------------------ files

    def _read(self, name: str) -> Record | None:
        try:
            return dict(json.loads((self._workers / name / "worker.json").read_bytes()))
        except FileNotFoundError:
            return None
        except ValueError:
            file = self._workers / name / "worker.json"
            raise OSError(0, "it is no JSON; remove its folder if no such worker runs", file) from None

    def _write(self, record: Record) -> None:
        """Replace a worker's file as a whole, so that a reader never sees half of one."""
        file = self._workers / record["name"] / "worker.json"
        draft = file.with_name(f"worker.{os.getpid()}.new")
        with suppress(FileNotFoundError):  # the folder was forgotten meanwhile
            draft.write_text(json.dumps(record), encoding="utf-8")
            draft.replace(file)

    def _make(self, file: Path, text: str) -> None:
        """Make a file with its text in one step. Raises FileExistsError."""
        draft = self.path / f"{secrets.token_hex(8)}.new"
        draft.write_text(text, encoding="utf-8")
        try:
            os.link(draft, file)
        finally:
            draft.unlink()


def identity_of(pid: int) -> str:
    """A word that tells this process from all that had or get its number; empty when it does not run."""
    if sys.platform == "linux":
        return began(pid) or ""
    return started_by_ps(pid)


def started_by_ps(pid: int) -> str:
    """The same where there is no /proc: when the process began, by the clock of `ps`."""
    asked = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    told = subprocess.run(asked, capture_output=True, check=False, text=True, env={"LC_ALL": "C", "PATH": os.defpath})
    state, _, start = told.stdout.strip().partition(" ")
    return "" if not start or state.startswith("Z") else start.strip()


def _runs(record: Record) -> bool:
    return _alive(record["pid"], record["identity"])


def _alive(pid: int | None, identity: str) -> bool:
    return pid is not None and identity != "" and identity_of(pid) == identity


def _new_record(name: str, pool: str) -> Record:
    nobody = {"pid": None, "identity": "", "keeper": None, "keeper_identity": ""}
    end = {"ended_at": None, "exit_code": None, "detail": "", "settled": False}
    return {"name": name, "pool": pool, "started_at": time.time(), **nobody, **end}


def _own_environment() -> dict[str, str]:
    """What a login here gives, without what tells of the connection."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}


def _heard(number: int, frame: object) -> None:
    """A keeper stays until its worker has ended."""


def _names_of(pool: str, folder: Path) -> set[str]:
    with os.scandir(folder) as entries:
        matches = (_NAME.fullmatch(entry.name) for entry in entries)
        return {match[0] for match in matches if match and match[1] == pool}


def _tell(pipe: int, word: dict[str, Any]) -> None:
    os.write(pipe, json.dumps(word).encode())
    os.close(pipe)


# ------------------------------------------------------------------------------------------------ questions


def answer(folder: Folder, question: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - one for each question
    """The answer to one question: `ask` names it, the rest are its arguments."""
    match question["ask"]:
        case "hello":
            return folder.identity()
        case "look":
            pool = question["pool"]
            workers = folder.look(pool, question["pending_seconds"])
            return {"workers": workers, "elsewhere": folder.placed_elsewhere(pool, question["hosts"])}
        case "place":
            return folder.place(question["name"], question["host"])
        case "start":
            return folder.start(question["name"], question["command"], question["environment"])
        case "log":
            return folder.read_log(question["name"], question["offset"], question["tail"], follow=question["follow"])
        case "reap":
            return folder.reap(question["pool"], question["pending_seconds"])
        case "terminate":
            return folder.terminate(question["pool"])
        case other:
            raise ValueError(other)


def main() -> None:
    """Answer until the connection ends."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    folder: Folder | None = None
    sys.stdout.buffer.write(b"buildyard\n")
    for line in sys.stdin.buffer:
        question = json.loads(line)
        try:
            folder = folder or Folder(question["data_dir"])
            told = {"value": answer(folder, question)}
        except OSError as error:
            told = {"trouble": f"{error.filename or question['data_dir']}: {error.strerror or error}"}
        except Exception as error:  # noqa: BLE001 - the next question deserves its answer
            told = {"trouble": f"{type(error).__name__}: {error}"}
        body = json.dumps({"number": question["number"], **told}).encode()
        sys.stdout.buffer.write(b"%d\n%b" % (len(body), body))
        sys.stdout.buffer.flush()
