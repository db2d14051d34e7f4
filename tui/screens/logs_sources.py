"""Which logs there are to choose from, as the rows of a tree: pools with their slots, and builds that run. Pure.

A worker that ends is followed by another one of the same slot (`linux-7-1`, then `linux-7-2`), and a slot is what is
chosen: so a choice outlives every worker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from tui import format as shown
from tui.state import Ref, Store
from tui.state.events import log_of_agent, log_of_build
from tui.state.rows import AgentRow, BuildRow
from tui.widgets.columns import Cell, Column

MOST_FOLLOWED = 50
"""Logs that are followed at once: each is a connection of its own."""
RUNNING = "running builds"
_NUMBERED = re.compile(r"(.+)-(\d{1,9})-(\d{1,9})")


def slot_of(agent: str) -> str:
    """The slot that an agent has: its name without the generation; a name of another shape is its own slot."""
    match = _NUMBERED.fullmatch(agent)
    return f"{match[1]}-{match[2]}" if match else agent


def generation_of(agent: str) -> int:
    """How many workers of its slot there were before it, and it; 0 for a name of another shape."""
    match = _NUMBERED.fullmatch(agent)
    return int(match[3]) if match else 0


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of the tree."""

    key: str
    """`pool/NAME`, `slot/NAME`, `build/ID`, or `group/...`."""
    order: tuple[object, ...]
    title: str
    depth: int
    state: str
    agent: AgentRow | None = None
    build: BuildRow | None = None
    below: tuple[str, ...] = ()
    """The keys of the lines under it."""

    @property
    def stream(self) -> str:
        """The log that it stands for; "" for a line with others under it."""
        if self.build is not None:
            return log_of_build(self.build.id)
        return log_of_agent(self.agent.name) if self.agent is not None else ""

    @property
    def label(self) -> str:
        """What stands before each line of its log."""
        return self.title if self.build is not None else self.agent.name if self.agent is not None else self.title


class SourceRows:
    """The lines of the tree, read from a store; `refresh` after the store has changed."""

    def __init__(self, store: Callable[[], Store], chosen: Collection[str]) -> None:
        self._store = store
        self._chosen = chosen
        self._lines: dict[str, SourceLine] = {}

    def refresh(self) -> bool:
        """Read anew; whether lines came or went."""
        before = self._lines.keys()
        lines = {line.key: line for line in source_lines(self._store(), self._chosen)}
        same = before == lines.keys()
        self._lines = lines
        return not same

    def keys(self) -> Sequence[str]:
        """From top to bottom."""
        return [*self._lines]

    def row(self, key: str) -> tuple[SourceLine, str]:
        """A line, and how much of it is chosen: `all`, `some` or `none`."""
        line = self._lines[key]
        return line, self._part(line)

    def version(self, key: str) -> object:
        """Changes with the line and its mark."""
        return self.row(key)

    def get(self, key: str) -> SourceLine | None:
        """A line, or None."""
        return self._lines.get(key)

    def _part(self, line: SourceLine) -> str:
        if not line.below:
            return "all" if line.key in self._chosen else "none"
        marked = sum(key in self._chosen for key in line.below)
        return "all" if marked == len(line.below) else "some" if marked else "none"


def source_lines(store: Store, chosen: Collection[str] = ()) -> list[SourceLine]:
    """The tree: pools with the newest worker of each slot, present ones and chosen ones; then builds that run."""
    newest: dict[str, AgentRow] = {}
    for agent in store.agents.values():
        slot = f"slot/{slot_of(agent.name)}"
        known = newest.get(slot)
        if known is None or generation_of(agent.name) > generation_of(known.name):
            newest[slot] = agent
    pools: dict[str, list[SourceLine]] = {name: [] for name in store.pools}
    for slot, agent in newest.items():
        if agent.present or slot in chosen:
            match = _NUMBERED.fullmatch(agent.name)
            order = (0, agent.pool, 1, int(match[2]) if match else 0, agent.name)
            line = SourceLine(slot, order, agent.name, 1, agent.state, agent=agent)
            pools.setdefault(agent.pool, []).append(line)
    lines = [one for name, below in pools.items() for one in (_pool(name, below), *below)]
    running = [_build(row) for row in store.builds.values() if row.status == "Running" or f"build/{row.id}" in chosen]
    if running:
        lines += [_group(RUNNING, running), *running]
    return sorted(lines, key=lambda line: line.order)


def _pool(name: str, below: Iterable[SourceLine]) -> SourceLine:
    keys = tuple(line.key for line in below)
    return SourceLine(f"pool/{name}", (0, name, 0, 0, ""), f"{name} ({len(keys)})", 0, "", below=keys)


def _group(title: str, below: Sequence[SourceLine]) -> SourceLine:
    keys = tuple(line.key for line in below)
    return SourceLine(f"group/{title}", (1, "", 0, 0, ""), f"{title} ({len(keys)})", 0, "", below=keys)


def _build(row: BuildRow) -> SourceLine:
    title = f"{row.project} {shown.short_id(row.id)}".strip()
    return SourceLine(f"build/{row.id}", (1, "", 1, 0, row.id), title, 1, row.status, build=row)


def ref_of(line: SourceLine) -> Ref | None:
    """The thing that a line stands for."""
    if line.agent is not None:
        return Ref("agent", line.agent.name)
    if line.build is not None:
        return Ref("build", line.build.id)
    kind, _, name = line.key.partition("/")
    return Ref("pool", name) if kind == "pool" else None


def source_columns(*, utf8: bool = True) -> list[Column[tuple[SourceLine, str]]]:
    """Mark and name, and the state where there is room."""

    def title(row: tuple[SourceLine, str]) -> Cell:
        line, part = row
        box = {"all": "[x]", "some": "[-]", "none": "[ ]"}[part]
        return Cell(f"{'  ' * line.depth}{box} {line.title}", "plain" if line.depth else "active")

    def state(row: tuple[SourceLine, str]) -> Cell:
        line = row[0]
        if not line.state:
            return Cell("")
        one = shown.mark(line.state, "build" if line.build else "agent")
        return Cell(f"{one.sign(utf8=utf8)} {one.word}", one.tone)

    return [
        Column("source", "source", title, 20, grow=True, priority=9, sort=lambda row: row[0].order),
        Column("state", "state", state, 11, priority=5),
    ]


def followed(rows: Iterable[SourceLine], chosen: Collection[str]) -> tuple[tuple[SourceLine, ...], int]:
    """The lines whose logs are followed, those that work first, and how many chosen ones there is no room for."""
    wanted = [line for line in rows if line.stream and line.key in chosen]
    wanted.sort(key=lambda line: (line.state not in {"Busy", "Running", "Draining"}, line.order))
    return tuple(wanted[:MOST_FOLLOWED]), max(0, len(wanted) - MOST_FOLLOWED)
