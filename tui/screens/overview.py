"""The overview: what waits and since when, what needs attention, who works, what the scaler does, the last builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.strip import Strip

from tui import format as shown
from tui import summary
from tui.panels import Changed, Panel
from tui.screens.base import FarmScreen
from tui.state import Ref
from tui.state.events import AgentsSeen, BuildsSeen, PoolsSeen, WorkersSeen
from tui.state.rows import BuildRow
from tui.summary import Concern
from tui.widgets.cards import Cards
from tui.widgets.columns import Cell, Column
from tui.widgets.line_view import LineView
from tui.widgets.queue_cells import worst_first
from tui.widgets.queue_strip import QueueStrip
from tui.widgets.virtual_table import VirtualTable

Row = TypeVar("Row")
_SIGNS = {"bad": ("‼", "!"), "warning": ("△", "^")}


@dataclass
class Listed(Generic[Row]):
    """Few rows in their order, made anew as a whole; `aged` is what a row says that changes with time alone."""

    rows: dict[str, Row]
    aged: Callable[[Row], str] | None = None

    def keys(self) -> Sequence[str]:
        """Their keys."""
        return list(self.rows)

    def row(self, key: str) -> Row:
        """One of them."""
        return self.rows[key]

    def version(self, key: str) -> object:
        """The row itself, since rows are values, and its age in words."""
        row = self.rows[key]
        return row if self.aged is None else (row, self.aged(row))


class FarmWork(LineView):
    """Workers as a bar and in words, and what the scaler decided last about each pool."""

    def __init__(self, *, utf8: bool = True) -> None:
        super().__init__()
        self.utf8 = utf8
        self._rows: list[list[tuple[str, str]]] = []

    def show(self, rows: list[list[tuple[str, str]]]) -> None:
        """Show these rows."""
        before, self._rows = self._rows, rows
        self.refresh_differing(before, rows)

    def render_line(self, y: int) -> Strip:
        """One row."""
        return self.runs_strip(self._rows[y] if y < len(self._rows) else [], self.size.width)


def work_rows(
    counts: Mapping[str, int], lines: Sequence[summary.ScalerLine], width: int, *, utf8: bool = True
) -> list[list[tuple[str, str]]]:
    """Workers by state, then two rows a pool: the counts, and the reason in words."""
    total = sum(counts.values())
    words: list[tuple[str, str]] = []
    bar: list[tuple[str, str]] = [(" ", "plain")]
    for state, count in counts.items():
        mark = shown.mark(state, "agent")
        words.append((f" {mark.sign(utf8=utf8)} {count} {state.lower()} ", mark.tone))
        cells = max(1, round(count * max(1, width - 2) / total))
        bar.append((("█" if utf8 else "#") * cells, mark.tone))
    rows: list[list[tuple[str, str]]] = [words or [(" No worker is there: none is needed, or none came up.", "muted")]]
    if total:
        rows.append(bar)
    for line in lines:
        mark = shown.mark(line.code, "decision")
        have, want = shown.count(line.have), shown.count(line.wanted)
        rows.append(
            [
                (f" {line.pool}", "strong"),
                (f" have {have} want {want} ", "plain"),
                (f"{mark.sign(utf8=utf8)} {mark.word}", mark.tone),
            ]
        )
        rows.append([(f"   {line.reason}", "muted")])
    return rows


class OverviewScreen(FarmScreen):
    """Key `1`."""

    name_ = "overview"
    first_panel = "attention"
    one_panel_below = (70, 20)
    DEFAULT_CSS = """
    OverviewScreen Cards { height: 2; }
    OverviewScreen.-short Cards { height: 1; }
    OverviewScreen.-one-panel Cards { display: none; }
    OverviewScreen #queues { height: 30%; min-height: 5; }
    OverviewScreen #middle { height: 1fr; }
    OverviewScreen #attention { width: 3fr; }
    OverviewScreen #work { width: 2fr; }
    OverviewScreen #last { height: 1fr; }
    OverviewScreen.-short #queues { height: 5; }
    OverviewScreen.-one-panel #middle { height: auto; }
    OverviewScreen.-one-panel #middle:focus-within { height: 1fr; }
    """

    def panels(self) -> ComposeResult:
        """Queues, attention beside work, builds."""
        self.queues = QueueStrip(empty="No queues yet: the producer has told of none.", utf8=self.utf8)
        self.attention: VirtualTable[Concern] = VirtualTable(
            Listed({}),
            [Column("what", "what", self._concern, 20, grow=True)],
            empty="Nothing needs attention.",
            id="attention-table",
        )
        self.work = FarmWork(utf8=self.utf8)
        self.queues.can_focus = self.work.can_focus = True
        self.builds: VirtualTable[BuildRow] = VirtualTable(
            Listed({}, self._age_of),
            self._build_columns(),
            layout=self.layout_of("last-builds"),
            empty="No builds yet. `buildyard submit` sends one.",
            id="last-builds",
        )
        self.cards = Cards()
        yield self.cards
        yield Panel("Queues", self.queues, kind="chart", update=self._update_queues, needs=(PoolsSeen,), id="queues")
        with Horizontal(id="middle"):
            yield Panel(
                "Attention", self.attention, kind="table", update=self._update_attention, sources=(), id="attention"
            )
            yield Panel(
                "Workers and scaler",
                self.work,
                kind="chart",
                update=self._update_work,
                sources=("producer", "scaler"),
                needs=(AgentsSeen, WorkersSeen),
                id="work",
            )
        yield Panel(
            "Last builds", self.builds, kind="table", update=self._update_builds, needs=(BuildsSeen,), id="last"
        )

    # ---------------------------------------------------------------- updates

    def _update_queues(self, changed: Changed) -> None:
        if touches(changed, {"pool"}):
            now = self.source.now()
            self.queues.show([summary.queue_line(self.store, pool, now) for pool in self.store.pools.values()])

    def _update_attention(self, changed: Changed) -> None:
        if changed is None:  # it looks at everything, so that once a second is enough; see `tick`
            found = summary.concerns(self.store, self.source.now())
            replace_rows(self.attention, {f"{number}:{one.ref}": one for number, one in enumerate(found)})

    def before_update(self, changed: Changed) -> None:
        """The cards are above all panels."""
        if touches(changed, {"agent", "pool"}):
            self.cards.show([(card.label, shown.count(card.value)) for card in summary.cards(self.store)])

    def _update_work(self, changed: Changed) -> None:
        if touches(changed, {"agent", "pool"}):
            counts = summary.agent_counts(self.store)
            width = self.work.size.width
            self.work.show(work_rows(counts, summary.scaler_lines(self.store), width, utf8=self.utf8))

    def _update_builds(self, changed: Changed) -> None:
        if changed is None:
            most = max(8, self.builds.size.height - 1)
            replace_rows(self.builds, {row.id: row for row in summary.last_builds(self.store, most)})

    def tick(self) -> None:
        """What looks at everything, and the ages of builds."""
        for panel in self.all_panels():
            if panel.content in {self.attention, self.builds}:
                panel.update_safely(None)
        self.builds.changed(self.builds.visible_keys())
        super().tick()

    # ---------------------------------------------------------------- cells

    def _concern(self, concern: Concern) -> Cell:
        sign = _SIGNS.get(concern.tone, ("·", "."))[0 if self.utf8 else 1]
        return Cell(f"{sign} {concern.text}", concern.tone)

    def _state(self, row: BuildRow) -> Cell:
        mark = shown.mark(row.status)
        return Cell(f"{mark.sign(utf8=self.utf8)} {mark.word}", mark.tone)

    def _stages(self, row: BuildRow) -> Cell:
        bar = shown.stage_bar((stage.status for stage in row.stages), utf8=self.utf8)
        return Cell("".join(sign for sign, _ in bar), parts=bar)

    def _age_of(self, row: BuildRow) -> str:
        return shown.since(row.ended_at or row.started_at, self.source.now())

    def _age(self, row: BuildRow) -> Cell:
        return Cell(self._age_of(row), "muted")

    def _build_columns(self) -> list[Column[BuildRow]]:
        return [
            Column("state", "state", self._state, 12, priority=9),
            Column("build", "build", lambda row: Cell(shown.short_id(row.id)), 8, priority=8),
            Column("project", "project", lambda row: Cell(row.project or shown.UNKNOWN), 14, grow=True, priority=7),
            Column("stages", "stages", self._stages, 7, priority=6),
            Column("run", "run", lambda row: Cell(_run_time(row)), 6, right=True, priority=5),
            Column("age", "age", self._age, 6, right=True, priority=4),
            Column("pool", "pool", lambda row: Cell(row.pool), 8, priority=3),
            Column("reason", "reason", lambda row: Cell(row.reason), 20, grow=True, priority=2),
        ]

    # ---------------------------------------------------------------- commands

    def cursor_ref(self) -> Ref | None:
        """The concern or build under the cursor; the worst queue, and the newest decision, of the other two panels."""
        content = self.panel.content if self.panel else None
        if content is self.attention and self.attention.cursor is not None:
            return self.attention.rows.row(self.attention.cursor).ref
        if content is self.builds and self.builds.cursor is not None:
            return Ref("build", self.builds.cursor)
        if content is self.queues:
            now = self.source.now()
            worst = worst_first(summary.queue_line(self.store, pool, now) for pool in self.store.pools.values())
            return Ref("pool", worst[0].name) if worst else None
        if content is self.work and self.store.decisions:
            return Ref("decision", str(max(self.store.decisions)))
        return None

    def marked_ref(self, key: str) -> Ref | None:
        """What a concern is about, or a build."""
        if self.panel is None or self.panel.content is not self.attention:
            return Ref("build", key)
        return self.attention.rows.row(key).ref if key in self.attention.rows.keys() else None  # noqa: SIM118 - no mapping

    def do_move_open(self) -> None:
        """Enter, in any of the panels."""
        self.do_look_details()


def touches(changed: Changed, kinds: set[str]) -> bool:
    """Whether anything of these kinds changed."""
    return changed is None or any(ref.kind in kinds for ref in changed)


def replace_rows(table: VirtualTable[Row], rows: Mapping[str, Row]) -> None:
    """Give a table other rows, in the order of the mapping; nothing is drawn where nothing differs."""
    known = table.rows
    if isinstance(known, Listed):
        if list(known.rows.items()) != list(rows.items()):
            table.reload(replace(known, rows=dict(rows)))
    else:
        table.reload(Listed(dict(rows)))


def _run_time(row: BuildRow) -> str:
    if row.duration is not None:
        return shown.duration(row.duration)
    return shown.NONE if row.started_at is None else "…"
