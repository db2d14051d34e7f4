"""One agent: all that is known of it, and its log."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult

from tui import commands
from tui.screens.agents_panels import ShowsAgent
from tui.state import Ref


class AgentScreen(ShowsAgent):
    """One agent."""

    name_: ClassVar[commands.Screen] = "agent"
    one_panel_below: ClassVar[tuple[int, int]] = (100, 20)
    DEFAULT_CSS = """
    AgentScreen #body { layout: horizontal; }
    AgentScreen #facts-panel { width: 2fr; }
    AgentScreen #log-panel { width: 3fr; }
    """

    def panels(self) -> ComposeResult:
        """Facts beside the log."""
        yield self.facts_panel
        yield self.log_panel

    def cursor_ref(self) -> Ref | None:
        """The agent."""
        return Ref("agent", self.agent) if self.agent else None

    def show_ref(self, ref: Ref) -> None:
        """Show that agent."""
        self.choose_agent(ref.id)

    def do_look_details(self) -> None:
        """This is all there is of an agent: to the build it works on, where it has one."""
        agent = self.store.agents.get(self.agent)
        if agent is not None and agent.build_id in self.store.builds:
            self.go_to(Ref("build", agent.build_id))
        else:
            self.farm.tell("It works on no build now.")
