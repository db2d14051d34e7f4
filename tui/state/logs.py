"""Logs as streams of lines and breaks, bounded, with an account of every line that was not shown.

A reader keeps a position and asks for what came since; positions only grow and outlive what is dropped, so several
readers share one stream. For each stream: lines received = lines kept + `dropped`; what the source never sent is
`missing`, and `unknown_gaps` counts breaks of which nobody knows how much they cost.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import islice

from tui.state.events import LogBroke, LogLine, LogSeen


@dataclass(frozen=True, slots=True)
class Break:
    """A visible seam in a log."""

    at: float
    """Seconds since 1970, UTC."""
    text: str
    missing: int | None


Item = LogLine | Break


@dataclass(frozen=True, slots=True)
class Read:
    """What a reader gets: items, the position to ask from next, and how many items it came too late for."""

    items: tuple[Item, ...]
    position: int
    skipped: int


class LogStream:
    """One log."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self.first = 0
        """The position of the oldest item kept."""
        self.characters = 0
        self.last_number = 0
        """The number of the newest line; 0 while there is none, or where lines have none."""
        self.received = 0
        self.dropped = 0
        self.missing = 0
        self.unknown_gaps = 0
        self.repeated = 0
        """Lines that came again, or after lines that follow them: not shown."""
        self.ended = False

    @property
    def end(self) -> int:
        """One more than the position of the newest item."""
        return self.first + len(self._items)

    def read(self, position: int = 0, most: int | None = None) -> Read:
        """The items from `position` on, at most `most` of them."""
        start = max(position, self.first)
        items = tuple(islice(self._items, start - self.first, None if most is None else start - self.first + most))
        return Read(items, start + len(items), start - position)

    def tail(self, lines: int) -> Read:
        """The last so many items."""
        return self.read(max(self.first, self.end - lines))

    def add(self, seen: LogSeen) -> int:
        """Take in lines; gives how many are new."""
        new = 0
        for line in seen.lines:
            if line.n is not None:
                if line.n <= self.last_number:
                    self.repeated += 1
                    continue
                if self.last_number and line.n > self.last_number + 1:
                    gap = line.n - self.last_number - 1
                    self._break(Break(line.at or 0.0, f"{gap} lines are missing here", gap))
                self.last_number = line.n
            self._items.append(line)
            self.characters += len(line.text)
            new += 1
        self.received += new
        self.ended = self.ended and not new
        return new

    def broke(self, event: LogBroke) -> None:
        """Take in a break; what the numbers of the lines behind it tell is not counted twice."""
        if event.missing and self.last_number:
            self.last_number += event.missing
        self._break(Break(event.at.timestamp(), event.text, event.missing))

    def drop_oldest(self, count: int) -> None:
        """Give up the oldest items."""
        for _ in range(min(count, len(self._items))):
            item = self._items.popleft()
            self.first += 1
            if isinstance(item, LogLine):
                self.characters -= len(item.text)
                self.dropped += 1

    def __len__(self) -> int:
        return len(self._items)

    def _break(self, seam: Break) -> None:
        self._items.append(seam)
        self.missing += seam.missing or 0
        self.unknown_gaps += seam.missing is None


class LogStreams:
    """All logs that are or were followed. What was touched longest ago is dropped first.

    Args:
        most_lines: of one stream.
        most_total: lines of all streams.
        most_characters: of all streams.
        most_streams: streams.
    """

    def __init__(self, most_lines: int, most_total: int, most_characters: int, most_streams: int) -> None:
        self._most_lines = most_lines
        self._most_total = most_total
        self._most_characters = most_characters
        self._most_streams = most_streams
        self._streams: OrderedDict[str, LogStream] = OrderedDict()

    def __getitem__(self, name: str) -> LogStream:
        return self._streams[name]

    def get(self, name: str) -> LogStream | None:
        """A stream, or None where nothing of it ever came."""
        return self._streams.get(name)

    def names(self) -> tuple[str, ...]:
        """Streams, the one with the newest news last."""
        return tuple(self._streams)

    def touched(self, name: str) -> LogStream:
        """The stream of that name, made when there is none."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = LogStream()
        self._streams.move_to_end(name)
        return stream

    def bound(self, name: str) -> tuple[str, ...]:
        """Drop what is too much after `name` grew; gives the streams that lost all they had."""
        stream = self._streams[name]
        stream.drop_oldest(len(stream) - self._most_lines)
        gone = []
        while len(self._streams) > self._most_streams:
            gone.append(self._streams.popitem(last=False)[0])
        while self._too_much() and len(self._streams) > 1:
            gone.append(self._streams.popitem(last=False)[0])
        while self._too_much() and len(stream) > 1:
            stream.drop_oldest(1 + len(stream) // 10)
        return tuple(gone)

    def forget(self, name: str) -> None:
        """Nobody looks at it any more."""
        self._streams.pop(name, None)

    def _too_much(self) -> bool:
        lines = sum(len(stream) for stream in self._streams.values())
        return (
            lines > self._most_total
            or sum(stream.characters for stream in self._streams.values()) > self._most_characters
        )
