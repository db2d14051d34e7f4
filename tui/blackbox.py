"""The last minutes of what a source told, packed: to look back while a farm goes on, and to save an incident.

It is bounded in time and in bytes. Of logs that come faster than `LINES_A_SECOND` a part is left out, and the break
says how much: keeping the past must not cost what following the present costs. What looks like a secret is not kept.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import buildyard
from tui.recording import SUFFIX, Header, Recording, Thinning, encoded, owners_file, packed
from tui.state.events import Event, LogBroke, LogSeen

MOST_BYTES = 4 << 20
MOST_SECONDS = 3600.0
LINES_A_SECOND = 1_000
_THIN_SECONDS = 10.0
_FRAME_BYTES = 256 << 10
_FRAME_SECONDS = 10.0


class _Frame(NamedTuple):
    """Some seconds: (milliseconds of the first event, of the last one, packed lines)."""

    first: int
    last: int
    data: bytes


class BlackBox:
    """What was told lately. Time is an argument throughout.

    Args:
        began: the time of the first event.
        title: of the farm.
        most_bytes: of all frames; the oldest go.
        most_seconds: likewise.
    """

    def __init__(
        self, began: datetime, title: str = "", *, most_bytes: int = MOST_BYTES, most_seconds: float = MOST_SECONDS
    ) -> None:
        self._began = began
        self._title = title
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds
        self._frames: deque[_Frame] = deque()
        self._bytes = 0
        self._lines: list[str] = []
        self._waiting = 0
        self._first = self._last = 0
        self._thinning = Thinning(_THIN_SECONDS)
        self._room = float(LINES_A_SECOND)
        self._room_at = 0.0

    @property
    def size(self) -> int:
        """Bytes kept, packed."""
        return self._bytes

    def add(self, event: Event, now: datetime) -> None:
        """Keep an event."""
        seconds = max(self._last / 1000, (now - self._began).total_seconds())
        if self._thinning.leaves_out(event, seconds):
            return
        kept: Event | None = event
        if isinstance(event, LogSeen):
            kept = self._within_bounds(event, seconds, now)
        if kept is None:
            return
        if not self._lines:
            self._first = int(seconds * 1000)
        line = encoded(kept, int(seconds * 1000))
        self._last = int(seconds * 1000)
        self._lines.append(line)
        self._waiting += len(line)
        if self._waiting >= _FRAME_BYTES or self._last - self._first >= _FRAME_SECONDS * 1000:
            self._pack()

    def _within_bounds(self, event: LogSeen, seconds: float, now: datetime) -> LogSeen | LogBroke:
        self._room = min(float(LINES_A_SECOND), self._room + (seconds - self._room_at) * LINES_A_SECOND)
        self._room_at = seconds
        if len(event.lines) <= self._room:
            self._room -= len(event.lines)
            return event
        missing = len(event.lines)
        return LogBroke(event.stream, now, f"{missing} lines were told too fast to be kept here", missing)

    def _pack(self) -> None:
        if not self._lines:
            return
        frame = _Frame(self._first, self._last, packed(self._lines))
        self._lines.clear()
        self._waiting = 0
        self._frames.append(frame)
        self._bytes += len(frame.data)
        oldest = self._last - self._most_seconds * 1000
        while len(self._frames) > 1 and (self._bytes > self._most_bytes or self._frames[0].last < oldest):
            self._bytes -= len(self._frames.popleft().data)

    # ---------------------------------------------------------------- looking back

    def _header(self) -> Header:
        first = self._frames[0].first if self._frames else 0
        return Header(self._began, self._title, buildyard.__version__, first)

    def recording(self) -> Recording:
        """All that is kept, to be played."""
        self._pack()
        return Recording(self._header(), [(frame.first, frame.data) for frame in self._frames], self._last, "")

    def save(self, folder: Path, stamp: str) -> Path:
        """Write all that is kept into a new recording that its owner alone may read. OSError where that cannot be."""
        self._pack()
        path = folder / f"buildyard-incident-{stamp}{SUFFIX}"
        with owners_file(path) as file:
            file.write(packed([self._header().line()]))
            file.writelines(frame.data for frame in self._frames)
        return path
