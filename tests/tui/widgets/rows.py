"""Rows to fill tables with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tui.format import mark, stage_bar
from tui.widgets.columns import Cell, Column

STATES = ("Running", "Queued", "Succeeded", "Failed", "Cancelled")
STAGES = ("Succeeded", "Succeeded", "Running", "Pending")


@dataclass(frozen=True)
class BuildRow:
    key: str
    state: str
    branch: str
    wait: float | None
    stages: tuple[str, ...] = STAGES


class BuildRows:
    """Rows in a dictionary, each with a version that grows."""

    def __init__(self, rows: Sequence[BuildRow] = ()) -> None:
        self.by_key = {row.key: row for row in rows}
        self.versions = dict.fromkeys(self.by_key, 0)
        self.asked = 0

    def keys(self) -> Sequence[str]:
        return list(self.by_key)

    def row(self, key: str) -> BuildRow:
        self.asked += 1
        return self.by_key[key]

    def version(self, key: str) -> int:
        return self.versions[key]

    def put(self, row: BuildRow) -> str:
        self.by_key[row.key] = row
        self.versions[row.key] = self.versions.get(row.key, -1) + 1
        return row.key

    def change(self, key: str, **values: object) -> str:
        return self.put(replace(self.by_key[key], **values))  # type: ignore[arg-type]

    def drop(self, key: str) -> str:
        del self.by_key[key], self.versions[key]
        return key


def some_builds(count: int) -> BuildRows:
    return BuildRows(
        [
            BuildRow(f"b-{n:06}", STATES[n % len(STATES)], f"feature/change-{n % 97}", float(n % 240) or None)
            for n in range(count)
        ]
    )


def state_cell(row: BuildRow) -> Cell:
    shown = mark(row.state)
    return Cell(f"{shown.glyph} {shown.word}", shown.tone)


def stage_cell(row: BuildRow) -> Cell:
    bar = stage_bar(row.stages)
    return Cell("".join(sign for sign, _ in bar), parts=bar)


def build_columns() -> list[Column[BuildRow]]:
    return [
        Column("state", "state", state_cell, 11, priority=9),
        Column("build", "build", lambda row: Cell(row.key), 9, priority=8),
        Column("branch", "branch", lambda row: Cell(row.branch), 12, grow=True, priority=5),
        Column("stages", "stages", stage_cell, 7, priority=6),
        Column(
            "wait",
            "wait",
            lambda row: Cell("?" if row.wait is None else f"{row.wait:.0f}s", "waiting"),
            6,
            right=True,
            sort=lambda row: row.wait,
            priority=3,
        ),
    ]
