"""Where a reader stands in a log: what is shown, from which line on, and how lines are cut into rows.

The place is a line's number, not a row: lines that come, go, or wrap anew at another width do not move it, and
nothing is computed for lines that are not on the screen.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from tui.widgets.filter_terms import Filter, Term
from tui.widgets.log_levels import Level
from tui.widgets.log_ring import KeptLine, LogRing
from tui.widgets.text_cells import wrap_points

FILTER_KEYS = ("level", "source", "agent", "stage")
"""Fields a log filter can name; `agent` is another word for `source`."""


class Stamps(Enum):
    """What stands before a line."""

    NONE = "none"
    TIME = "time"
    DELTA = "delta"

    @property
    def following(self) -> Stamps:
        """The next in turn."""
        return {Stamps.NONE: Stamps.TIME, Stamps.TIME: Stamps.DELTA, Stamps.DELTA: Stamps.NONE}[self]


class ShownRow(NamedTuple):
    """One row on the screen: line `number`, characters `start` to `end` of it; `part` counts its rows from 0."""

    number: int
    part: int
    start: int
    end: int


class LogReader:
    """A view of a ring; call `catch_up` after lines were added to it.

    `width` and `height` are the cells for text: what stands before a line is not counted.
    """

    def __init__(self, ring: LogRing) -> None:
        self.ring = ring
        self.width, self.height = 80, 24
        self.wrap = False
        self.follow = True
        self.cursor: int | None = None
        """The line that keys act on, or None while following."""
        self.new = 0
        """Shown lines that came since following stopped."""
        self.filter = Filter()
        self.only = True
        """Whether the filter hides what does not match, or only marks what does."""
        self.minimum = Level.DEBUG
        self._top = (0, 0)
        self._shown: list[int] | None = None
        self._matches: list[int] = []
        self._seen = 0

    # ---------------------------------------------------------------- what is shown

    def set_filter(self, wanted: Filter, *, only: bool | None = None) -> None:
        """Show only what matches, or mark it (`only` False); the place stays on its line or the next one shown."""
        self.filter = wanted
        self.only = self.only if only is None else only
        self._rebuild()

    def set_minimum(self, level: Level) -> None:
        """Hide lines that are less grave."""
        self.minimum = level
        self._rebuild()

    def catch_up(self) -> int:
        """Take in what the ring got and gave up since the last call; returns how many shown lines are new."""
        ring, first = self.ring, self.ring.first
        if self._shown is not None and self._shown and self._shown[0] < first:
            del self._shown[: bisect_left(self._shown, first)]
        if self._matches and self._matches[0] < first:
            del self._matches[: bisect_left(self._matches, first)]
        before, unseen = self._seen, max(0, first - self._seen)
        self._seen = ring.end
        matching = self._matching(before) if self.filter else []
        self._matches += matching
        if self._shown is None:
            fresh = ring.end - before
        else:
            added = self._passing(before, matching)
            self._shown += added
            fresh = len(added) + unseen
        if not self.follow:
            self.new += fresh
        if self.cursor is not None and self.cursor < first:
            self.cursor = None
        return fresh

    @property
    def count(self) -> int:
        """How many lines are shown when the filter is applied."""
        return len(self.ring) if self._shown is None else len(self._shown)

    @property
    def matches(self) -> int:
        """How many lines match the filter; 0 without one."""
        return len(self._matches)

    def is_match(self, number: int) -> bool:
        """Whether a line matches the filter."""
        place = bisect_left(self._matches, number)
        return place < len(self._matches) and self._matches[place] == number

    def number_at(self, index: int) -> int:
        """The number of the shown line at `index`, counted from 0."""
        return self.ring.first + index if self._shown is None else self._shown[index]

    def index_of(self, number: int) -> int:
        """The index of a line among those shown, or of the next shown one after it."""
        if self._shown is None:
            return max(0, min(number - self.ring.first, len(self.ring)))
        return bisect_left(self._shown, number)

    def _rebuild(self) -> None:
        self._seen, new = self.ring.first, self.new
        hides = self.minimum > Level.DEBUG or (bool(self.filter) and self.only)
        self._shown, self._matches = ([] if hides else None), []
        self.catch_up()
        self.new = new
        if self.cursor is not None:
            self.cursor = self._nearest(self.cursor)
        if not self.follow:
            self._top = (self._nearest(self._top[0]) or 0, 0)

    def _nearest(self, number: int) -> int | None:
        if not self.count:
            return None
        return self.number_at(min(self.index_of(number), self.count - 1))

    def _matching(self, since: int) -> list[int]:
        """One term after the other: each looks only at what those before it left, words of the text first."""
        first, *rest = sorted(self.filter.terms, key=lambda term: (bool(term.key), len(term.needles), term.inverted))
        since = max(since, self.ring.first)
        lines = [line for _, line in self.ring.since(since)]
        numbers = self._first(first, lines, since)
        for term in rest:
            numbers = term.among(numbers, self._texts(term.key, lines, since))
        seams = set(self.ring.seams(since))
        return [number for number in numbers if number not in seams] if seams else numbers

    def _first(self, term: Term, lines: list[KeptLine], since: int) -> list[int]:
        """The lines for which a term holds. One word is looked for here: a call for each of 100,000 lines is slow."""
        if term.key or len(term.needles) > 1:
            return term.among(range(since, since + len(lines)), self._texts(term.key, lines, since))
        needle, inverted = term.needles[0], term.inverted
        if term.folds:
            return [number for number, line in enumerate(lines, since) if (needle in line[0].lower()) != inverted]
        return [number for number, line in enumerate(lines, since) if (needle in line[0]) != inverted]

    def _texts(self, key: str, lines: list[KeptLine], since: int) -> Callable[[int], str]:
        if key == "level":
            return lambda number: self.ring.level(number).word
        place = KeptLine._fields.index("text" if not key else "stage" if key == "stage" else "source")
        return lambda number: lines[number - since][place]  # type: ignore[return-value]

    def _passing(self, since: int, matching: list[int]) -> list[int]:
        ring = self.ring
        if not self.filter or not self.only:
            return ring.graver(self.minimum, since)
        wanted = matching
        if self.minimum > Level.DEBUG:
            grave = set(ring.graver(self.minimum, since))
            wanted = [number for number in matching if number in grave]
        seams = ring.seams(since)
        return sorted([*wanted, *seams]) if seams else list(wanted)

    # ---------------------------------------------------------------- rows on the screen

    def window(self) -> list[ShownRow]:
        """The rows to draw, from the top; fewer than `height` where there are no more lines."""
        if not self.count or self.height < 1:
            return []
        if self.follow:
            return self._rows_up_to_end()
        top, part = self._place()
        rows: list[ShownRow] = []
        for row in self._down(top, part):
            rows.append(row)
            if len(rows) == self.height:
                return rows
        return self._rows_up_to_end()

    def rows_of(self, number: int) -> Sequence[ShownRow]:
        """The rows of one line: one, or as many as it takes to wrap it."""
        text = self.ring[number].text
        if not self.wrap:
            return (ShownRow(number, 0, 0, len(text)),)
        points = wrap_points(text, max(1, self.width))
        return [ShownRow(number, part, *points[part : part + 2]) for part in range(len(points) - 1)]

    def _place(self) -> tuple[int, int]:
        number, part = self._top
        nearest = self._nearest(number)
        if nearest is None or nearest != number:
            return nearest or 0, 0
        return number, min(part, len(self.rows_of(number)) - 1)

    def _down(self, number: int, part: int) -> Iterator[ShownRow]:
        index = self.index_of(number)
        yield from self.rows_of(number)[part:]
        for later in range(index + 1, self.count):
            yield from self.rows_of(self.number_at(later))

    def _up(self, number: int, part: int) -> Iterator[ShownRow]:
        """Rows above a row, the nearest first."""
        index = self.index_of(number)
        yield from reversed(self.rows_of(number)[:part])
        for earlier in range(index - 1, -1, -1):
            yield from reversed(self.rows_of(self.number_at(earlier)))

    def _rows_up_to_end(self) -> list[ShownRow]:
        last = self.number_at(self.count - 1)
        rows = list(reversed(self.rows_of(last)))
        if len(rows) < self.height:
            for row in self._up(last, 0):
                rows.append(row)
                if len(rows) == self.height:
                    break
        return rows[: self.height][::-1]

    # ---------------------------------------------------------------- moving

    def resume(self) -> None:
        """Follow the end again."""
        self.follow, self.cursor, self.new = True, None, 0

    def stop(self) -> None:
        """Stay where we are while lines come."""
        if self.follow:
            rows = self.window()
            self.follow, self.new = False, 0
            self._top = (rows[0].number, rows[0].part) if rows else (self.ring.first, 0)

    def scroll(self, rows: int) -> None:
        """Move the view by rows, up where negative: up stops following, down to the end does not start it."""
        if not self.count or (self.follow and rows >= 0):
            return
        self.stop()
        window = self.window()
        at = window[0]
        steps = self._up(at.number, at.part) if rows < 0 else self._down(at.number, at.part)
        left = -rows if rows < 0 else rows + 1
        for row in steps:
            at = row
            left -= 1
            if left == 0:
                break
        self._top = (at.number, at.part)
        self._top = (self.window()[0].number, self.window()[0].part)

    def to_start(self) -> None:
        """Go to the oldest line."""
        if self.count:
            self.stop()
            self.cursor = self.number_at(0)
            self._top = (self.cursor, 0)

    def move(self, lines: int) -> None:
        """Move the cursor by lines; from no cursor it starts at the edge of the screen it comes from."""
        window = self.window()
        if not window:
            return
        self.stop()
        if self.cursor is None:
            self.cursor = window[-1 if lines < 0 else 0].number
            if lines > 0:
                return
        index = self.index_of(self.cursor) + lines
        self.cursor = self.number_at(max(0, min(index, self.count - 1)))
        self._show_cursor()

    def go_to(self, number: int) -> None:
        """Put the cursor on a shown line, a third below the top."""
        self.stop()
        self.cursor = number
        above = list(zip(range(self.height // 3), self._up(number, 0), strict=False))
        self._top = (above[-1][1].number, above[-1][1].part) if above else (number, 0)

    def _show_cursor(self) -> None:
        if self.cursor is None:
            return
        window = self.window()
        if self.cursor < window[0].number or (self.cursor == window[0].number and window[0].part):
            self._top = (self.cursor, 0)
        elif self.cursor >= window[-1].number:
            bottom = self.rows_of(self.cursor)[-1]
            above = [bottom, *(row for _, row in zip(range(self.height - 1), self._up(*bottom[:2]), strict=False))]
            self._top = (above[-1].number, above[-1].part)

    # ---------------------------------------------------------------- finding

    def next_match(self, *, backwards: bool = False) -> tuple[int, int] | None:
        """Go to the next match, round the end if need be: (its place from 1, how many), or None without any."""
        shown = self._matches
        if self.minimum > Level.DEBUG:
            shown = [number for number in shown if self.ring.level(number) >= self.minimum]
        if not shown:
            return None
        place = self._after(shown, backwards=backwards)
        self.go_to(shown[place])
        return place + 1, len(shown)

    def next_error(self, *, backwards: bool = False) -> bool:
        """Go to the next line of level ERROR, round the end if need be; False where there is none."""
        ring = self.ring
        errors = [number for number in ring.graver(Level.ERROR) if ring.level(number) is Level.ERROR]
        if self._shown is not None:
            shown = set(self._shown)
            errors = [number for number in errors if number in shown]
        if not errors:
            return False
        self.go_to(errors[self._after(errors, backwards=backwards)])
        return True

    def _after(self, numbers: list[int], *, backwards: bool) -> int:
        if self.cursor is None:  # nothing was looked at yet: what is nearest to the end of the screen
            window = self.window()
            here = window[-1].number + 1 if backwards else window[0].number - 1
        else:
            here = self.cursor
        place = bisect_left(numbers, here) - 1 if backwards else bisect_left(numbers, here + 1)
        return place % len(numbers)
