"""The parts that the list of agents and the screen of one agent share: facts and a log, for one agent at a time."""

from __future__ import annotations

from typing import ClassVar

from tui.panels import Changed, Panel
from tui.safe_text import plain
from tui.screens.agents_facts import agent_facts
from tui.screens.agents_log import AgentLog
from tui.screens.agents_rows import AgentRows
from tui.screens.base import FarmScreen, Handler
from tui.source import NOTHING_WATCHED, Interest
from tui.state.events import AgentsSeen, WorkersSeen, log_of_agent
from tui.widgets.facts import Fact, FactsView

KNOWS_AGENTS = (AgentsSeen, WorkersSeen)


class ShowsAgent(FarmScreen):
    """A screen with the facts and the log of one agent."""

    needs: ClassVar[tuple[type, ...]] = KNOWS_AGENTS

    def __init__(self) -> None:
        super().__init__()
        self.agent = ""
        """The name of the agent that is shown; "" while none is."""
        self.facts = FactsView(id="agent-facts")
        self.log_ = AgentLog()
        self.facts_panel = Panel(
            "Agent", self.facts, kind="text", update=self._update_facts, needs=self.needs, id="facts-panel"
        )
        self.log_panel = Panel(
            "Log", self.log_.pane, kind="log", update=self._update_log, sources=("scaler",), id="log-panel"
        )

    def choose_agent(self, name: str) -> None:
        """Show another agent."""
        if name != self.agent:
            self.agent = name
            self.log_.show(self.store, name)
            self.facts_panel.update_safely(frozenset())
            self.log_panel.update_safely(frozenset())
            self.refresh_states()
            self.watch_anew()

    def _update_facts(self, changed: Changed) -> None:  # noqa: ARG002 - ages go on
        if not self.agent:
            self.facts.show([Fact("", "No agent is chosen.", "muted")])
        elif self.agent not in self.store.agents:
            gone = "It is not known any more: it has left, and its record was cleared away."
            self.facts.show([Fact("agent", self.agent), Fact("why", gone, "muted")])
        else:
            line = AgentRows(self.store, self.source.now).row(self.agent)
            self.facts.show(agent_facts(self.store, line, utf8=self.utf8))
        self.facts_panel.title = plain(self.agent, limit=60) or "Agent"

    def _update_log(self, changed: Changed) -> None:  # noqa: ARG002 - a log tells what is new by itself
        self.log_.update(self.store, self.source.now().timestamp())
        self.log_panel.title = f"Log of {plain(self.agent, limit=60)}" if self.agent else "Log"

    def interest(self) -> Interest:
        """The log of the agent that is shown."""
        return Interest(logs=frozenset({log_of_agent(self.agent)})) if self.agent else NOTHING_WATCHED

    def handler(self, command_id: str) -> Handler | None:
        """Facts scroll and are copied by the registry's keys too."""
        if self.panel is self.facts_panel:
            if command_id == "look.copy":
                return lambda: self.farm.copy(self.facts.text)
            if own := self.facts.commands().get(command_id):
                return own
        return super().handler(command_id)

    def do_look_logs(self) -> None:
        """To the log on this screen; from there to the screen of logs."""
        if self.panel is self.log_panel or not self.agent:
            super().do_look_logs()
        else:
            self.focus_panel(self.log_panel)
