"""All agents, and beside them what is known of the one under the cursor, with its log."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from tui import commands
from tui.panels import Changed, Panel
from tui.screens.agents_panels import ShowsAgent
from tui.screens.agents_rows import AgentRows, agent_columns
from tui.state import Ref
from tui.widgets.virtual_table import VirtualTable

_COUNTED = ("Busy", "Idle", "Draining", "Pending")
_EMPTY = "No agents. The scaler starts them when jobs wait; `buildyard submit` sends a build."


class AgentsScreen(ShowsAgent):
    """The agents."""

    name_: ClassVar[commands.Screen] = "agents"
    DEFAULT_CSS = """
    AgentsScreen #body { layout: vertical; }
    AgentsScreen #table-panel { height: 3fr; }
    AgentsScreen #one { layout: horizontal; height: 2fr; }
    AgentsScreen #log-panel { width: 4fr; }
    AgentsScreen #facts-panel { width: 3fr; }
    AgentsScreen.-one-panel #one { height: auto; }
    """

    def panels(self) -> ComposeResult:
        """The table over facts and log."""
        self.rows = AgentRows(self.store, self.source.now)
        self.table = VirtualTable(
            self.rows,
            agent_columns(utf8=self.utf8),
            layout=self.layout_of("agents"),
            empty=_EMPTY,
            id="agents",
        )
        self.table_panel = Panel(
            "Agents", self.table, kind="table", update=self._update_table, needs=self.needs, id="table-panel"
        )
        yield self.table_panel
        with Vertical(id="one", classes="group"):
            yield self.facts_panel
            yield self.log_panel

    def _update_table(self, changed: Changed) -> None:
        if changed is None:
            self.rows = AgentRows(self.store, self.source.now)
            self.table.reload(self.rows)
        else:
            agents = {ref.id for ref in changed if ref.kind == "agent"}
            there = {name for name in agents if name in self.store.agents}
            self.table.changed({*there, *self.table.visible_keys()}, agents - there)
        self.table_panel.title = self._title()
        if not self.agent and self.table.cursor:
            self.choose_agent(self.table.cursor)

    def _title(self) -> str:
        states = [row.state for row in self.store.agents.values()]
        counts = [f"{count} {word.lower()}" for word in _COUNTED if (count := states.count(word))]
        trouble = sum(state in {"Unresponsive", "Lost"} for state in states)
        shown = f"{self.table.shown:,}/" if self.table.filter else ""
        return " · ".join([f"Agents {shown}{len(states):,}", *counts, *([f"{trouble} in trouble"] if trouble else [])])

    def on_virtual_table_cursor_moved(self, message: VirtualTable.CursorMoved) -> None:
        """Facts and log are those of the agent under the cursor."""
        message.stop()
        if message.key is not None:
            self.choose_agent(message.key)

    def cursor_ref(self) -> Ref | None:
        """The agent."""
        return Ref("agent", self.agent) if self.agent else None

    def marked_ref(self, key: str) -> Ref | None:
        """An agent."""
        return Ref("agent", key)

    def show_ref(self, ref: Ref) -> None:
        """Go to that agent, also where a filter hides it."""
        if not self.table.go_to(ref.id) and self.table.filter:
            self.table.set_filter("")
            self.table.go_to(ref.id)
        self.choose_agent(ref.id)

    def do_move_back(self) -> None:
        """From facts and log to the table, from there to the screen before."""
        if self.panel is self.table_panel:
            self.farm.do_move_back()
        elif not self.clear_filter():
            self.focus_panel(self.table_panel)
