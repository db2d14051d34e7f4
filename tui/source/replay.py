"""A recording played as it was, or faster, and scrubbed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from buildyard.clock import Clock, SystemClock
from tui.recording import Recording, opened
from tui.source.port import Interest
from tui.state.events import Event

_STEP_SECONDS = 0.1
_MOST_AT_ONCE = 100
"""Events of a batch; a long way is gone in several, with turns of the loop between."""


class Replay:
    """The source of a recording; it begins at once and stands still at its end.

    Args:
        recording: what to play; `Replay.of` reads one from a file.
        clock: only its monotonic seconds count.
    """

    def __init__(self, recording: Recording, clock: Clock | None = None, *, title: str = "") -> None:
        self._recording = recording
        self._clock = clock or SystemClock()
        self.title = title or recording.header.title or "recording"
        self.generation = 0
        self._position = 0.0
        """Milliseconds after the beginning."""
        self._factor = 1.0
        self._paused = False
        self._looked = self._clock.monotonic()
        self._news = self._recording.since(0)
        self._next: tuple[int, Event] | None = None
        self._moved = asyncio.Event()
        self._closed = False

    @classmethod
    async def of(cls, path: Path, clock: Clock | None = None) -> Self:
        """Read a recording from a file. Raises InvalidRequest as `opened` does."""
        return cls(await asyncio.to_thread(opened, path), clock, title=path.name)

    async def __aenter__(self) -> Self:
        self._looked = self._clock.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._moved.set()

    @property
    def damage(self) -> str:
        """A sentence when the recording breaks off before its end."""
        return self._recording.damage

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The first and the last moment."""
        return self._recording.span

    @property
    def paused(self) -> bool:
        """Whether time stands still."""
        return self._paused

    async def batches(self) -> AsyncIterator[tuple[Event, ...]]:
        """The events up to where the tape is."""
        while not self._closed:
            self._advance()
            generation = self.generation
            if events := tuple(self._due()):
                yield events
                await asyncio.sleep(0)
                if len(events) == _MOST_AT_ONCE or generation != self.generation:
                    continue
            await self._turn()

    def watch(self, interest: Interest) -> None:
        """Nothing changes: on the tape is what was looked at when it was recorded."""

    def retry_now(self) -> None:
        """Nobody is down."""

    def now(self) -> datetime:
        """Where the tape is."""
        self._advance()
        return self.span[0] + timedelta(milliseconds=self._position)

    def seek(self, moment: datetime) -> None:
        """Go to a moment; back means that everything is told again from the beginning."""
        first, last = self.span
        wanted = (min(max(moment, first), last) - first).total_seconds() * 1000
        self._advance()
        if wanted < self._position:
            self.generation += 1
            self._news, self._next = self._recording.since(0, target=wanted), None
        self._position = wanted
        self._moved.set()

    def pause(self, *, paused: bool) -> None:
        """Let time stand still, or go on."""
        self._advance()
        self._paused = paused
        self._moved.set()

    def speed(self, factor: float) -> None:
        """Seconds of the tape that go by in one."""
        self._advance()
        self._factor = max(0.0, factor)
        self._moved.set()

    def _advance(self) -> None:
        now = self._clock.monotonic()
        if not self._paused:
            first, last = self.span
            length = (last - first).total_seconds() * 1000
            self._position = min(length, self._position + (now - self._looked) * 1000 * self._factor)
        self._looked = now

    def _due(self) -> Iterator[Event]:
        generation = self.generation
        for _ in range(_MOST_AT_ONCE):
            self._next = self._next or next(self._news, None)
            if self._next is None or self._next[0] > self._position or generation != self.generation:
                return
            yield self._next[1]
            self._next = None

    async def _turn(self) -> None:
        self._moved.clear()
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                await self._moved.wait()
        except TimeoutError:
            return
