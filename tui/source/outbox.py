"""News that wait for the reader: bounded, and without loss where loss would count."""

from __future__ import annotations

import asyncio

from tui.state.events import Event, LogSeen

MOST_LINES = 5_000
"""Log lines that wait; whoever brings more waits too, and with it the server's connection."""
MOST_NEWS = 2_000


class Outbox:
    """A queue from many tasks to one reader, on one event loop.

    `put_latest` never waits and replaces what waits under the same key; `put` waits for room and loses nothing.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Event] = {}
        self._news: list[Event] = []
        self._lines = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._closed = False

    def put_latest(self, key: str, event: Event) -> None:
        """Tell something of which only the newest counts."""
        self._latest[key] = event
        self._filled.set()

    async def put(self, event: Event) -> None:
        """Tell something that must not be lost; waits while too much waits already."""
        while not self._closed and (self._lines >= MOST_LINES or len(self._news) >= MOST_NEWS):
            self._room.clear()
            await self._room.wait()
        self._news.append(event)
        self._lines += len(event.lines) if isinstance(event, LogSeen) else 0
        self._filled.set()

    async def take(self) -> tuple[Event, ...]:
        """All that waits, as soon as there is anything; () once it is closed and empty."""
        while not (self._latest or self._news or self._closed):
            self._filled.clear()
            await self._filled.wait()
        events = (*self._latest.values(), *self._news)
        self._latest.clear()
        self._news.clear()
        self._lines = 0
        self._room.set()
        return events

    def close(self) -> None:
        """Nothing more will be told."""
        self._closed = True
        self._filled.set()
        self._room.set()
