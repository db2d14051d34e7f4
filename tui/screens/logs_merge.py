"""Many logs merged into one by time. Pure: streams of a store in, lines of a ring out.

What is there already is sorted as a whole. What comes later is held back for `HOLD_SECONDS`, so that lines of several
streams fall into their order although they come in pieces; what is later still is put at the end, and counted.
A line without a time of its own has the time written at its start, else that of the line before it in its stream.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import merge
from operator import itemgetter

from tui.state import Store
from tui.state.logs import Break, Item, LogStream
from tui.widgets.log_ring import LogEntry, LogRing

HOLD_SECONDS = 0.5
_WRITTEN = re.compile(r"(?:\x1b\[[\d;]*m)*(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?)\d*(Z|[+-]\d\d:?\d\d)?")
_IN_JSON = re.compile(r'"timestamp"\s*:\s*"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)\d*(Z|[+-]\d\d:?\d\d)?"')
_LOOKED_AT = 1_000

Timed = tuple[float, int, LogEntry | Break]
"""(time for sorting, number of arrival, what came)."""


@dataclass
class _Place:
    """How far one stream was read."""

    position: int = 0
    time: float = -math.inf
    """Of the newest line that had one."""


@dataclass
class MergedLog:
    """The merged lines of some streams; a change of choice is a new one.

    Args:
        streams: stream -> what stands before its lines, in the order that equal times are shown.
        ring: where lines go.
        since: lines that are older (seconds since 1970) are left out; seams and untimed lines stay.
    """

    streams: Mapping[str, str]
    ring: LogRing = field(default_factory=LogRing)
    since: float = -math.inf
    by_source: bool = False
    """One source after the other, each under a line with its name, instead of all by time."""
    late: int = 0
    """Lines that came after younger ones had been shown."""
    _places: dict[str, _Place] = field(default_factory=dict)
    _held: list[tuple[float, Timed]] = field(default_factory=list)
    _arrived: int = 0
    _shown_to: float = -math.inf
    _under: str = ""
    """The stream whose name stands over the newest lines, where they are not ordered by time."""

    def begin(self, store: Store) -> None:
        """Take in all that the store has, sorted as a whole."""
        if self.by_source:
            self._advance_by_source(store)
            return
        read = [self._read(store, stream) for stream in self.streams]
        self._put(list(merge(*(sorted(items, key=itemgetter(0, 1)) for items in read), key=itemgetter(0))))

    def advance(self, store: Store, now: float) -> int:
        """Take in what is new, and show what was held back for long enough; gives how many lines that were.

        `now` in seconds since 1970. One stream alone is never held back, nor is any where time is not the order.
        """
        if self.by_source:
            return self._advance_by_source(store)
        for stream in self.streams:
            self._held += [(now, one) for one in self._read(store, stream)]
        hold = HOLD_SECONDS if len(self.streams) > 1 else 0.0
        due = [one for came, one in self._held if came <= now - hold]
        if not due:
            return 0
        newest = max(time for time, _, _ in due)
        due += [one for came, one in self._held if came > now - hold and one[0] <= newest]
        taken = {number for _, number, _ in due}
        self._held = [held for held in self._held if held[1][1] not in taken]
        due.sort(key=itemgetter(0, 1))
        self.late += sum(time < self._shown_to for time, _, _ in due)
        self._put(due)
        return len(due)

    def _advance_by_source(self, store: Store) -> int:
        """New lines of each source under its name, in the order of the sources."""
        count = 0
        for stream in self.streams:
            items = self._read(store, stream)
            if items and stream != self._under and len(self.streams) > 1:
                self._under = stream
                self.ring.seam(self.streams[stream])
            self._put(items)
            count += len(items)
        return count

    @property
    def held(self) -> int:
        """Lines that are not shown yet."""
        return len(self._held)

    def add_stream(self, stream: str, label: str, seam: str, at: float) -> None:
        """Go on with another stream, as when a worker follows one that ended; `seam` says so in the log."""
        self.streams = {**self.streams, stream: label}
        self.ring.seam(seam, at=at)

    def _read(self, store: Store, stream: str) -> list[Timed]:
        log = store.logs.get(stream)
        if log is None:
            return []
        place = self._places.setdefault(stream, _Place())
        if place.position > log.end:  # the stream was dropped and began anew
            place.position = 0
        lost = _lost(log, place.position)
        if lost:
            self.ring.account.received += lost
            self.ring.account.dropped += lost
        read = log.read(place.position)
        place.position = read.position
        label = self.streams[stream]
        return [timed for item in read.items if (timed := self._timed(item, place, label)) is not None]

    def _timed(self, item: Item, place: _Place, label: str) -> Timed | None:
        self._arrived += 1
        if isinstance(item, Break):
            place.time = max(place.time, item.at)
            text = f"{label}: {item.text}" if len(self.streams) > 1 else item.text
            return place.time, self._arrived, Break(item.at, text, item.missing)
        at = item.at if item.at is not None else written_time(item.text)
        if at is not None:
            place.time = at
        if place.time < self.since and not math.isinf(place.time):
            return None
        known = None if math.isinf(place.time) else place.time
        return place.time, self._arrived, LogEntry(item.text, at if at is not None else known, label, item.stage)

    def _put(self, items: Iterable[Timed]) -> None:
        entries: list[LogEntry] = []
        for time, _, item in items:
            self._shown_to = max(self._shown_to, time)
            if isinstance(item, LogEntry):
                entries.append(item)
                continue
            self.ring.extend(entries)
            entries = []
            self.ring.seam(item.text, at=item.at or None, missing=item.missing or 0)
        self.ring.extend(entries)


def written_time(text: str) -> float | None:
    """The time that a line says it was written at, in seconds since 1970: at its start, or as JSON's `timestamp`."""
    head = text[:_LOOKED_AT]
    match = _WRITTEN.match(head) or (_IN_JSON.search(head) if head.startswith("{") else None)
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(match[1] + (match[2] or ""))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _lost(log: LogStream, position: int) -> int:
    """Lines that the store gave up before they were read here; breaks among them count too."""
    return log.dropped if position == 0 else max(0, log.first - position)
