"""The feed: what the service changes reaches whoever listens in this process.

It is a wake-up with content, not a log: a listener that is too slow is told so and reads on from the store, which
holds every event and every line.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from buildyard.contracts.events import BuildEvent
from buildyard.contracts.messages import LogLines
from orchestrator.domain.recent_lines import RecentLines

WATCH_LIMIT = 1000
"""Items a watch holds before it overflows."""


class Watch:
    """What happens to one build from the moment of watching. Iterate, or wait with `next_item`."""

    def __init__(self) -> None:
        self._items: deque[BuildEvent | LogLines] = deque()
        self._news = asyncio.Event()
        self.overflowed = False
        """Set when items were dropped: read the store, then clear it."""

    def offer(self, item: BuildEvent | LogLines) -> None:
        """Add an item, or note that there is no room for it."""
        if len(self._items) >= WATCH_LIMIT:
            self._items.clear()
            self.overflowed = True
        else:
            self._items.append(item)
        self._news.set()

    async def next_item(self, timeout: float) -> BuildEvent | LogLines | None:  # noqa: ASYNC109 - a wait that ends without news is an answer here
        """The next item; None after `timeout` seconds without one, or when items were dropped."""
        if not self._items and not self.overflowed:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), timeout)
            except TimeoutError:
                return None
        return self._items.popleft() if self._items else None


class Feed:
    """Fan-out to the watches of this process."""

    def __init__(self) -> None:
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._recent = RecentLines()
        self.stirred = asyncio.Event()
        """Set whenever any build has a new event, for who follows them all; that one clears it."""

    @asynccontextmanager
    async def watch(self, build_id: str, *, recent_lines: bool = False) -> AsyncIterator[Watch]:
        """Watch a build for the length of the block; with `recent_lines` beginning with the newest ones there were."""
        watch = Watch()
        for message in self._recent.of(build_id) if recent_lines else ():
            watch.offer(message)
        self._watches[build_id].add(watch)
        try:
            yield watch
        finally:
            self._watches[build_id].discard(watch)
            if not self._watches[build_id]:
                del self._watches[build_id]

    def publish(self, items: Iterable[BuildEvent | LogLines]) -> None:
        """Hand items to the watches of their builds; nobody is waited for."""
        for item in items:
            if isinstance(item, LogLines):
                self._recent.add(item)
            else:
                self.stirred.set()
                if item.type == "build_ended":
                    self._recent.forget(item.build_id)
            for watch in self._watches.get(item.build_id, ()):
                watch.offer(item)
