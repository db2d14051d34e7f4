"""Queues as rows of cells: counts and rates as words, and what they held lately as a small chart of two rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from tui import format as shown
from tui.format import Tone
from tui.safe_text import plain
from tui.widgets.chart_cells import GAP, UNKNOWN, bar, scale_top
from tui.widgets.text_cells import fit

NAME_CELLS = 14
LEAST_HISTORY = 8
"""Cells of history below which none is drawn."""


@dataclass(frozen=True)
class QueueLine:
    """One queue as it is shown; None is a count that is not known, and is shown as `?`, never as 0."""

    name: str
    ready: int | None
    unacked: int | None
    in_rate: float | None = None
    out_rate: float | None = None
    oldest: float | None = 0.0
    """Seconds that the oldest message waits; 0 where none does."""
    consumers: int | None = None
    state: str = ""
    """What is wrong or unusual, as a word: `paused`, `stale 42s`; empty where nothing is."""
    tone: Tone = "plain"
    history: Sequence[tuple[int | None, int | None] | None] = ()
    """(ready, unacknowledged) by time, the newest last; None where nothing was read."""


def worst_first(queues: Iterable[QueueLine]) -> list[QueueLine]:
    """Unknown counts first, then by the oldest wait, then by what is ready; names decide between equals."""

    def grade(queue: QueueLine) -> tuple[bool, float, int, str]:
        unknown = queue.ready is None or queue.unacked is None
        return not unknown, -(queue.oldest or 0.0), -(queue.ready or 0), queue.name

    return sorted(queues, key=grade)


def queue_rows(queue: QueueLine, width: int, *, tall: bool = True, utf8: bool = True) -> list[list[tuple[str, Tone]]]:
    """One queue as one row, or (`tall`) two: words to the left, history to the right, ready over unacknowledged."""
    words = _words(queue, width)
    below: list[tuple[str, Tone]] = [
        ("  " + fit(plain(queue.state), NAME_CELLS - 2) if queue.state else "", queue.tone)
    ]
    used = sum(cell_len(text) for text, _ in words)
    room = width - used - 3
    if not tall:
        state: list[tuple[str, Tone]] = [(f" {plain(queue.state)}", queue.tone)] if queue.state else []
        return [[*words, *state]]
    if room < LEAST_HISTORY:
        return [words, below]
    ready = history([None if one is None else (one[0],) for one in queue.history], room, utf8=utf8)
    unacked = history([None if one is None else (one[1],) for one in queue.history], room, utf8=utf8)
    pad = " " * (used - sum(cell_len(text) for text, _ in below))
    return [
        [*words, (" r ", "muted"), (ready, "waiting")],
        [*below, (pad, "plain"), (" u ", "muted"), (unacked, "active")],
    ]


def history(values: Sequence[tuple[int | None] | None], cells: int, *, utf8: bool = True) -> str:
    """The newest values as bars of one row, the newest at the right; gaps and unknown counts are told apart from 0."""
    newest = values[-cells:]
    top = scale_top([one[0] for one in newest if one is not None])
    drawn = [
        (GAP if utf8 else ".")
        if one is None
        else UNKNOWN
        if one[0] is None
        else bar(one[0], top, 1, ascii_only=not utf8)
        for one in newest
    ]
    return "".join(drawn).rjust(cells)


def _words(queue: QueueLine, width: int) -> list[tuple[str, Tone]]:
    """What is said of a queue; what does not fit whole is left out, the last first."""
    waiting: Tone = "waiting" if queue.ready else "muted"
    words: list[tuple[str, Tone]] = [
        (f"{fit(plain(queue.name), NAME_CELLS)} ", queue.tone),
        (f"{shown.short_count(queue.ready):>5} ready", "bad" if queue.ready is None else waiting),
        (f" {shown.short_count(queue.unacked):>5} unacked", "bad" if queue.unacked is None else "active"),
        (f" oldest {shown.age(queue.oldest):>5}", "plain"),
        (f" {shown.rate(queue.in_rate):>6} in {shown.rate(queue.out_rate):>6} out", "plain"),
        (f" {shown.short_count(queue.consumers):>3} workers", "plain"),
    ]
    while len(words) > 1 and sum(cell_len(text) for text, _ in words) > width:
        words.pop()
    return words
