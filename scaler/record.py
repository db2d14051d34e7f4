"""The record of decisions: the last ones in memory for the API, all of them as JSON lines on disk.

Every tick is recorded. In memory each decision stands for itself, already encoded: thousands of live objects would
cost the scaler more memory than the rest of it. On disk a decision is written whole when it differs in substance from
its pool's last one (what is done, its code, the failures, a count, its trust or a worker's state; times alone are
none). Ticks between only repeat it, and one line of fixed length, written over at each of them, tells of them all:

    {"v": 1, "pool": "linux", "repeats": 812, "from": 813, "to": 871, "ticks": 59, "until": "2026-11-21T09:30:00.250Z",
     "quietSeconds": 58.9, "oldestWaitSeconds": null, "secondsSinceFailedStart": null}

says that decision 812 was taken again in 59 ticks, and what the times were at the last of them. So a scaler that is
killed loses at most the tick at hand. Numbers go on where the newest file ends; they only ever grow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from buildyard.contracts.scaling import Decision, Plan, PoolObserved
from buildyard.contracts.wire import rfc3339
from scaler.history import Repeats, folded, last_number
from scaler.journal import Journal, Place

KEPT_DECISIONS = 3_600
KEPT_BYTES = 32 * 2**20
"""In memory, encoded: a decision about thousands of workers takes hundreds of kilobytes."""
MAX_BYTES = 256 * 2**20
KEEP_DAYS = 14.0
_LONGEST_RUN = timedelta(days=1, hours=1)
"""A new day is a new file, in which every pool's decision is written whole."""


class Recorded(NamedTuple):
    """One decision, encoded."""

    number: int
    pool: str
    is_news: bool
    """Whether it differs in substance from its pool's decision before."""
    at: datetime
    encoded: bytes


class Wanted(NamedTuple):
    """Which decisions are asked for: of a pool, with numbers above `since` and below `below`, between two moments."""

    pool: str | None = None
    since: int = 0
    below: int | None = None
    after: datetime | None = None
    before: datetime | None = None
    only_news: bool = False
    most_lines: int | None = None
    """How many lines of the files are looked through at most."""

    def has(self, number: int, pool: str, begin: datetime, end: datetime) -> bool:
        """Whether a decision that held from `begin` to `end` is among them, news or not."""
        return (
            (self.pool is None or pool == self.pool)
            and number > self.since
            and (self.below is None or number < self.below)
            and (self.after is None or end >= self.after)
            and (self.before is None or begin <= self.before)
        )


@dataclass
class _Run:
    """A pool's last written decision, and the ticks since that only repeated it."""

    substance: object
    number: int
    place: Place | None
    """Where the decision stands; None: the disk refused it."""
    first: int = 0
    ticks: int = 0
    told: Place | None = None
    """Where the line about the ticks stands."""


