"""The stages and attempts of one build as a tree, and which lines of its log belong to each of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from buildyard.contracts.api import AttemptView
from tui.format import duration, mark, short_id
from tui.safe_text import plain
from tui.state import Store
from tui.state.events import LogLine
from tui.state.rows import BuildRow, JobRow, Stage
from tui.widgets.columns import Cell, Column
from tui.widgets.stage_bar import StageMark

WHOLE = "whole"
"""The key of the root: the whole build with its whole log."""
_MOST_JOBS = 200
_SEVERAL = 2
"""Of one job or one attempt nothing is told: it is the build."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of the tree. `stage` and `attempt` say which lines of the log are its own; "" and 0: any."""

    key: str
    depth: int
    label: str
    state: str
    kind: str
    """`build` or `part`: whose words its state is written in."""
    seconds: float | None = None
    warnings: int = 0
    errors: int = 0
    stage: str = ""
    attempt: int = 0

    def owns(self, line: LogLine) -> bool:
        """Whether a line of the build's log is shown for it."""
        if self.stage and line.stage.lower() != self.stage.lower():
            return False
        return not (self.attempt and line.attempt) or line.attempt == self.attempt


def tree_of(store: Store, build_id: str, now: datetime) -> tuple[Branch, ...]:
    """The build, the stages of its newest attempt, and its jobs where there are several or one was sent on."""
    build = store.builds.get(build_id)
    if build is None:
        return ()
    jobs = store.jobs_of(build_id)
    alone = len(jobs) < _SEVERAL
    root = Branch(WHOLE, 0, "whole build", build.status, "build", _seconds(build, now))
    stages = [_stage(stage, build.attempt if alone else 0, now) for stage in build.stages]
    if not alone:
        return (root, *stages, *(_job(job, now) for job in jobs[:_MOST_JOBS]))
    detail = store.details.get(build_id)
    tries = detail.attempts if detail and build.attempt >= _SEVERAL else ()
    return (root, *stages, *(_try(one, now) for one in tries[-_MOST_JOBS:]))


def stage_marks(build: BuildRow | None, now: datetime) -> tuple[StageMark, ...]:
    """The stages for the bar above the log."""
    stages = build.stages if build else ()
    return tuple(StageMark(stage.name, stage.status, _stage_seconds(stage, now)) for stage in stages)


def branch_to_open(branches: Sequence[Branch]) -> str:
    """Where a reader looks first: at the stage that went wrong, else at the one that runs, else at the whole."""
    for tones in ({"bad"}, {"active", "warning"}):
        for branch in branches:
            if branch.stage and mark(branch.state, "part").tone in tones:
                return branch.key
    return WHOLE


def _seconds(build: BuildRow, now: datetime) -> float | None:
    if build.started_at is None or build.ended:
        return build.duration
    return (now - build.started_at).total_seconds()


def _stage_seconds(stage: Stage, now: datetime) -> float | None:
    if stage.status == "Running" and stage.started_at:
        return max(0.0, (now - stage.started_at).total_seconds())
    return stage.duration


def _stage(stage: Stage, attempt: int, now: datetime) -> Branch:
    return Branch(
        f"stage {stage.name}",
        1,
        stage.name,
        stage.status,
        "part",
        _stage_seconds(stage, now),
        stage.warnings,
        stage.errors,
        stage.name,
        attempt,
    )


def _job(job: JobRow, now: datetime) -> Branch:
    ended = job.ended_at or now
    seconds = (ended - job.started_at).total_seconds() if job.started_at else None
    label = f"{short_id(job.id)} {job.agent}".rstrip()
    return Branch(f"job {job.id}", 1, label, job.state, "part", seconds)


def _try(view: AttemptView, now: datetime) -> Branch:
    seconds = ((view.ended_at or now) - view.started_at).total_seconds()
    label = f"try {view.number} {view.agent}".rstrip()
    return Branch(f"try {view.number}", 1, label, view.outcome or "Running", "part", seconds, attempt=view.number)


class Branches:
    """The tree's lines as rows of a table."""

    def __init__(self) -> None:
        self._lines: dict[str, Branch] = {}

    def take(self, branches: Sequence[Branch]) -> bool:
        """Take these; True where lines came or went."""
        fresh = {branch.key: branch for branch in branches}
        moved = fresh.keys() != self._lines.keys()
        self._lines = fresh
        return moved

    def keys(self) -> Sequence[str]:
        """The lines, in order."""
        return tuple(self._lines)

    def row(self, key: str) -> Branch:
        """A line. KeyError where it has gone."""
        return self._lines[key]

    def get(self, key: str | None) -> Branch | None:
        """A line, or None where there is no such line."""
        return None if key is None else self._lines.get(key)

    def version(self, key: str) -> object:
        """The line itself, with its time as it is shown."""
        line = self._lines[key]
        return line.state, line.label, duration(line.seconds), line.warnings, line.errors


def columns(*, utf8: bool = True) -> tuple[Column[Branch], ...]:
    """State, name, time and counts of a line of the tree."""
    return (
        Column("state", "state", lambda line: _state(line, utf8=utf8), 12, priority=8),
        Column(
            "stage", "stage", lambda line: Cell(f"{'  ' * line.depth}{plain(line.label)}"), 12, grow=True, priority=9
        ),
        Column(
            "time", "time", lambda line: Cell("" if line.seconds is None else duration(line.seconds)), 6, right=True
        ),
        Column("found", "found", _found, 7, priority=3),
    )


def _state(line: Branch, *, utf8: bool) -> Cell:
    shown = mark(line.state, "build" if line.kind == "build" else "part")
    return Cell(f"{shown.sign(utf8=utf8)} {shown.word}", shown.tone)


def _found(line: Branch) -> Cell:
    """Errors and warnings: `2E 1W`."""
    errors = f"{line.errors}E" if line.errors else ""
    warnings = f"{line.warnings}W" if line.warnings else ""
    gap = " " if errors and warnings else ""
    return Cell(f"{errors}{gap}{warnings}", parts=((errors, "bad"), (f"{gap}{warnings}", "warning")))
