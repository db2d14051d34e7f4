"""The newest lines of a log, bounded in lines and characters, with an exact account of what is no longer there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tui.safe_text import NOTHING, PLAIN, Run, clean, plain
from tui.widgets.log_levels import Level, level_of

MOST_LINES = 100_000
MOST_CHARACTERS = 32_000_000
_UNREAD = 255
_LEVELS = tuple(Level)


class LogEntry(NamedTuple):
    """One line as it comes from a source; every text may hold anything. `at` is in seconds since 1970, UTC."""

    text: str
    at: float | None = None
    source: str = ""
    stage: str = ""


class KeptLine(NamedTuple):
    """One line that is safe to draw. `runs` is None where the whole line has no style of its own."""

    text: str
    at: float | None
    source: str
    stage: str
    runs: tuple[Run, ...] | None
    seam: bool


@dataclass
class Account:
    """What happened to lines so far. Always: received == lines kept now + dropped."""

    received: int = 0
    dropped: int = 0
    """Received, but no longer kept: the oldest go when the ring is full."""
    missing: int = 0
    """Never received: the source said so, or a gap in its numbers did."""
    cut: int = 0
    """Kept lines that were longer than what is kept of a line."""
    sanitised: int = 0
    """Kept lines out of which something was taken that tried to be more than text."""


class LogRing:
    """Lines have numbers that only grow: `first` is the oldest kept one, `end` is one more than the newest."""

    def __init__(self, most_lines: int = MOST_LINES, most_characters: int = MOST_CHARACTERS) -> None:
        self._most_lines = most_lines
        self._most_characters = most_characters
        self._lines: list[KeptLine] = []
        self._levels = bytearray()
        self._characters = 0
        self._seams = 0
        self._gone = 0
        """Lines at the front of the list that have been given up; they are deleted many at a time."""
        self.first = 0
        self.account = Account()

    def __len__(self) -> int:
        return len(self._lines) - self._gone

    @property
    def end(self) -> int:
        """One more than the number of the newest line."""
        return self.first + len(self)

    def __getitem__(self, number: int) -> KeptLine:
        if not self.first <= number < self.end:
            raise IndexError(number)
        return self._lines[number - self.first + self._gone]

    def since(self, number: int) -> Iterator[tuple[int, KeptLine]]:
        """Numbered lines from `number` (or the oldest kept) on."""
        number = max(number, self.first)
        skip = number - self.first + self._gone
        return enumerate(self._lines[skip:] if skip else self._lines, number)

    def level(self, number: int) -> Level:
        """How grave a kept line is; read from its words when first asked for. A seam is INFO."""
        return _LEVELS[self._level(number - self.first + self._gone)]

    def graver(self, least: Level, since: int = 0) -> list[int]:
        """The numbers of kept lines from `since` on that are at least so grave, and of seams."""
        start = max(since, self.first) - self.first + self._gone
        levels, offset = self._levels, self.first - self._gone
        lines = self._lines
        for place in [place for place, level in enumerate(levels[start:], start) if level == _UNREAD]:
            line = lines[place]
            levels[place] = Level.INFO if line[5] else level_of(line[0])  # by place: this runs for 100,000 lines
        found = [number for number, level in enumerate(levels[start:], start + offset) if level >= least]
        seams = self.seams(since)
        return sorted({*found, *seams}) if seams else found

    def seams(self, since: int = 0) -> list[int]:
        """The numbers of kept seams from `since` on."""
        return [number for number, line in self.since(since) if line.seam] if self._seams else []

    def _level(self, place: int) -> int:
        level = self._levels[place]
        if level == _UNREAD:
            line = self._lines[place]
            level = self._levels[place] = Level.INFO if line.seam else level_of(line.text)
        return level

    def extend(self, entries: Sequence[LogEntry]) -> None:
        """Append lines. Of a batch that alone is larger than the ring, what cannot stay is only counted."""
        account = self.account
        account.received += len(entries)
        too_many = len(entries) - self._most_lines
        if too_many > 0:
            account.dropped += too_many
            self._skip(too_many)
            entries = entries[too_many:]
        kept = []
        characters = 0
        for text, at, source, stage in entries:
            runs, _, removed = cleaned = clean(text)
            if removed is not NOTHING:
                account.cut += removed.cut > 0
                account.sanitised += removed.sanitised
            whole = runs[0].text if len(runs) == 1 else cleaned.text
            styled = bool(runs) and (len(runs) > 1 or runs[0].style is not PLAIN)
            characters += len(whole)
            kept.append(KeptLine(whole, at, source, stage, runs if styled else None, seam=False))
        self._characters += characters
        self._append(kept)

    def seam(self, text: str, *, at: float | None = None, missing: int = 0) -> None:
        """Mark a break in the log: a restart, a reconnect, lines that never came (`missing` counts them)."""
        self.account.missing += missing
        safe = plain(text)
        self._characters += len(safe)
        self._seams += 1
        self._append([KeptLine(safe, at, "", "", None, seam=True)])

    def clear(self) -> None:
        """Forget all lines; they count as dropped."""
        self._give_up(len(self))

    # ---------------------------------------------------------------- bounds

    def _append(self, kept: list[KeptLine]) -> None:
        self._lines += kept
        self._levels += bytes([_UNREAD]) * len(kept)
        excess = len(self) - self._most_lines
        if excess > 0:
            self._give_up(excess)
        while self._characters > self._most_characters and len(self) > 1:
            self._give_up(1)

    def _skip(self, count: int) -> None:
        """Pass over numbers that were never kept: what is older goes as well."""
        self._give_up(len(self))
        self.first += count

    def _give_up(self, count: int) -> None:
        going = self._lines[self._gone : self._gone + count]
        self._characters -= sum(len(line.text) for line in going)
        seams = sum(line.seam for line in going) if self._seams else 0
        self._seams -= seams
        self.account.dropped += count - seams
        self._gone += count
        self.first += count
        if self._gone >= max(1024, self._most_lines // 8) or self._gone == len(self._lines):
            del self._lines[: self._gone]
            del self._levels[: self._gone]
            self._gone = 0
