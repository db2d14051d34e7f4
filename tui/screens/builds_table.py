"""The table of builds: its rows, read from the store when they are drawn, and its columns. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tui.format import NONE, Mark, Tone, duration, mark, since, stage_bar
from tui.safe_text import plain
from tui.screens.builds_waiting import why_it_waits
from tui.state import Ref, Store
from tui.state.rows import BuildRow, rank_of
from tui.widgets.columns import Cell, Column, Layout

NEWEST_FIRST = Layout(sort="age")
_PRIORITIES = ("low", "normal", "high", "critical")
_PRIORITY_TONES: dict[str, Tone] = {"low": "muted", "high": "warning", "critical": "bad"}
_UNDER_WAY = {"Running", "Cancelling"}


@dataclass(frozen=True, slots=True)
class BuildLine:
    """A build as a row shows it at one moment."""

    build: BuildRow
    now: datetime
    waits: str
    """Why it waits; "" while it does not."""

    @property
    def seconds(self) -> float | None:
        """For how long it has been worked on; None before that."""
        return seconds_of(self.build, self.now)


def seconds_of(build: BuildRow, now: datetime) -> float | None:
    """How long a build took, or takes so far; None before it began."""
    if build.status in _UNDER_WAY and build.started_at:
        return (now - build.started_at).total_seconds()
    if build.duration is None and build.started_at and build.ended_at:
        return (build.ended_at - build.started_at).total_seconds()
    return build.duration


class BuildLines:
    """Rows for a table, by build id. A row changes with its build, with its pool while it waits, and with time.

    Args:
        store: gives the store as it is now: a source that moves in time begins a new one.
        now: the source's time.
    """

    def __init__(self, store: Callable[[], Store], now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def keys(self) -> Sequence[str]:
        """All builds."""
        return tuple(self._store().builds)

    def row(self, key: str) -> BuildLine:
        """A build now. KeyError where it has gone."""
        store = self._store()
        build = store.builds[key]
        return BuildLine(build, self._now(), why_it_waits(store, build))

    def version(self, key: str) -> object:
        """What differs once the row says something else. KeyError where the build has gone."""
        store, now = self._store(), self._now()
        build = store.builds[key]
        aged = (store.version(Ref("build", key)), since(build.created_at, now))
        if build.ended:
            return aged
        pool = store.version(Ref("pool", build.pool))
        return (*aged, pool, duration(seconds_of(build, now)), len(store.jobs_of(key)))


def columns(*, utf8: bool = True) -> tuple[Column[BuildLine], ...]:
    """The columns of builds; where room is short reason, agent and the like go before state, project and age."""
    return (
        Column(
            "state",
            "state",
            lambda line: _marked(mark(line.build.status), utf8=utf8),
            12,
            priority=9,
            sort=lambda line: (rank_of(line.build.status), line.build.status),
        ),
        Column("project", "project", lambda line: Cell(_known(line.build.project)), 12, priority=8),
        Column("priority", "priority", _priority, 8, priority=3, sort=_priority_rank),
        Column("stage", "stage", lambda line: stage_cell(line.build, utf8=utf8), 15, priority=6),
        Column("age", "age", _age, 6, right=True, priority=7, sort=_youth),
        Column("duration", "took", _took, 6, right=True, priority=5, sort=lambda line: line.seconds),
        Column("agent", "agent", lambda line: Cell(_known(line.build.agent, NONE)), 12, priority=2),
        Column("pool", "pool", lambda line: Cell(_known(line.build.pool)), 8, priority=1),
        Column("id", "id", lambda line: Cell(line.build.id, "muted", ((line.build.id[-8:], "muted"),)), 8, priority=0),
        Column("reason", "reason or wait", _reason, 20, grow=True, priority=4),
    )


def stage_cell(build: BuildRow, *, utf8: bool = True) -> Cell:
    """The stages as signs, and the name of the one that runs or went wrong; for a batch, its rows."""
    signs = stage_bar((stage.status for stage in build.stages), utf8=utf8)
    told = next((s for s in build.stages if mark(s.status, "part").tone in {"bad", "warning", "active"}), None)
    word = plain(told.name) if told else ""
    if build.rows is not None and build.rows.total:
        word = f"{build.rows.succeeded + build.rows.failed}/{build.rows.total} rows"
        signs = ()
    tone: Tone = mark(told.status, "part").tone if told else "plain"
    parts = (*signs, (f" {word}" if signs and word else word, tone)) if word else signs
    text = "".join(part for part, _ in parts)
    return Cell(text, parts=parts) if text else Cell(NONE, "muted")


def _marked(shown: Mark, *, utf8: bool) -> Cell:
    return Cell(f"{shown.sign(utf8=utf8)} {shown.word}", shown.tone)


def _known(text: str, missing: str = "?") -> str:
    return plain(text) if text else missing


def _priority(line: BuildLine) -> Cell:
    word = line.build.priority
    return Cell(_known(word), _PRIORITY_TONES.get(word.lower(), "plain"))


def _priority_rank(line: BuildLine) -> int | None:
    word = line.build.priority.lower()
    return _PRIORITIES.index(word) if word in _PRIORITIES else None


def _age(line: BuildLine) -> Cell:
    return Cell(since(line.build.created_at, line.now))


def _youth(line: BuildLine) -> float | None:
    """Sorts by age without a clock: the order of two builds never changes."""
    created = line.build.created_at
    return None if created is None else -created.timestamp()


def _took(line: BuildLine) -> Cell:
    seconds = line.seconds
    return Cell(NONE, "muted") if seconds is None else Cell(duration(seconds), "plain")


def _reason(line: BuildLine) -> Cell:
    if line.waits:
        return Cell(line.waits, "waiting")
    tone = mark(line.build.status).tone
    return Cell(plain(line.build.reason), tone if tone == "bad" else "plain")
