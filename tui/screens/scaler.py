"""What the scaler decided about a pool, when and why: a chart, the list of decisions, and the whole record of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.widget import Widget

from buildyard.contracts.scaling import WhatIf
from buildyard.errors import BuildyardError, InvalidRequest
from tui import commands
from tui.panels import Changed, Panel
from tui.safe_text import plain
from tui.screens.base import FarmScreen, Handler
from tui.screens.menus import Prompt
from tui.screens.scaler_chart import pool_chart
from tui.screens.scaler_facts import record_facts, share_and_size
from tui.screens.scaler_rows import DecisionRows, decision_columns, neediest_pool, pools_of
from tui.screens.what_if import HINT, answer_facts, question
from tui.source import Advising
from tui.state import Ref
from tui.state.events import DecisionsSeen
from tui.widgets.columns import Layout
from tui.widgets.facts import Fact, FactsView
from tui.widgets.time_chart import PANELS, TimeChart
from tui.widgets.virtual_table import VirtualTable

_EMPTY = "No decision about this pool yet. The scaler decides once a tick, and when a job comes in."
_ALL_HIDDEN = "No decision did anything. h shows those that did nothing, c those that repeat."


class FocusedChart(TimeChart, can_focus=True):
    """A chart that can have the focus, so that keys reach its panel."""


class ScalerScreen(FarmScreen):
    """The scaler's decisions."""

    name_: ClassVar[commands.Screen] = "scaler"
    DEFAULT_CSS = """
    ScalerScreen #body { layout: grid; grid-size: 1; grid-rows: 1fr 1fr; }
    ScalerScreen #chart-panel { dock: top; height: 9; }
    ScalerScreen.-wide #body { grid-size: 2; grid-columns: 3fr 2fr; grid-rows: 1fr; }
    ScalerScreen.-wide #chart-panel { height: 15; }
    ScalerScreen.-one-panel #body { layout: vertical; }
    ScalerScreen.-one-panel #chart-panel { dock: none; height: 1fr; }
    """

    def panels(self) -> ComposeResult:
        """The list comes first, so that it has the focus; the chart stands above it."""
        self.chosen = ""
        """The number of the decision whose record is shown."""
        self.asked = ""
        """What was asked last, of what would be decided with other values."""
        self._answer: list[Fact] = []
        self.rows = DecisionRows(lambda: self.store)
        layout = self.layout_of("decisions")
        self.chart = FocusedChart(utf8=self.utf8, id="chart")
        self.table = VirtualTable(
            self.rows,
            decision_columns(utf8=self.utf8),
            layout=layout if layout.sort else Layout(layout.shown, layout.widths, "at", descending=True),
            empty=_EMPTY,
            id="decisions",
        )
        self.record = FactsView(id="record")
        self.list_panel = self._panel("Decisions", self.table, "table", self._update_list)
        self.record_panel = self._panel("Record", self.record, "text", self._update_record)
        self.chart_panel = self._panel("Chart", self.chart, "chart", self._update_chart)
        yield self.list_panel
        yield self.record_panel
        yield self.chart_panel

    def _panel(self, title: str, content: Widget, kind: commands.Panel, update: Callable[[Changed], None]) -> Panel:
        id_ = f"{title.lower()}-panel"
        return Panel(title, content, kind=kind, update=update, sources=("scaler",), needs=(DecisionsSeen,), id=id_)

    # ---------------------------------------------------------------- what is shown

    def before_update(self, changed: Changed) -> None:  # noqa: ARG002 - pools may come and go with anything
        """There may be pools now, or other ones."""
        if self.rows.pool not in self.store.pools:
            self._choose_pool(neediest_pool(self.store))

    def _choose_pool(self, name: str) -> None:
        if name != self.rows.pool:
            self.rows.pool = name
            self._reload()
            self.table.action_scroll_home()
            self._choose(self.table.cursor or "")

    def _reload(self) -> None:
        self.rows.refresh()
        self.table.empty = _ALL_HIDDEN if self.rows.total else _EMPTY
        self.table.reload()

    def _choose(self, number: str) -> None:
        if number != self.chosen:
            self.chosen = number
            self._answer = []
            for panel in (self.record_panel, self.chart_panel):
                panel.update_safely(frozenset())

    def _update_list(self, changed: Changed) -> None:
        newest = next(reversed(self.rows.keys()), None)
        follows = self.panel is self.list_panel and self.table.cursor == newest
        if changed is None:
            self._reload()
        elif any(ref.kind == "decision" for ref in changed):
            self.table.changed(*self.rows.refresh())
            self.table.flush()
            self.table.empty = _ALL_HIDDEN if self.rows.total else _EMPTY
        if follows and newest != next(reversed(self.rows.keys()), None):
            self.table.action_scroll_home()
        pools = pools_of(self.store)
        at = f" {pools.index(self.rows.pool) + 1}/{len(pools)}" if self.rows.pool in pools else ""
        what = [word for word, on in (("changes", self.rows.changes_only), ("acts", self.rows.hide_idle)) if on]
        shown = f"{len(self.rows.keys()):,}/{self.rows.total:,}"
        only = f" only {' that are '.join(what)}" if what else ""
        about = f" about {plain(self.rows.pool, limit=40)}{at} · {shown}{only}" if self.rows.pool else ""
        self.list_panel.title = f"Decisions{about}"

    def _update_record(self, changed: Changed) -> None:  # noqa: ARG002 - a decision does not change
        row = self.store.decisions.get(int(self.chosen)) if self.chosen else None
        if self._answer:
            self.record.show(self._answer)
            self.record_panel.title = "What if"
        elif row is not None:
            self.record.show(record_facts(row.whole(), utf8=self.utf8))
            self.record_panel.title = f"Decision {row.number:,}"
        else:
            gone = f"Decision {self.chosen} is not kept any more." if self.chosen else "No decision is chosen."
            self.record.show([Fact("", gone, "muted")])

    def _update_chart(self, changed: Changed) -> None:  # noqa: ARG002 - time goes on
        number = int(self.chosen) if self.chosen else None
        chart = pool_chart(self.store, self.rows.pool, self.source.now(), PANELS, number, utf8=self.utf8)
        self.chart.show(chart)
        minutes = round((chart.end - chart.start) / 60)
        use = self.store.use.get("scaler")
        own = f" · scaler: {share_and_size(use)}" if use else ""
        self.chart_panel.title = f"{plain(self.rows.pool, limit=40) or 'No pool'}, last {minutes} minutes{own}"

    # ---------------------------------------------------------------- the cursor

    def on_virtual_table_cursor_moved(self, message: VirtualTable.CursorMoved) -> None:
        """The record is that of the decision under the cursor."""
        message.stop()
        if message.key is not None:
            self._choose(message.key)

    def cursor_ref(self) -> Ref | None:
        """The decision whose record is shown; on the chart its pool."""
        if self.panel is self.chart_panel:
            return Ref("pool", self.rows.pool) if self.rows.pool else None
        return Ref("decision", self.chosen) if self.chosen else None

    def show_ref(self, ref: Ref) -> None:
        """Show the record of that decision, whatever the list leaves out."""
        row = self.store.decisions.get(int(ref.id)) if ref.id.isascii() and ref.id.isdigit() else None
        if row is None:
            self.farm.tell(f"Decision {plain(ref.id, limit=20)} is not kept any more.")
            return
        self._choose_pool(row.pool)
        if not self.table.go_to(ref.id):
            self.rows.changes_only = self.rows.hide_idle = False
            self.table.set_filter("")
            self._reload()
            self.table.go_to(ref.id)
        self._choose(ref.id)
        self.call_after_refresh(self.focus_panel, self.record_panel)  # one that has just opened gives it to the first

    # ---------------------------------------------------------------- commands

    def handler(self, command_id: str) -> Handler | None:
        """The record scrolls and is copied by the registry's keys too."""
        if self.panel is self.record_panel:
            if command_id == "look.copy":
                return lambda: self.farm.copy(self.record.text)
            if own := self.record.commands().get(command_id):
                return own
        return super().handler(command_id)

    def do_look_details(self) -> None:
        """The whole record."""
        if self.panel is self.chart_panel and self.rows.pool:
            self.go_to(Ref("pool", self.rows.pool))
        else:
            self.focus_panel(self.record_panel)

    def do_move_back(self) -> None:
        """From the record to the list, from there to the screen before."""
        if self.panel is self.list_panel:
            self.farm.do_move_back()
        else:
            self.focus_panel(self.list_panel)

    def do_move_left(self) -> None:
        """The pool before."""
        self._next_pool(-1)

    def do_move_right(self) -> None:
        """The next pool."""
        self._next_pool(1)

    def _next_pool(self, step: int) -> None:
        pools = pools_of(self.store)
        if pools:
            at = pools.index(self.rows.pool) if self.rows.pool in pools else 0
            self._choose_pool(pools[(at + step) % len(pools)])
            self.refresh_changed(frozenset())

    def do_scaler_what_if(self) -> None:
        """Ask the scaler what it would decide with other values; the answer stands in place of the record."""
        pool = self.rows.pool
        if not pool:
            self.farm.tell("No pool was decided about yet.")
            return

        def answered(typed: str | None) -> None:
            if typed is None:
                return
            self.asked = typed
            try:
                asked = question(pool, typed)
            except InvalidRequest as error:
                self.farm.tell(str(error))
            else:
                self.run_worker(self._ask(asked), group="what-if", exclusive=True, exit_on_error=False)

        prompt = Prompt(f"What if, about {plain(pool, limit=40)}", self.asked, HINT, lambda _: None)
        self.farm.push_screen(prompt, answered)

    async def _ask(self, asked: WhatIf) -> None:
        assert isinstance(self.source, Advising)
        try:
            answer = await self.source.what_if(asked)
        except BuildyardError as error:
            self.farm.tell(" ".join(part for part in (str(error), error.remedy) if part))
            return
        self._answer = answer_facts(answer, self.asked, utf8=self.utf8)
        self.record_panel.update_safely(frozenset())
        self.call_after_refresh(self.focus_panel, self.record_panel)  # the window gives the focus back first

    def do_scaler_changes(self) -> None:
        """All decisions, or those that say something new."""
        self.rows.changes_only = not self.rows.changes_only
        self._reload()
        self.refresh_changed(frozenset())

    def do_scaler_hide_idle(self) -> None:
        """All decisions, or those that did something."""
        self.rows.hide_idle = not self.rows.hide_idle
        self._reload()
        self.refresh_changed(frozenset())
