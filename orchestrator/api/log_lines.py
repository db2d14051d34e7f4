"""Lines of a build's log: which stored segments hold the wanted ones, and what follows live without gap or double.

Pure: segments and messages in, lines out. Two numbers are at play: a worker numbers lines from 1 within its
attempt, a build numbers them in the order in which segments were recorded.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from buildyard.contracts.builds import StageName
from buildyard.contracts.messages import LogLines
from buildyard.contracts.wire import rfc3339
from orchestrator.domain.records import LogSegment

HELD_LINES = 2000
"""Live lines kept per attempt while an earlier one has not come yet; the store fills what is dropped."""

_WIRE = {stage.value: stage.wire for stage in StageName}


class Line(NamedTuple):
    """One line. `n` counts within the attempt; `stage` is the word inside (`fetch`)."""

    n: int
    at: str
    stage: str
    text: str


@dataclass(frozen=True)
class Wanted:
    """Which lines of a build: numbers within the build, both included, and one stage or all."""

    first: int = 1
    last: int | None = None
    stage: str | None = None

    def takes(self, number: int, line: Line) -> bool:
        """Whether it is one of them."""
        return (
            number >= self.first
            and (self.last is None or number <= self.last)
            and (self.stage is None or line.stage == self.stage)
        )

    def may_be_in(self, segment: LogSegment) -> bool:
        """Whether a segment can hold any of them."""
        return (
            segment.build_last >= self.first
            and (self.last is None or segment.build_first <= self.last)
            and (self.stage is None or self.stage in segment.stages)
        )


def lines_of(raw: bytes) -> list[Line]:
    """Read stored lines; one that cannot be read shows as such, so that the numbers of the others stay right."""
    return [_line(part) for part in raw.split(b"\n") if part]


def wanted_of(segment: LogSegment, raw: bytes, wanted: Wanted) -> Iterator[tuple[int, Line]]:
    """The wanted lines of a stored segment with their numbers within the build; only they are read."""
    parts = [part for part in raw.split(b"\n") if part]
    skipped = max(0, wanted.first - segment.build_first)
    end = len(parts) if wanted.last is None else max(0, wanted.last - segment.build_first + 1)
    for number, part in enumerate(parts[skipped:end], segment.build_first + skipped):
        line = _line(part)
        if wanted.takes(number, line):
            yield number, line


def _line(part: bytes) -> Line:
    try:
        fields = json.loads(part)
        return Line(int(fields["n"]), str(fields["at"]), str(fields["stage"]), str(fields["text"]))
    except (ValueError, KeyError, TypeError):
        return Line(0, "", "", "[a line that cannot be read]")


def numbered(segment: LogSegment, lines: Iterable[Line]) -> Iterator[tuple[int, Line]]:
    """Lines of a segment with their numbers within the build."""
    return ((segment.build_first + offset, line) for offset, line in enumerate(lines))


Renderer = Callable[[int, Line, str, int], str]
"""(number within the build, line, job, attempt) -> what is sent."""


def as_text(_number: int, line: Line, _job: str, _attempt: int) -> str:
    """The line alone."""
    return line.text + "\n"


def as_json(number: int, line: Line, job: str, attempt: int) -> str:
    """A JSON line with all that is known of it."""
    shown = {
        "n": number,
        "at": line.at,
        "stage": _WIRE.get(line.stage, line.stage),
        "text": line.text,
        "job": job,
        "attempt": attempt,
    }
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")) + "\n"


def as_event(number: int, line: Line, job: str, attempt: int) -> str:
    """A server-sent event with all that is known of it; its id is its number."""
    return f"data: {as_json(number, line, job, attempt)}id: {number}\n\n"


class Cursor:
    """How far each attempt's lines were passed on: joins stored segments and live lines into one stream."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, int], int] = {}
        self._held: dict[tuple[str, int], deque[Line]] = {}

    def skip(self, segments: Sequence[LogSegment]) -> None:
        """Count these segments as passed on."""
        for segment in segments:
            self._advance((segment.job_id, segment.attempt), last_of(segment))

    def lacks(self, segment: LogSegment) -> bool:
        """Whether a segment holds a line that was not passed on."""
        return last_of(segment) > self._sent.get((segment.job_id, segment.attempt), 0)

    def stored(self, segment: LogSegment, lines: Iterable[Line]) -> list[Line]:
        """Lines of a segment that were not passed on yet; with them, live lines that waited for them."""
        attempt = (segment.job_id, segment.attempt)
        sent = self._sent.get(attempt, 0)
        fresh = [line for number, line in enumerate(lines, segment.first) if number > sent]
        self._advance(attempt, last_of(segment))
        return fresh + self._next_held(attempt)

    def live(self, message: LogLines) -> list[Line]:
        """Lines to pass on now; those behind a gap are held until the store fills it."""
        attempt = (message.job_id, message.attempt)
        held = self._held.setdefault(attempt, deque(maxlen=HELD_LINES))
        newest = held[-1].n if held else self._sent.get(attempt, 0)
        held.extend(
            Line(line.n, rfc3339(line.at), line.stage.value, line.text) for line in message.lines if line.n > newest
        )
        return self._next_held(attempt)

    def rest(self) -> list[tuple[str, int, list[Line]]]:
        """What is still held behind gaps that nothing will fill: job, attempt and lines."""
        left = [(job, attempt, list(held)) for (job, attempt), held in self._held.items() if held]
        self._held.clear()
        return left

    def _advance(self, attempt: tuple[str, int], last: int) -> None:
        self._sent[attempt] = max(last, self._sent.get(attempt, 0))

    def _next_held(self, attempt: tuple[str, int]) -> list[Line]:
        held = self._held.get(attempt)
        ready: list[Line] = []
        while held and held[0].n <= self._sent.get(attempt, 0) + 1:
            line = held.popleft()
            if line.n > self._sent.get(attempt, 0):
                self._sent[attempt] = line.n
                ready.append(line)
        return ready


def last_of(segment: LogSegment) -> int:
    """The number within its attempt of a segment's last line."""
    return segment.first + segment.build_last - segment.build_first
