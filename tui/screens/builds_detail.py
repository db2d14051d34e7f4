"""One build: its stages, all that is known of it, and the log of the stage that is chosen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult

from tui import commands
from tui.format import short_id
from tui.panels import Changed, Panel
from tui.safe_text import plain
from tui.screens.base import FarmScreen, Handler
from tui.screens.builds import KNOWS_BUILDS
from tui.screens.builds_facts import build_facts
from tui.screens.builds_parts import StageParts
from tui.screens.builds_tree import stage_marks
from tui.source import NOTHING_WATCHED, Interest
from tui.state import Ref
from tui.state.events import log_of_build
from tui.widgets.facts import FactsView
from tui.widgets.log_pane import LogPane
from tui.widgets.stage_bar import StageBar
from tui.widgets.virtual_table import VirtualTable


class BuildScreen(FarmScreen):
    """One build."""

    name_: ClassVar[commands.Screen] = "build"
    DEFAULT_CSS = """
    BuildScreen #body { layout: grid; grid-size: 2; grid-columns: 1fr 1fr; grid-rows: 11 1fr; }
    BuildScreen #stages { dock: top; }
    BuildScreen #log-panel { column-span: 2; }
    BuildScreen.-wide #body { grid-size: 3; grid-columns: 42 48 1fr; grid-rows: 1fr; }
    BuildScreen.-wide #log-panel { column-span: 1; }
    BuildScreen.-one-panel #body { layout: vertical; }
    """

    def panels(self) -> ComposeResult:
        """The bar of stages over tree, facts and log."""
        self.build_id = ""
        self.parts = StageParts(utf8=self.utf8)
        self.bar = StageBar(utf8=self.utf8, id="stages")
        self.facts = FactsView(id="facts")
        yield self.bar
        self.tree_panel = Panel(
            "Stages", self.parts.tree, kind="tree", update=self._update_tree, needs=KNOWS_BUILDS, id="tree-panel"
        )
        self.facts_panel = Panel(
            "Build", self.facts, kind="text", update=self._update_facts, needs=KNOWS_BUILDS, id="facts-panel"
        )
        self.log_panel = Panel(
            "Log", self.parts.log, kind="log", update=self._update_log, needs=KNOWS_BUILDS, id="log-panel"
        )
        yield self.tree_panel
        yield self.facts_panel
        yield self.log_panel

    # ---------------------------------------------------------------- what is shown

    def show_ref(self, ref: Ref) -> None:
        """Show that build; a job shows the build it is of."""
        job = self.store.jobs.get(ref.id) if ref.kind == "job" else None
        self.build_id = job.build_id if job else ref.id
        self.parts.show(self.build_id)
        self.refresh_changed(frozenset())
        self.watch_anew()

    def _update_tree(self, changed: Changed) -> None:  # noqa: ARG002 - the tree is small: it is made anew
        now = self.source.now()
        build = self.store.builds.get(self.build_id)
        self.bar.show(stage_marks(build, now))
        self.parts.update_tree(self.store, now)
        self.tree_panel.title = f"Stages of attempt {build.attempt}" if build and build.attempt > 1 else "Stages"

    def _update_facts(self, changed: Changed) -> None:  # noqa: ARG002 - ages go on
        build = self.store.builds.get(self.build_id)
        project = plain(build.project, limit=40) if build else ""
        self.facts_panel.title = f"{project} {short_id(self.build_id)}".strip()
        self.facts.show(build_facts(self.store, self.build_id, self.source.now(), utf8=self.utf8))

    def _update_log(self, changed: Changed) -> None:  # noqa: ARG002 - a log tells what is new by itself
        self.parts.update_log(self.store)
        branch = self.parts.branch
        self.log_panel.title = f"Log of {plain(branch.label, limit=40)}" if branch else "Log"

    # ---------------------------------------------------------------- the cursor

    def on_virtual_table_cursor_moved(self, message: VirtualTable.CursorMoved) -> None:
        """The log is that of the stage under the cursor."""
        if message.table is self.parts.tree:
            self.log_panel.update_safely(frozenset())

    def on_log_pane_follow_changed(self, message: LogPane.FollowChanged) -> None:
        """Who scrolls is not taken elsewhere."""
        if not message.follow:
            self.parts.stay()

    def cursor_ref(self) -> Ref | None:
        """The job under the tree's cursor, else the build."""
        if not self.build_id:
            return None
        branch = self.parts.branch
        kind, _, job = branch.key.partition(" ") if branch and self.panel is self.tree_panel else ("", "", "")
        return Ref("job", job) if kind == "job" else Ref("build", self.build_id)

    def interest(self) -> Interest:
        """The build and its log."""
        if not self.build_id:
            return NOTHING_WATCHED
        return Interest(builds=frozenset({self.build_id}), logs=frozenset({log_of_build(self.build_id)}))

    # ---------------------------------------------------------------- commands

    def handler(self, command_id: str) -> Handler | None:
        """Facts scroll by the registry's keys too."""
        if self.panel is self.facts_panel and (own := self.facts.commands().get(command_id)):
            return own
        return super().handler(command_id)

    def do_look_details(self) -> None:
        """This is all there is of a build: on a stage the log has the focus next, on a job its agent is shown."""
        ref = self.cursor_ref()
        agent = self.store.jobs[ref.id].agent if ref and ref.kind == "job" and ref.id in self.store.jobs else ""
        if agent:
            self.go_to(Ref("agent", agent))
        else:
            self.focus_panel(self.log_panel)

    def do_look_logs(self) -> None:
        """To the log on this screen; from there to the screen of logs."""
        if self.panel is not self.log_panel:
            self.focus_panel(self.log_panel)
        else:
            super().do_look_logs()
