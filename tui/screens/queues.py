"""All pools with their queues, what they held lately, and the dead letters."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult

from tui import commands
from tui.panels import Changed, Panel
from tui.safe_text import plain
from tui.screens.base import FarmScreen
from tui.screens.queues_facts import pool_chart
from tui.screens.queues_rows import update_rows
from tui.screens.queues_table import (
    NEWEST_FIRST,
    DeadLine,
    DeadLines,
    PoolLine,
    PoolLines,
    dead_columns,
    pool_columns,
)
from tui.state import Ref
from tui.state.events import DeadSeen, PoolsSeen
from tui.widgets.columns import Layout
from tui.widgets.time_chart import TimeChart
from tui.widgets.virtual_table import VirtualTable

NO_POOLS = "No pools. The producer reads them from POOLS_FILE."
NO_DEAD = "No dead letters: nothing waits for a person."


class QueuesScreen(FarmScreen):
    """Pools, the chart of the one under the cursor, and dead letters."""

    name_: ClassVar[commands.Screen] = "queues"
    DEFAULT_CSS = """
    QueuesScreen #body { layout: vertical; }
    QueuesScreen #pools-panel { height: 2fr; }
    QueuesScreen #chart-panel { height: 9; }
    QueuesScreen #dead-panel { height: 3fr; }
    QueuesScreen.-short #chart-panel { height: 7; }
    """

    def panels(self) -> ComposeResult:
        """Pools, chart, dead letters."""
        pools, dead = self.layout_of("pools"), self.layout_of("dead")
        self.pools: VirtualTable[PoolLine] = VirtualTable(
            PoolLines(lambda: self.store, self.source.now),
            pool_columns(utf8=self.utf8),
            layout=pools,
            empty=NO_POOLS,
            id="pools",
        )
        self.chart = TimeChart(utf8=self.utf8)
        self.chart.can_focus = True
        self.dead: VirtualTable[DeadLine] = VirtualTable(
            DeadLines(lambda: self.store, self.source.now),
            dead_columns(utf8=self.utf8),
            layout=NEWEST_FIRST if dead == Layout() else dead,
            empty=NO_DEAD,
            id="dead",
        )
        self.pools_panel = Panel(
            "Pools",
            self.pools,
            kind="table",
            update=self._update_pools,
            sources=("producer", "scaler"),
            needs=(PoolsSeen,),
            id="pools-panel",
        )
        self.chart_panel = Panel(
            "Lately",
            self.chart,
            kind="chart",
            update=self._update_chart,
            sources=("producer", "scaler"),
            needs=(PoolsSeen,),
            id="chart-panel",
        )
        self.dead_panel = Panel(
            "Dead letters", self.dead, kind="table", update=self._update_dead, needs=(DeadSeen,), id="dead-panel"
        )
        yield self.pools_panel
        yield self.chart_panel
        yield self.dead_panel

    # ---------------------------------------------------------------- what is shown

    def _update_pools(self, changed: Changed) -> None:
        update_rows(self.pools, self.store.pools, "pool", changed)

    def _update_chart(self, changed: Changed) -> None:  # noqa: ARG002 - time goes on
        name = self.pools.cursor or ""
        self.chart_panel.title = f"{plain(name)}: ready, unacknowledged and workers, 15 minutes" if name else "Lately"
        self.chart.show(pool_chart(self.store, name, self.source.now(), utf8=self.utf8))

    def _update_dead(self, changed: Changed) -> None:
        update_rows(self.dead, self.store.dead, "dead", changed)
        more = " or more" if self.store.dead_more else ""
        self.dead_panel.title = f"Dead letters {len(self.store.dead):,}{more}"

    # ---------------------------------------------------------------- the cursor

    def on_virtual_table_cursor_moved(self, message: VirtualTable.CursorMoved) -> None:
        """The chart is that of the pool under the cursor."""
        if message.table is self.pools:
            self.chart_panel.update_safely(frozenset())

    def cursor_ref(self) -> Ref | None:
        """The dead letter, or the pool."""
        if self.panel is self.dead_panel:
            return Ref("dead", self.dead.cursor) if self.dead.cursor else None
        return Ref("pool", self.pools.cursor) if self.pools.cursor else None

    def marked_ref(self, key: str) -> Ref | None:
        """A dead letter, or a pool."""
        return Ref("dead" if self.panel is self.dead_panel else "pool", key)

    def show_ref(self, ref: Ref) -> None:
        """The cursor goes to that pool or dead letter."""
        panel, table = (self.dead_panel, self.dead) if ref.kind == "dead" else (self.pools_panel, self.pools)
        if not table.go_to(ref.id) and table.filter:
            table.set_filter("")
            table.go_to(ref.id)
        self.call_after_refresh(self.focus_panel, panel)  # a screen that has just opened gives it to the first

    def do_look_details(self) -> None:
        """A pool has a screen of its own; a dead letter is a build."""
        ref = self.cursor_ref()
        if ref is not None:
            self.go_to(Ref("build", ref.id) if ref.kind == "dead" else ref)
