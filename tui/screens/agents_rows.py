"""The rows and columns of the table of agents. Pure, and without a screen."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tui import format as shown
from tui.format import Tone
from tui.state import Ref, Store
from tui.state.rows import AgentRow, BuildRow
from tui.widgets.columns import Cell, Column

LATE_SECONDS, VERY_LATE_SECONDS = 10, 30
"""An agent that was not heard of for so long is marked; whether it is lost is for the producer to say."""
LITTLE = 0.1
"""A share of memory or disk below which what is left is marked."""
_RANK = {"Unresponsive": 0, "Lost": 1, "Pending": 2, "Draining": 3, "Busy": 4, "Idle": 5, "Exited": 6, "Left": 7}
_NUMBERED = re.compile(r"(.+)-(\d{1,9})-(\d{1,9})")


@dataclass(frozen=True, slots=True)
class AgentLine:
    """One agent as the table shows it, with the build it works on."""

    agent: AgentRow
    build: BuildRow | None
    now: datetime

    @property
    def heard(self) -> float | None:
        """Seconds since the producer last heard of it; None where it never did."""
        return None if self.agent.view is None else (self.now - self.agent.view.seen_at).total_seconds()

    @property
    def age(self) -> float | None:
        """Seconds since its process was started, or since it joined where the scaler does not know it."""
        if self.agent.worker is not None and self.agent.worker.age_seconds:
            return self.agent.worker.age_seconds
        return None if self.agent.view is None else (self.now - self.agent.view.joined_at).total_seconds()

    @property
    def works_for(self) -> float | None:
        """Seconds since its build was started; None where it has none, or that is not known."""
        started = self.build.started_at if self.build else None
        return None if started is None else (self.now - started).total_seconds()


class AgentRows:
    """All agents of a store, those in trouble first."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def keys(self) -> Sequence[str]:
        """Names, in the order of state, pool and number."""
        return sorted(self._store.agents, key=lambda name: natural_order(self._store.agents[name]))

    def row(self, key: str) -> AgentLine:
        """One agent; KeyError where it has gone."""
        agent = self._store.agents[key]
        return AgentLine(agent, self._store.builds.get(agent.build_id), self._now())

    def version(self, key: str) -> object:
        """Changes with the agent, with its build, and with the ages that are shown of it."""
        line = self.row(key)
        heard = None if line.heard is None else int(line.heard)
        return (
            self._store.version(Ref("agent", key)),
            self._store.version(Ref("build", line.agent.build_id)),
            heard,
            shown.age(line.works_for),
        )


def natural_order(agent: AgentRow) -> tuple[object, ...]:
    """State, those in trouble first; then pool, slot and generation as numbers."""
    match = _NUMBERED.fullmatch(agent.name)
    numbers = (match[1], int(match[2]), int(match[3])) if match else (agent.name, 0, 0)
    return (_RANK.get(agent.state, 0), agent.pool, *numbers)


def agent_columns(*, utf8: bool = True) -> list[Column[AgentLine]]:
    """The columns; the narrower the screen, the fewer of them are placed."""

    def state(line: AgentLine) -> Cell:
        one = shown.mark(line.agent.state or "Unknown", "agent")
        return Cell(f"{one.sign(utf8=utf8)} {one.word}", one.tone)

    return [
        Column("state", "state", state, 14, priority=9, sort=lambda line: natural_order(line.agent)),
        Column("agent", "agent", lambda line: Cell(line.agent.name), 16, priority=9),
        Column("pool", "pool", lambda line: Cell(line.agent.pool, "muted"), 9, priority=3),
        Column("job", "works on", _job, 22, grow=True, priority=8),
        Column("done", "done", lambda line: _worked(line, failed=False), 6, right=True, priority=7, sort=_done),
        Column("failed", "failed", lambda line: _worked(line, failed=True), 6, right=True, priority=5, sort=_failed),
        _timed("for", "for", lambda line: line.works_for, _elapsed, priority=7),
        _timed("heard", "heard", lambda line: line.heard, _heard, priority=6),
        Column("load", "load", _load, 5, right=True, priority=4, sort=_load_value),
        Column("memory", "mem free", _memory, 8, right=True, priority=4, sort=lambda line: memory(line.agent)[0]),
        Column("disk", "disk free", _disk, 9, right=True, priority=5, sort=lambda line: disk(line.agent)[0]),
        _timed("age", "age", lambda line: line.age, lambda seconds: Cell(shown.age(seconds), "muted"), priority=2),
        Column("host", "host", lambda line: Cell(line.agent.view.hostname if line.agent.view else ""), 12, priority=2),
        Column("version", "version", _version, 9, priority=1),
        Column("why", "why", _why, 14, grow=True, priority=1),
    ]


