"""Which builds to read when: the newest often, those under way all the time, the past once and slowly.

While the stream of all builds' events tells what happens, lists are read now and then, to put right what it may have
left out, and at once when it names a build that is not known. Without the stream they are polled. What is under way
but stands in none of the lists that were read lately has ended or was pushed off their ends: such builds are read one
by one, some at a time.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from buildyard.clock import Clock
from buildyard.contracts.api import BuildList, BuildStatus
from buildyard.contracts.events import BuildEvent
from buildyard.errors import NotFound
from tui.source.poller import Read
from tui.state.events import BuildGone, BuildSeen, BuildsSeen, Event
from tui.state.rows import ENDED, rank_of

_NEWEST = 50
_PAGE = 200
_MOST_PAGES = 5
"""Pages read at once when more builds came than one shows."""
_ONE_BY_ONE = 5
_POLLED = {"newest": 1.0, "running": 2.0, "queued": 5.0, "unseen": 2.0}
"""Seconds from one read to the next where nothing tells what happens."""
_STREAMED = {"newest": 15.0, "running": 15.0, "queued": 30.0, "unseen": 5.0}
"""The same while the stream tells."""
_UNSEEN_POLLS = 3
"""A build under way that nothing showed for so many reads of running ones is read by itself."""
_TELLS_STATUS = {
    "build_received": "Received",
    "build_queued": "Queued",
    "build_started": "Running",
    "build_cancelling": "Cancelling",
    "build_ended": "Succeeded",
}
_TELLS_PART = frozenset({"build_reprioritised", "build_planned"})
"""Events that tell less than what is shown: the build is read."""


class Lists(Protocol):
    """The two reads that this needs of the producer's client."""

    async def builds(
        self, *, status: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> BuildList:
        """A page of builds, newest first."""

    async def build(self, build_id: str) -> BuildStatus:
        """One build. Raises NotFound."""


class BuildReads:
    """The reads of builds; what they bring goes out as events.

    Args:
        most: so many builds of the past are read at the beginning.
    """

    def __init__(self, producer: Lists, clock: Clock, most: int) -> None:
        self._producer = producer
        self._clock = clock
        self._most = most
        self._under_way: OrderedDict[str, float] = OrderedDict()
        """Build -> when a list last showed it; monotonic."""
        self._newest = ""
        """The highest id seen; ids sort by age."""
        self._read = 0
        self._cursor: str | None = None
        self._backfill = Read("past", 0.1, self._past)
        self._lists = {
            "newest": Read("newest", _POLLED["newest"], self._new),
            "running": Read("running", _POLLED["running"], lambda: self._with_status("Running", "Cancelling")),
            "queued": Read("queued", _POLLED["queued"], lambda: self._with_status("Received", "Queued")),
            "unseen": Read("unseen", _POLLED["unseen"], self._unseen),
        }

    def reads(self) -> tuple[Read, ...]:
        """What to poll."""
        return (*self._lists.values(), self._backfill)

    # ---------------------------------------------------------------- the stream of events

    def streamed(self, *, on: bool) -> None:
        """The stream of all builds' events begins or ends to tell what happens: all lists are read once more."""
        for name, seconds in (_STREAMED if on else _POLLED).items():
            self._lists[name].every = seconds
            self._lists[name].due = 0.0

    def told(self, event: BuildEvent) -> bool:
        """Take note of an event; whether something is to be read at once."""
        known = event.build_id in self._under_way or event.build_id <= self._newest
        if (status := _TELLS_STATUS.get(event.type)) is not None:
            self._seen(event.build_id, status)
        if event.type in _TELLS_PART:
            self._under_way[event.build_id] = -math.inf
            self._under_way.move_to_end(event.build_id, last=False)
            return self._soon("unseen")
        return False if known else self._soon("newest")

    def _soon(self, name: str) -> bool:
        """Have a list read now, but not again and again."""
        read, now = self._lists[name], self._clock.monotonic()
        read.due = min(read.due, max(now, read.started + _POLLED[name]))
        return read.due <= now

    # ---------------------------------------------------------------- reads

    async def _new(self) -> Sequence[Event]:
        """The newest builds, back to one that is known."""
        events: list[Event] = []
        cursor, known = None, self._newest
        for _ in range(_MOST_PAGES):
            at = self._clock.now()
            page = await self._producer.builds(limit=_NEWEST, cursor=cursor)
            events.append(BuildsSeen(at, page.builds))
            self._note(page)
            cursor = page.next_cursor
            ids = [build.execution_id for build in page.builds]
            if cursor is None or not known or (ids and min(ids) <= known):
                return events
        # So many came at once that a gap is left: the past is read again from here.
        self._cursor, self._read, self._backfill.done = cursor, 0, False
        return events

    async def _past(self) -> Sequence[Event]:
        """One page further back, until there are enough."""
        at = self._clock.now()
        page = await self._producer.builds(limit=_PAGE, cursor=self._cursor)
        self._cursor = page.next_cursor
        self._read += len(page.builds)
        self._backfill.done = self._cursor is None or self._read >= self._most
        self._note(page)
        return (BuildsSeen(at, page.builds),)

    async def _with_status(self, *statuses: str) -> Sequence[Event]:
        events = []
        for status in statuses:
            at = self._clock.now()
            page = await self._producer.builds(status=status, limit=_PAGE)
            self._note(page)
            events.append(BuildsSeen(at, page.builds))
        return events

    async def _unseen(self) -> Sequence[Event]:
        """Some of the builds under way that no list shows."""
        limit = self._clock.monotonic() - _UNSEEN_POLLS * self._lists["running"].every
        events: list[Event] = []
        for build_id, seen in list(self._under_way.items()):
            if seen > limit or len(events) >= _ONE_BY_ONE:
                break
            at = self._clock.now()
            try:
                build = await self._producer.build(build_id)
            except NotFound:
                self._under_way.pop(build_id, None)
                events.append(BuildGone(at, build_id))
                continue
            events.append(BuildSeen(at, build))
            self._seen(build_id, build.status)
        return events

    def _note(self, page: BuildList) -> None:
        for build in page.builds:
            self._newest = max(self._newest, build.execution_id)
            self._seen(build.execution_id, build.status)

    def _seen(self, build_id: str, status: str) -> None:
        self._under_way.pop(build_id, None)
        if rank_of(status) < ENDED:
            self._under_way[build_id] = self._clock.monotonic()
            while len(self._under_way) > self._most:
                self._under_way.popitem(last=False)
