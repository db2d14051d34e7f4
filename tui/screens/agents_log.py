"""The log of one agent, read from the store bit by bit into a pane."""

from __future__ import annotations

from tui.screens.logs_merge import MergedLog
from tui.state import Store
from tui.state.events import log_of_agent
from tui.widgets.log_pane import LogPane


class AgentLog:
    """What a pane shows of one agent's own log."""

    def __init__(self) -> None:
        self.name = ""
        self.pane = LogPane(empty="No lines yet. An agent's log comes from the scaler that started it.", id="agent-log")
        self._merged = MergedLog({})
        self._store: Store | None = None

    def show(self, store: Store, name: str) -> None:
        """Show that agent's log from its end; "" shows none."""
        self.name, self._store = name, store
        self._merged = MergedLog({log_of_agent(name): name} if name else {})
        self._merged.begin(store)
        self.pane.show(self._merged.ring)

    def update(self, store: Store, now: float) -> None:
        """Take in what came since; all anew from another store than before."""
        if store is not self._store:
            self.show(store, self.name)
        if self._merged.advance(store, now):
            self.pane.soon()
