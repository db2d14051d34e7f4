"""The tables of pools with their queues and of dead letters: rows and columns. Pure.

A count is shown only where somebody counted: what is not known is `?`, and how far a count may be believed and how
old it is stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from buildyard.contracts.dead import DeadLetterView
from buildyard.contracts.scaling import Reading
from tui.format import NONE, UNKNOWN, Mark, Tone, age, count, mark, since
from tui.safe_text import plain
from tui.screens.builds_waiting import present_agents
from tui.state import Ref, Store
from tui.state.rows import PoolRow
from tui.widgets.columns import Cell, Column, Layout

NEWEST_FIRST = Layout(sort="dead")
COUNTED = ("ready", "leases", "queueReady", "queueUnacked", "queueTotal")
"""The readings that the scaler decides by."""
_OPEN = Mark("✓", "v", "Open", "good")
_PAUSED = Mark("‖", "=", "Paused", "warning")
_UNSEEN = Mark("?", "?", "Unknown", "bad")
_TRUST = ("Trusted", "Stale", "Unknown")


@dataclass(frozen=True, slots=True)
class PoolLine:
    """A pool as a row shows it at one moment."""

    pool: PoolRow
    silent: float | None
    """Seconds since the scaler last answered; None: never."""
    scaler_answers: bool

    @property
    def state(self) -> Mark:
        """Whether it hands out jobs."""
        if self.pool.view is None:
            return _UNSEEN
        return _PAUSED if self.pool.view.intake.paused else _OPEN

    @property
    def readings(self) -> dict[str, Reading]:
        """Those that the scaler decides by: from its newest answer."""
        return {name: self.pool.readings[name] for name in COUNTED if name in self.pool.readings}

    @property
    def trust(self) -> str:
        """The least trust of all readings; nothing is trusted that was read from a scaler that is silent."""
        told = [self.trust_in(reading) for reading in self.readings.values()]
        return max(told, key=_TRUST.index, default="Unknown")

    def trust_in(self, reading: Reading) -> str:
        """How far one reading may be believed now."""
        word = reading.trust.wire
        if word not in _TRUST:
            return "Unknown"
        return "Stale" if word == "Trusted" and not self.scaler_answers else word

    def age_of(self, reading: Reading) -> float | None:
        """Seconds since that was counted."""
        return None if self.silent is None else reading.age_seconds + self.silent

    @property
    def read_ago(self) -> float | None:
        """The age of the oldest reading; None where there is none."""
        ages = [self.age_of(reading) for reading in self.readings.values()]
        known = [one for one in ages if one is not None]
        return max(known) if known and len(known) == len(ages) else None

    @property
    def unacked(self) -> int | None:
        """Tickets in the hands of workers, as the broker counts them."""
        reading = self.pool.readings.get("queueUnacked")
        return reading.value if reading is not None else self.pool.unacked

    @property
    def oldest(self) -> float | None:
        """Seconds that the oldest ready job waits; None where none does or nobody told."""
        return self.pool.view.oldest_wait_seconds if self.pool.view else None


def pool_line(store: Store, name: str, now: datetime) -> PoolLine:
    """A pool now. KeyError where it has gone."""
    scaler = store.sources.get("scaler")
    last = scaler.last_ok if scaler else None
    return PoolLine(
        store.pools[name],
        max(0.0, (now - last).total_seconds()) if last else None,
        scaler is not None and scaler.connection == "connected",
    )


class PoolLines:
    """Rows for a table, by pool name."""

    def __init__(self, store: Callable[[], Store], now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def keys(self) -> Sequence[str]:
        """All pools by name."""
        return sorted(self._store().pools)

    def row(self, key: str) -> PoolLine:
        """A pool now. KeyError where it has gone."""
        return pool_line(self._store(), key, self._now())

    def version(self, key: str) -> object:
        """What differs once the row says something else. KeyError where the pool has gone."""
        line = self.row(key)
        return self._store().version(Ref("pool", key)), age(line.read_ago), line.scaler_answers


def pool_columns(*, utf8: bool = True) -> tuple[Column[PoolLine], ...]:
    """The columns of pools."""
    return (
        Column("state", "state", lambda line: _marked(line.state, utf8=utf8), 9, priority=9),
        Column("pool", "pool", lambda line: Cell(plain(line.pool.name)), 10, priority=9),
        Column(
            "ready", "ready", lambda line: _count(line.pool.ready, "waiting"), 7, right=True, priority=8, sort=_ready
        ),
        Column(
            "unacked",
            "unacked",
            lambda line: _count(line.unacked, "active"),
            7,
            right=True,
            priority=8,
            sort=lambda line: line.unacked,
        ),
        Column("oldest", "oldest", _oldest, 6, right=True, priority=7, sort=lambda line: line.oldest),
        Column("trust", "trust", lambda line: _marked(mark(line.trust, "trust"), utf8=utf8), 9, priority=6),
        Column("read", "read", lambda line: Cell(age(line.read_ago)), 5, right=True, priority=5),
        Column("agents", "busy/agents", _agents, 11, right=True, priority=4),
        Column("wanted", "wanted", _wanted, 6, right=True, priority=3),
        Column("dead", "dead", lambda line: _count(line.pool.dead, "bad"), 5, right=True, priority=7, sort=_dead),
        Column("reason", "the scaler's reason", _decided, 20, grow=True, priority=2),
    )


def _marked(shown: Mark, *, utf8: bool) -> Cell:
    return Cell(f"{shown.sign(utf8=utf8)} {shown.word}", shown.tone)


def _count(number: int | None, tone: Tone) -> Cell:
    if number is None:
        return Cell(UNKNOWN, "bad")
    return Cell(count(number), tone if number else "muted")


def _ready(line: PoolLine) -> int | None:
    return line.pool.ready


def _dead(line: PoolLine) -> int | None:
    return line.pool.dead


def _oldest(line: PoolLine) -> Cell:
    if line.pool.view is None:
        return Cell(UNKNOWN, "bad")
    return Cell(NONE, "muted") if line.oldest is None else Cell(age(line.oldest), "waiting")


def _agents(line: PoolLine) -> Cell:
    agents = present_agents(line.pool)
    if agents is None:
        return Cell(UNKNOWN, "bad")
    return Cell(f"{count(agents['busy'])}/{count(sum(agents.values()))}", "active" if agents["busy"] else "plain")


def _wanted(line: PoolLine) -> Cell:
    decision = line.pool.decision
    return Cell(NONE, "muted") if decision is None else _count(decision.wanted, "plain")


def _decided(line: PoolLine) -> Cell:
    decision = line.pool.decision
    if decision is None:
        return Cell("The scaler has told of no decision.", "muted")
    tone = mark(decision.code, "decision").tone
    return Cell(plain(decision.reason), tone if tone in {"bad", "warning"} else "plain")


# ---------------------------------------------------------------- dead letters


@dataclass(frozen=True, slots=True)
class DeadLine:
    """A dead letter as a row shows it at one moment."""

    letter: DeadLetterView
    now: datetime


class DeadLines:
    """Rows for a table, by build id; with `pool`, those of one pool."""

    def __init__(
        self, store: Callable[[], Store], now: Callable[[], datetime], pool: Callable[[], str] | None = None
    ) -> None:
        self._store = store
        self._now = now
        self._pool = pool

    def keys(self) -> Sequence[str]:
        """All dead letters, the newest first."""
        pool = self._pool() if self._pool else ""
        dead = self._store().dead.items()
        return [key for key, letter in dead if not self._pool or letter.target_pool.lower() == pool]

    def row(self, key: str) -> DeadLine:
        """A dead letter now. KeyError where it has gone."""
        return DeadLine(self._store().dead[key], self._now())

    def version(self, key: str) -> object:
        """What differs once the row says something else. KeyError where it has gone."""
        store = self._store()
        return store.version(Ref("dead", key)), since(store.dead[key].dead_at, self._now())


def dead_columns(*, utf8: bool = True) -> tuple[Column[DeadLine], ...]:
    """The columns of dead letters."""
    return (
        Column("state", "state", lambda line: _marked(mark(line.letter.status), utf8=utf8), 12, priority=9),
        Column("project", "project", lambda line: Cell(plain(line.letter.project_name)), 12, priority=8),
        Column("pool", "pool", lambda line: Cell(plain(line.letter.target_pool)), 10, priority=4),
        Column(
            "attempts", "tries", lambda line: Cell(count(line.letter.attempts)), 5, right=True, priority=7, sort=_tries
        ),
        Column(
            "dead",
            "dead",
            lambda line: Cell(since(line.letter.dead_at, line.now)),
            6,
            right=True,
            priority=6,
            sort=lambda line: -line.letter.dead_at.timestamp(),
        ),
        Column("code", "code", lambda line: Cell(plain(line.letter.reason_code or NONE)), 14, priority=3),
        Column("reason", "reason", lambda line: Cell(plain(line.letter.reason), "bad"), 20, grow=True, priority=5),
    )


def _tries(line: DeadLine) -> int:
    return line.letter.attempts