class DecisionRecord:
    """Numbers, keeps and writes decisions. Trouble with the disk is logged and stops no decision.

    Args:
        folder: where the files are.
        max_bytes: what they may take together.
        keep_days: for how long they are kept.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES, keep_days: float = KEEP_DAYS) -> None:
        self._journal = Journal(folder, max_bytes, keep_days)
        self._number = last_number(self._journal.newest_first())
        self._kept: deque[Recorded] = deque()
        self._kept_bytes = 0
        self._runs: dict[str, _Run] = {}

    def go_on(self) -> None:
        """Number from where the newest file ends, in a file of its own: another process may have written. Blocking."""
        self._journal.close()
        self._runs.clear()
        self._number = max(self._number, last_number(self._journal.newest_first()))

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
        encoded, substance = decision.encode(), _substance(decision)
        run = self._runs.get(observed.pool)
        is_news = run is None or run.substance != substance
        self._keep(Recorded(decision.number, observed.pool, is_news, at, encoded))
        if run is None or is_news or not self._repeated(run, decision):
            place = self._journal.append(encoded, at)
            self._runs[observed.pool] = _Run(substance, decision.number, place)
        return decision

    def newest(self, limit: int, wanted: Wanted | None = None) -> list[bytes]:
        """Encoded decisions of those in memory, newest first."""
        wanted = wanted or Wanted()
        found: list[bytes] = []
        for one in reversed(self._kept):
            if one.number <= wanted.since or len(found) >= limit:
                break
            if wanted.has(one.number, one.pool, one.at, one.at) and (one.is_news or not wanted.only_news):
                found.append(one.encoded)
        return found

    @property
    def oldest_in_memory(self) -> int:
        """The lowest number in memory; what has a lower one is on disk only."""
        return self._kept[0].number if self._kept else self._number + 1

    def in_memory_of_older_runs(self) -> dict[str, int]:
        """For each pool, how many of its ticks in memory only repeat a decision that is on disk alone."""
        counts: dict[str, int] = {}
        ended: set[str] = set()
        for one in self._kept:
            if one.is_news:
                ended.add(one.pool)
            elif one.pool not in ended:
                counts[one.pool] = counts.get(one.pool, 0) + 1
        return counts

    def on_disk(self, wanted: Wanted, told_already: Mapping[str, int] | None = None) -> Iterator[Decision]:
        """Decisions of the files, newest first, repeats folded; it reads as far as it is asked. Blocking.

        `told_already` are repeats to leave out of each pool's newest decision, since memory tells them one by one.
        """
        left_out = dict(told_already or {})
        before = rfc3339(wanted.before) if wanted.before else None
        lines = islice(self._journal.newest_first(), wanted.most_lines)
        for decision in folded(lines, wanted.below, wanted.since, before, wanted.pool):
            if wanted.after and decision.at < wanted.after - _LONGEST_RUN:
                return
            cut = left_out.pop(decision.observed.pool, 0)
            if wanted.has(decision.number, decision.observed.pool, decision.at, decision.until or decision.at):
                fewer = {"repeats": max(0, decision.repeats - cut)}
                yield decision.model_copy(update=fewer) if cut else decision

    def close(self) -> None:
        """Close the file; all is written already."""
        self._journal.close()

    def _keep(self, one: Recorded) -> None:
        """Have it in memory, and forget the oldest beyond the bounds; the newest always stays."""
        self._kept.append(one)
        self._kept_bytes += len(one.encoded)
        while len(self._kept) > KEPT_DECISIONS or (self._kept_bytes > KEPT_BYTES and len(self._kept) > 1):
            self._kept_bytes -= len(self._kept.popleft().encoded)

    def _repeated(self, run: _Run, decision: Decision) -> bool:
        """Tell that the run's decision was taken again; False where a whole line is needed: a new file, a refusal."""
        run.first, run.ticks = run.first or decision.number, run.ticks + 1
        seen = decision.observed
        line = Repeats(
            pool=seen.pool,
            repeats=run.number,
            from_=run.first,
            to=decision.number,
            ticks=run.ticks,
            until=decision.at,
            quiet_seconds=seen.quiet_seconds,
            oldest_wait_seconds=seen.oldest_wait_seconds,
            seconds_since_failed_start=seen.seconds_since_failed_start,
        ).padded()
        if run.told is not None:
            return self._journal.overwrite(run.told, line, decision.at)
        if run.place is None:
            return False
        run.told = self._journal.append(line, decision.at)
        return run.told is not None


def _substance(decision: Decision) -> object:
    """What makes a decision news; equal substance, equal story."""
    seen, plan = decision.observed, decision.plan
    counts = (seen.ready, seen.leases, seen.queue_ready, seen.queue_unacked, seen.queue_total)
    return (
        (plan.code, plan.start, plan.drain),
        decision.failures,
        seen.policy,
        (seen.job_seconds, seen.learned_start.seconds if seen.learned_start else None),
        seen.suiting,
        tuple((count.value, count.trust, count.source, count.cause) for count in counts),
        None if seen.workers is None else tuple((one.name, one.state, one.pending_code) for one in seen.workers),
        seen.workers_cause,
        seen.farm,
        seen.generations,
        seen.failed_starts,
    )
