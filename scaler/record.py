"""The record of decisions: the last ones in memory for the API, all of them as JSON lines on disk.

Every tick is recorded. In memory each decision stands for itself, already encoded: thousands of live objects would
cost the scaler more memory than the rest of it. On disk a decision is written when it differs in substance from its
pool's last one (the plan, the failures, a count, its trust or a worker's state; ages alone are none); the ticks
between are counted, and one line tells of them when something changes, at least once a minute and at the end:

    {"v": 1, "pool": "linux", "repeats": 812, "from": 813, "to": 871, "ticks": 59, "until": "2026-11-21T09:30:00.250Z"}

says that decision 812 was taken again in 59 ticks. Files are `decisions/<date>.jsonl`, then `<date>.1.jsonl` ... at
64 MiB each; the newest five are kept. Numbers go on where the newest file ends, so they only ever grow.
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from io import SEEK_END, FileIO
from pathlib import Path
from typing import Literal, NamedTuple

from buildyard.contracts.scaling import Decision, Plan, PoolObserved
from buildyard.contracts.wire import rfc3339
from buildyard.telemetry import logger

KEPT_DECISIONS = 3_600
FILE_BYTES = 64 * 2**20
KEPT_FILES = 5
TELL_REPEATS_SECONDS = 60.0
_TAIL_BYTES = 256 * 1024
_FILE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.(\d+))?\.jsonl")

_log = logger("record")


class Recorded(NamedTuple):
    """One decision, encoded."""

    number: int
    pool: str
    is_news: bool
    """Whether it differs in substance from its pool's decision before."""
    encoded: bytes


@dataclass
class _Run:
    """A pool's last written decision, and the ticks since that only repeated it."""

    substance: object
    number: int
    written: datetime
    first: int = 0
    last: int = 0
    ticks: int = 0
    until: datetime | None = None


class DecisionRecord:
    """Numbers, keeps and writes decisions. Trouble with the disk is logged and stops no decision."""

    def __init__(self, folder: Path) -> None:
        self._file = _JsonLines(folder)
        self._number = self._file.newest_number()
        self._kept: deque[Recorded] = deque(maxlen=KEPT_DECISIONS)
        self._runs: dict[str, _Run] = {}

    def add(
        self,
        at: datetime,
        woken_by: Literal["doorbell", "tick"],
        observed: PoolObserved,
        plan: Plan,
        failures: tuple[str, ...] = (),
    ) -> Decision:
        """Record one tick of one pool."""
        self._number += 1
        decision = Decision(
            number=self._number, at=at, woken_by=woken_by, observed=observed, plan=plan, failures=failures
        )
        encoded = decision.encode()
        run, substance = self._runs.get(observed.pool), _substance(decision)
        is_news = run is None or run.substance != substance
        self._kept.append(Recorded(decision.number, observed.pool, is_news, encoded))
        if run is None or is_news:
            self._tell(observed.pool, at)
            self._file.append(encoded, at)
            self._runs[observed.pool] = _Run(substance, decision.number, at)
            return decision
        run.first, run.last, run.ticks, run.until = run.first or decision.number, decision.number, run.ticks + 1, at
        if (at - run.written).total_seconds() >= TELL_REPEATS_SECONDS:
            self._tell(observed.pool, at)
        return decision

    def newest(self, limit: int, pool: str | None = None, since: int = 0, *, only_news: bool = False) -> list[bytes]:
        """Encoded decisions with a number above `since`, newest first; `only_news` leaves repeats out."""
        found: list[bytes] = []
        for recorded in reversed(self._kept):
            if recorded.number <= since or len(found) >= limit:
                break
            if (pool is None or recorded.pool == pool) and (recorded.is_news or not only_news):
                found.append(recorded.encoded)
        return found

    def close(self) -> None:
        """Write what is still to be told, and close the file."""
        for pool, run in self._runs.items():
            if run.until is not None:
                self._tell(pool, run.until)
        self._file.close()

    def _tell(self, pool: str, at: datetime) -> None:
        """Write down how often the last decision was repeated, if it was."""
        run = self._runs.get(pool)
        if run is None or run.until is None:
            return
        line = {"v": 1, "pool": pool, "repeats": run.number, "from": run.first, "to": run.last, "ticks": run.ticks}
        self._file.append(json.dumps({**line, "until": rfc3339(run.until)}).encode(), at)
        run.first, run.ticks, run.until, run.written = 0, 0, None, at


def _substance(decision: Decision) -> object:
    """What makes a decision news; equal substance, equal story."""
    seen = decision.observed
    counts = (seen.ready, seen.leases, seen.queue_ready, seen.queue_unacked, seen.queue_total)
    return (
        decision.plan,
        decision.failures,
        seen.policy,
        tuple((count.value, count.trust, count.source, count.cause) for count in counts),
        None if seen.workers is None else tuple((worker.name, worker.state) for worker in seen.workers),
        seen.workers_cause,
        seen.generations,
        seen.failed_starts,
    )


class _JsonLines:
    """Appends lines to files of bounded size and number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: FileIO | None = None
        self._date = ""
        self._size = 0
        self._failing = False

    def append(self, line: bytes, at: datetime) -> None:
        """Write a line; a disk that refuses is told once, until it takes lines again."""
        try:
            file = self._current(rfc3339(at)[:10], len(line) + 1)
            file.write(line + b"\n")
            self._size += len(line) + 1
            self._failing = False
        except OSError as error:
            if not self._failing:
                _log.warning("decisions cannot be written", folder=str(self._folder), cause=str(error))
            self._failing = True

    def newest_number(self) -> int:
        """The highest number in the newest file, 0 where there is none."""
        for path in reversed(self._files()):
            try:
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
                    lines = file.read().splitlines()
            except OSError:
                continue
            if number := max((_number_in(line) for line in lines), default=0):
                return number
        return 0

    def close(self) -> None:
        """Close the file in hand."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _current(self, date: str, needed: int) -> FileIO:
        if self._open is not None and date == self._date and self._size + needed <= FILE_BYTES:
            return self._open
        self.close()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = max((part for path in self._files() for day, part in [_place(path)] if day == date), default=0)
        path = self._path(date, number)
        if path.exists() and path.stat().st_size + needed > FILE_BYTES:
            path = self._path(date, number + 1)
        self._open = FileIO(path, "a+")
        self._date, self._size = date, self._open.seek(0, SEEK_END)
        self._mend(self._open)
        for old in self._files()[:-KEPT_FILES]:
            old.unlink(missing_ok=True)
        return self._open

    def _mend(self, file: FileIO) -> None:
        """End the last line where a crash has cut it, so that the next one stands for itself."""
        if self._size:
            file.seek(-1, SEEK_END)
            if file.read(1) != b"\n":
                self._size += file.write(b"\n")

    def _path(self, date: str, number: int) -> Path:
        return self._folder / (f"{date}.{number}.jsonl" if number else f"{date}.jsonl")

    def _files(self) -> list[Path]:
        """The files, oldest first."""
        try:
            found = [path for path in self._folder.iterdir() if _FILE.fullmatch(path.name)]
        except OSError:
            return []
        return sorted(found, key=_place)


def _place(path: Path) -> tuple[str, int]:
    match = _FILE.fullmatch(path.name)
    return (match[1], int(match[2] or 0)) if match else ("", 0)


def _number_in(line: bytes) -> int:
    """The highest number that a line tells of, 0 for one that was cut."""
    try:
        told = json.loads(line)
        return int(told.get("to") or told.get("number") or 0)
    except (ValueError, AttributeError, TypeError):
        return 0
