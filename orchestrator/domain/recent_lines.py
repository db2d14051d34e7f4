"""The newest live lines of each build, for a follower that joins in the middle.

A segment of a log is stored up to ten seconds after its first line. Whoever begins to follow meanwhile finds these
lines neither in the store nor among the live ones to come, and would wait for the segment. So the newest are kept.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from buildyard.contracts.messages import LogLines

LINES_PER_BUILD = 2000
LINES_IN_ALL = 10_000
"""A line takes about 1 kB while it is kept."""


class RecentLines:
    """Messages of the newest lines, bounded for each build and in all; the build that was silent longest goes first."""

    def __init__(self, per_build: int = LINES_PER_BUILD, in_all: int = LINES_IN_ALL) -> None:
        self._per_build = per_build
        self._in_all = in_all
        self._kept: OrderedDict[str, deque[LogLines]] = OrderedDict()
        self._counts: dict[str, int] = {}
        self._total = 0

    def add(self, message: LogLines) -> None:
        """Keep a message, and let go of the oldest ones that are too many."""
        build = message.build_id
        self._kept.setdefault(build, deque()).append(message)
        self._kept.move_to_end(build)
        self._counts[build] = self._counts.get(build, 0) + len(message.lines)
        self._total += len(message.lines)
        while self._counts[build] > self._per_build and len(self._kept[build]) > 1:
            self._drop_oldest(build)
        while self._total > self._in_all and len(self._kept) > 1:
            self.forget(next(iter(self._kept)))

    def of(self, build: str) -> tuple[LogLines, ...]:
        """What is kept of a build, oldest first."""
        return tuple(self._kept.get(build, ()))

    def forget(self, build: str) -> None:
        """Keep nothing of a build, which has ended or is stored."""
        self._kept.pop(build, None)
        self._total -= self._counts.pop(build, 0)

    def _drop_oldest(self, build: str) -> None:
        count = len(self._kept[build].popleft().lines)
        self._counts[build] -= count
        self._total -= count
