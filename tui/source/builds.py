"""Which builds to read when: the newest often, those under way all the time, the past once and slowly.

There is no stream of all builds' events, so lists are polled. What is under way but stands in none of the lists that
were read lately has ended or was pushed off their ends: such builds are read one by one, some at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from buildyard.clock import Clock
from buildyard.contracts.api import BuildList, BuildStatus
from buildyard.errors import NotFound
from tui.source.poller import Read
from tui.state.events import BuildGone, BuildSeen, BuildsSeen, Event
from tui.state.rows import ENDED, rank_of

_NEWEST = 50
_PAGE = 200
_MOST_PAGES = 5
"""Pages read at once when more builds came than one shows."""
_ONE_BY_ONE = 5
_UNSEEN_SECONDS = 6.0
"""A build under way that no list showed for so long is read by itself."""


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

    def reads(self) -> tuple[Read, ...]:
        """What to poll."""
        return (
            Read("newest", 1.0, self._new),
            Read("running", 2.0, lambda: self._with_status("Running", "Cancelling")),
            Read("queued", 5.0, lambda: self._with_status("Received", "Queued")),
            Read("unseen", 2.0, self._unseen),
            self._backfill,
        )

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
        limit = self._clock.monotonic() - _UNSEEN_SECONDS
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
