"""The rows and columns of the list of decisions. Pure, and without a screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui import format as shown
from tui.format import Tone
from tui.state import Ref, Store
from tui.state.rows import DecisionRow
from tui.widgets.columns import Cell, Column


class DecisionRows:
    """The decisions about one pool, newest first; `refresh` after the store or a choice has changed.

    `changes_only` leaves out decisions that repeat the one before of the pool: the same reason code, and nothing
    started, drained or failed. `hide_idle` leaves out those that did nothing.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self.pool = ""
        self.changes_only = True
        self.hide_idle = False
        self.total = 0
        """Decisions about the pool that are known, shown or not."""
        self._shown: dict[str, None] = {}

    def refresh(self) -> tuple[set[str], set[str]]:
        """Choose anew; gives the keys that came and those that went."""
        own = [row for row in self._store().decisions.values() if row.pool == self.pool]
        kept = {
            str(row.number): None
            for before, row in zip([None, *own], own, strict=False)
            if not (self.changes_only and repeats(before, row)) and not (self.hide_idle and not row.acts)
        }
        came, gone = kept.keys() - self._shown.keys(), self._shown.keys() - kept.keys()
        self._shown, self.total = kept, len(own)
        return came, gone

    def keys(self) -> Sequence[str]:
        """Numbers, oldest first: the table turns them round."""
        return [*self._shown]

    def row(self, key: str) -> DecisionRow:
        """One decision; KeyError where it has gone."""
        return self._store().decisions[int(key)]

    def version(self, key: str) -> object:
        """A decision does not change, but a scaler that lost its record numbers anew."""
        self.row(key)
        return self._store().version(Ref("decision", key))


def repeats(before: DecisionRow | None, row: DecisionRow) -> bool:
    """Whether a decision says the same as the one before, and did nothing."""
    return before is not None and before.code == row.code and not row.acts


def pools_of(store: Store) -> tuple[str, ...]:
    """Pools that the scaler has decided about, by name."""
    return tuple(sorted(name for name, row in store.pools.items() if row.decision is not None))


def neediest_pool(store: Store) -> str:
    """The pool with the most ready jobs, of those that were decided about; "" where there is none."""
    return max(pools_of(store), key=lambda name: store.pools[name].ready or 0, default="")


def decision_columns(*, utf8: bool = True) -> list[Column[DecisionRow]]:
    """The columns; the narrower the screen, the fewer of them are placed."""

    def code(row: DecisionRow) -> Cell:
        one = shown.mark(row.code, "decision")
        tone: Tone = "bad" if row.failures else one.tone
        return Cell(f"{one.sign(utf8=utf8)} {one.word.replace('_', ' ')}", tone)

    return [
        Column("at", "at", lambda row: Cell(shown.clock(row.at)), 8, priority=9, sort=lambda row: row.number),
        Column("code", "decision", code, 17, priority=8),
        Column("ready", "ready", lambda row: _count(row.ready), 6, right=True, priority=7, sort=lambda row: row.ready),
        Column(
            "unacked", "unack", lambda row: _count(row.unacked), 6, right=True, priority=4, sort=lambda row: row.unacked
        ),
        Column("workers", "workers", _workers, 9, right=True, priority=7, sort=lambda row: row.workers),
        Column("busy", "busy", lambda row: _count(row.busy), 5, right=True, priority=3, sort=lambda row: row.busy),
        Column("waited", "oldest", _waited, 7, right=True, priority=3, sort=lambda row: row.oldest_wait),
        Column("reason", "reason", _reason, 24, grow=True, priority=6),
        Column("woken", "woken by", lambda row: Cell(row.woken_by, "muted"), 8, priority=1),
        Column("number", "number", lambda row: Cell(str(row.number), "muted"), 7, right=True, priority=1),
    ]


def _count(number: int | None) -> Cell:
    return Cell(shown.short_count(number), "warning" if number is None else "plain")


def _workers(row: DecisionRow) -> Cell:
    before, after = shown.short_count(row.workers), shown.short_count(row.wanted)
    changes = bool(row.start or row.drain)
    return Cell(f"{before}→{after}" if changes else before, "active" if changes else _count(row.workers).tone)


def _waited(row: DecisionRow) -> Cell:
    return Cell(shown.NONE if row.oldest_wait is None else shown.age(row.oldest_wait), "muted")


def _reason(row: DecisionRow) -> Cell:
    failed = f" {len(row.failures)} did not work: {row.failures[0]}" if row.failures else ""
    return Cell(f"{row.reason}{failed}", "bad" if failed else "plain")
