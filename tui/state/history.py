"""Counts of a pool over time, for charts: one point a second, bounded, put together from answers in any order."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """The counts of one second; None is unknown and leaves a gap in a chart, never 0."""

    second: int
    """Since 1970, UTC."""
    ready: int | None = None
    leases: int | None = None
    unacked: int | None = None
    workers: int | None = None
    wanted: int | None = None
    queued: int | None = None
    """Jobs ready or waiting, as the producer alone counts them: one witness's counts can be subtracted."""
    held: int | None = None
    """Live leases, as the producer alone counts them."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Jobs a second that came into a pool and that left it; None where too little is known."""

    came: float | None = None
    left: float | None = None


class History:
    """The points of one pool, oldest first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seconds: list[int] = []
        self._points: dict[int, Point] = {}

    def __len__(self) -> int:
        return len(self._seconds)

    def note(self, point: Point) -> None:
        """Take in counts; of one count of one second the later note wins, unless it does not know."""
        known = self._points.get(point.second)
        if known is None:
            if len(self._seconds) >= self._most and point.second < self._seconds[0]:
                return
            insort(self._seconds, point.second)
            self._points[point.second] = point
            if len(self._seconds) > self._most:
                del self._points[self._seconds.pop(0)]
            return
        self._points[point.second] = replace(
            point,
            ready=known.ready if point.ready is None else point.ready,
            leases=known.leases if point.leases is None else point.leases,
            unacked=known.unacked if point.unacked is None else point.unacked,
            workers=known.workers if point.workers is None else point.workers,
            wanted=known.wanted if point.wanted is None else point.wanted,
            queued=known.queued if point.queued is None else point.queued,
            held=known.held if point.held is None else point.held,
        )

    def since(self, second: int) -> tuple[Point, ...]:
        """The points from `second` on."""
        return tuple(self._points[one] for one in self._seconds[bisect_left(self._seconds, second) :])


FLOW_SECONDS = 60
"""The time over which rates are taken."""
_LEAST_FLOW_SECONDS = 5
_LONGEST_STEP_SECONDS = 10
"""Between counts that are further apart nobody knows what happened."""


def flow(points: Iterable[Point]) -> Flow:
    """How many jobs came and left a second, at least, by the producer's counts.

    Of two counts in a row, q jobs queued and h held become q + dq and h + dh by a arrivals, c claims and e ends:
    dq = a - c and dh = c - e. The least c that leaves none of them negative is max(0, -dq, dh); a and e follow. What
    comes and leaves between two counts, within a second or so, is not seen.
    """
    came = left = seconds = 0
    before: Point | None = None
    for point in points:
        if point.queued is None or point.held is None:
            continue
        if before is not None and before.queued is not None and before.held is not None:
            step = point.second - before.second
            if step <= _LONGEST_STEP_SECONDS:
                queued, held = point.queued - before.queued, point.held - before.held
                claimed = max(0, -queued, held)
                came, left, seconds = came + queued + claimed, left + claimed - held, seconds + step
        before = point
    if seconds < _LEAST_FLOW_SECONDS:
        return Flow()
    return Flow(came / seconds, left / seconds)
