"""All builds; where the screen is wide, stages and log of the one under the cursor stand beside them."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.timer import Timer

from tui import commands
from tui.panels import Changed, Panel
from tui.screens.base import FarmScreen
from tui.screens.builds_parts import StageParts
from tui.screens.builds_table import NEWEST_FIRST, BuildLine, BuildLines, columns
from tui.source import NOTHING_WATCHED, Interest
from tui.state import Ref
from tui.state.events import BuildChanged, BuildSeen, BuildsSeen, log_of_build
from tui.widgets.columns import Layout
from tui.widgets.log_pane import LogPane
from tui.widgets.virtual_table import VirtualTable

BESIDE_FROM = 160
"""Cells of width from which stages and log stand beside the list."""
EMPTY = "No builds yet. Send one with `buildyard submit`, or with curl to the producer."
KNOWS_BUILDS = (BuildsSeen, BuildSeen, BuildChanged)
_SETTLED_SECONDS = 0.2
"""So long the cursor stays on a build before the source is asked for it: running over rows asks for none."""


class BuildsScreen(FarmScreen):
    """The table of builds."""

    name_: ClassVar[commands.Screen] = "builds"
    DEFAULT_CSS = """
    BuildsScreen #body { layout: horizontal; }
    BuildsScreen #beside { display: none; }
    BuildsScreen.-beside #builds-panel { width: 5fr; }
    BuildsScreen.-beside #beside { display: block; width: 3fr; }
    BuildsScreen.-beside #tree-panel { height: 12; }
    BuildsScreen.-one-panel #body { layout: vertical; }
    """

    def panels(self) -> ComposeResult:
        """The list, and what stands beside it."""
        layout = self.layout_of("builds")
        self.table: VirtualTable[BuildLine] = VirtualTable(
            BuildLines(lambda: self.store, self.source.now),
            columns(utf8=self.utf8),
            layout=NEWEST_FIRST if layout == Layout() else layout,
            empty=EMPTY,
            id="builds",
        )
        self.parts = StageParts(utf8=self.utf8)
        self._settling: Timer | None = None
        self.list_panel = Panel(
            "Builds", self.table, kind="table", update=self._update_list, needs=KNOWS_BUILDS, id="builds-panel"
        )
        self.tree_panel = Panel(
            "Stages", self.parts.tree, kind="tree", update=self._update_tree, needs=KNOWS_BUILDS, id="tree-panel"
        )
        self.log_panel = Panel(
            "Log", self.parts.log, kind="log", update=self._update_log, needs=KNOWS_BUILDS, id="log-panel"
        )
        yield self.list_panel
        with Vertical(id="beside", classes="group"):
            yield self.tree_panel
            yield self.log_panel

    # ---------------------------------------------------------------- what is shown

    def all_panels(self) -> list[Panel]:
        """Those that there is room for."""
        return super().all_panels() if self.has_class("-beside") else [self.list_panel]

    def on_resize(self, event: events.Resize) -> None:
        """Stages and log come or go."""
        beside = event.size.width >= BESIDE_FROM
        if beside != self.has_class("-beside"):
            self.set_class(beside, "-beside")
            if not beside and self.panel is not self.list_panel:
                self.focus_panel(self.list_panel)
            self.refresh_changed(None)
            self.watch_anew()

    def _update_list(self, changed: Changed) -> None:
        if changed is None:
            self.table.reload()
        else:
            there = self.store.builds
            named = [ref.id for ref in changed if ref.kind == "build"]
            # What is on the screen changes with time and with its pool.
            self.table.changed([*(key for key in named if key in there), *self.table.visible_keys()])
            self.table.changed([], [key for key in named if key not in there])
        shown, total = self.table.shown, self.table.total
        self.list_panel.title = f"Builds {shown:,} of {total:,}" if self.table.filter else f"Builds {total:,}"

    def _update_tree(self, changed: Changed) -> None:  # noqa: ARG002 - the tree is small: it is made anew
        self.parts.show(self.table.cursor or "")
        self.parts.update_tree(self.store, self.source.now())

    def _update_log(self, changed: Changed) -> None:  # noqa: ARG002 - a log tells what is new by itself
        self.parts.update_log(self.store)
        branch = self.parts.branch
        self.log_panel.title = f"Log of {branch.label}" if branch else "Log"

    # ---------------------------------------------------------------- the cursor

    def on_virtual_table_cursor_moved(self, message: VirtualTable.CursorMoved) -> None:
        """Another build, or another of its stages."""
        if not self.has_class("-beside"):
            return
        if message.table is self.table:
            self.tree_panel.update_safely(frozenset())
            if self._settling is not None:
                self._settling.stop()
            self._settling = self.set_timer(_SETTLED_SECONDS, self.watch_anew)
        self.log_panel.update_safely(frozenset())

    def on_log_pane_follow_changed(self, message: LogPane.FollowChanged) -> None:
        """Who scrolls is not taken elsewhere."""
        if not message.follow:
            self.parts.stay()

    def cursor_ref(self) -> Ref | None:
        """The build under the cursor, in whichever panel."""
        return Ref("build", self.table.cursor) if self.table.cursor else None

    def marked_ref(self, key: str) -> Ref | None:
        """A build."""
        return Ref("build", key)

    def show_ref(self, ref: Ref) -> None:
        """The cursor goes to that build; a filter that hides it is taken away."""
        if ref.kind != "build" or self.table.go_to(ref.id):
            return
        if ref.id in self.store.builds:
            self.table.set_filter("")
            self.table.go_to(ref.id)

    def interest(self) -> Interest:
        """The build under the cursor, where its stages and its log are shown."""
        build = self.table.cursor
        if not build or not self.has_class("-beside"):
            return NOTHING_WATCHED
        return Interest(builds=frozenset({build}), logs=frozenset({log_of_build(build)}))
