"""Counts of a pool over time, for charts: one point a second, bounded, put together from answers in any order."""

from __future__ import annotations

from bisect import bisect_left, insort
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
        )

    def since(self, second: int) -> tuple[Point, ...]:
        """The points from `second` on."""
        return tuple(self._points[one] for one in self._seconds[bisect_left(self._seconds, second) :])