def _why(line: AgentLine) -> Cell:
    worker = line.agent.worker
    if line.agent.detail or worker is None:
        return Cell(line.agent.detail, "muted")
    return Cell(worker.pending_reason, "warning")


def _timed(
    name: str, title: str, value: Callable[[AgentLine], float | None], cell: Callable[[float], Cell], priority: int
) -> Column[AgentLine]:
    def show(line: AgentLine) -> Cell:
        seconds = value(line)
        return Cell(shown.NONE, "muted") if seconds is None else cell(seconds)

    return Column(name, title, show, 7, right=True, priority=priority, sort=value)


def _job(line: AgentLine) -> Cell:
    if not line.agent.build_id:
        return Cell(shown.NONE, "muted")
    named = shown.short_id(line.agent.build_id)
    if line.build is None or not line.build.project:
        return Cell(named)
    stage = f" {line.build.stage}" if line.build.stage else ""
    text = f"{line.build.project} {named}{stage}"
    return Cell(text, parts=((f"{line.build.project} ", "plain"), (named, "muted"), (stage, "active")))


def _done(line: AgentLine) -> int | None:
    return line.agent.view.jobs_done if line.agent.view else None


def _failed(line: AgentLine) -> int | None:
    return line.agent.view.jobs_failed if line.agent.view else None


def _worked(line: AgentLine, *, failed: bool) -> Cell:
    """How many jobs it has worked off within the last day."""
    count = _failed(line) if failed else _done(line)
    if line.agent.view is None:
        return Cell(shown.NONE, "muted")
    return Cell(shown.count(count), "bad" if failed and count else "plain")


def _elapsed(seconds: float) -> Cell:
    return Cell(shown.age(seconds))


def _heard(seconds: float) -> Cell:
    return Cell(shown.age(seconds), heard_tone(seconds))


def heard_tone(seconds: float) -> Tone:
    """How an agent is shown that was last heard of so many seconds ago."""
    return "bad" if seconds > VERY_LATE_SECONDS else "warning" if seconds > LATE_SECONDS else "muted"


def _load_value(line: AgentLine) -> float | None:
    return line.agent.view.health.load_1m if line.agent.view else None


def _load(line: AgentLine) -> Cell:
    return Cell(load_text(_load_value(line)), load_tone(line.agent))


def load_text(load: float | None) -> str:
    """A load average as people write it."""
    return shown.UNKNOWN if load is None else f"{load:.1f}"


def load_tone(agent: AgentRow) -> Tone:
    """Marked where more waits than there are cores."""
    if agent.view is None or agent.view.health.load_1m is None or agent.view.capabilities.cores <= 0:
        return "plain"
    return "warning" if agent.view.health.load_1m > agent.view.capabilities.cores else "plain"


def memory(agent: AgentRow) -> tuple[int | None, int]:
    """Bytes of memory (free, in all); None where the platform does not tell, 0 in all where nothing was declared."""
    if agent.view is None:
        return None, 0
    return agent.view.health.memory_free_bytes, agent.view.capabilities.memory_bytes


def disk(agent: AgentRow) -> tuple[int | None, int]:
    """Bytes of disk, likewise."""
    if agent.view is None:
        return None, 0
    return agent.view.health.disk_free_bytes, agent.view.capabilities.disk_bytes


def room_tone(free: int | None, whole: int) -> Tone:
    """Marked where little is left."""
    return "warning" if free is not None and whole > 0 and free < whole * LITTLE else "plain"


def _memory(line: AgentLine) -> Cell:
    return Cell(shown.size(memory(line.agent)[0]), room_tone(*memory(line.agent)))


def _disk(line: AgentLine) -> Cell:
    return Cell(shown.size(disk(line.agent)[0]), room_tone(*disk(line.agent)))


def _version(line: AgentLine) -> Cell:
    return Cell(line.agent.view.version if line.agent.view else "", "muted")


def started_at(line: AgentLine) -> datetime | None:
    """When its process was started, as far as that is known."""
    return None if line.age is None else line.now - timedelta(seconds=line.age)
