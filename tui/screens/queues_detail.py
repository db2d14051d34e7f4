"""One pool: what is known of its queue and how far that is believed, its builds, its past, its dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from tui import commands
from tui.panels import Changed, Panel
from tui.safe_text import plain
from tui.screens import builds_table
from tui.screens.base import FarmScreen, Handler
from tui.screens.builds import KNOWS_BUILDS
from tui.screens.builds_table import BuildLine, BuildLines
from tui.screens.queues import NO_DEAD
from tui.screens.queues_facts import pool_chart, pool_facts
from tui.screens.queues_rows import update_rows
from tui.screens.queues_table import NEWEST_FIRST, DeadLine, DeadLines, dead_columns
from tui.state import Ref
from tui.state.events import DeadSeen, PoolsSeen, SourceName
from tui.widgets.columns import Layout
from tui.widgets.facts import FactsView
from tui.widgets.time_chart import TimeChart
from tui.widgets.virtual_table import VirtualTable

OLDEST_FIRST = Layout(sort="age", descending=True)


class PoolBuilds(BuildLines):
    """The builds of one pool that have not ended, the pool being the screen's."""

    def __init__(self, screen: QueueScreen) -> None:
        super().__init__(lambda: screen.store, screen.source.now)
        self._screen = screen

    def keys(self) -> Sequence[str]:
        """Those that wait or run."""
        return [key for key in self._screen.store.builds if self._screen.holds(key)]


class QueueScreen(FarmScreen):
    """One pool."""

    name_: ClassVar[commands.Screen] = "queue"
    one_panel_below: ClassVar[tuple[int, int]] = (100, 20)
    DEFAULT_CSS = """
    QueueScreen #body { layout: grid; grid-size: 2; grid-columns: 1fr 1fr; grid-rows: 1fr 1fr; }
    QueueScreen.-wide #body { grid-columns: 70 1fr; grid-rows: 3fr 2fr; }
    QueueScreen.-one-panel #body { layout: vertical; }
    """

    def panels(self) -> ComposeResult:
        """Facts and builds, chart and dead letters."""
        self.pool = ""
        builds, dead = self.layout_of("builds"), self.layout_of("dead")
        self.facts = FactsView(id="facts")
        self.builds: VirtualTable[BuildLine] = VirtualTable(
            PoolBuilds(self),
            [column for column in builds_table.columns(utf8=self.utf8) if column.name != "pool"],
            layout=OLDEST_FIRST if builds == Layout() else builds,
            empty="Nothing waits or runs in this pool.",
            id="builds",
        )
        self.chart = TimeChart(utf8=self.utf8)
        self.chart.can_focus = True
        self.dead: VirtualTable[DeadLine] = VirtualTable(
            DeadLines(lambda: self.store, self.source.now, lambda: self.pool),
            [column for column in dead_columns(utf8=self.utf8) if column.name != "pool"],
            layout=NEWEST_FIRST if dead == Layout() else dead,
            empty=NO_DEAD,
            id="dead",
        )
        both: tuple[SourceName, ...] = ("producer", "scaler")
        self.facts_panel = Panel(
            "Pool", self.facts, kind="text", update=self._update_facts, sources=both, needs=(PoolsSeen,)
        )
        self.builds_panel = Panel(
            "Waiting and running", self.builds, kind="table", update=self._update_builds, needs=KNOWS_BUILDS
        )
        self.chart_panel = Panel(
            "Lately", self.chart, kind="chart", update=self._update_chart, sources=both, needs=(PoolsSeen,)
        )
        self.dead_panel = Panel("Dead letters", self.dead, kind="table", update=self._update_dead, needs=(DeadSeen,))
        yield self.facts_panel
        yield self.builds_panel
        yield self.chart_panel
        yield self.dead_panel

    # ---------------------------------------------------------------- what is shown

    def holds(self, build_id: str) -> bool:
        """Whether a build waits or runs in this pool."""
        build = self.store.builds.get(build_id)
        return build is not None and build.pool == self.pool and not build.ended

    def show_ref(self, ref: Ref) -> None:
        """Show that pool; a dead letter shows the pool that it died in."""
        letter = self.store.dead.get(ref.id) if ref.kind == "dead" else None
        self.pool = letter.target_pool.lower() if letter else ref.id
        self.refresh_changed(None)
        if letter is not None and self.dead.go_to(ref.id):
            self.call_after_refresh(self.focus_panel, self.dead_panel)  # as on the screen of all pools

    def _update_facts(self, changed: Changed) -> None:  # noqa: ARG002 - ages go on
        self.facts_panel.title = f"Pool {plain(self.pool, limit=40)}"
        self.facts.show(pool_facts(self.store, self.pool, self.source.now(), utf8=self.utf8))

    def _update_builds(self, changed: Changed) -> None:
        update_rows(self.builds, _Held(self), "build", changed)
        self.builds_panel.title = f"Waiting and running {self.builds.total:,}"

    def _update_chart(self, changed: Changed) -> None:  # noqa: ARG002 - time goes on
        self.chart.show(pool_chart(self.store, self.pool, self.source.now(), utf8=self.utf8))

    def _update_dead(self, changed: Changed) -> None:
        own = {key for key, letter in self.store.dead.items() if letter.target_pool.lower() == self.pool}
        update_rows(self.dead, own, "dead", changed)
        more = " or more" if self.store.dead_more else ""
        self.dead_panel.title = f"Dead letters {len(own):,}{more}"

    # ---------------------------------------------------------------- the cursor

    def cursor_ref(self) -> Ref | None:
        """The build, the dead letter, or the pool."""
        if self.panel is self.builds_panel:
            return Ref("build", self.builds.cursor) if self.builds.cursor else None
        if self.panel is self.dead_panel:
            return Ref("dead", self.dead.cursor) if self.dead.cursor else None
        return Ref("pool", self.pool) if self.pool else None

    def marked_ref(self, key: str) -> Ref | None:
        """A dead letter, or a build."""
        return Ref("dead" if self.panel is self.dead_panel else "build", key)

    # ---------------------------------------------------------------- commands

    def handler(self, command_id: str) -> Handler | None:
        """Facts scroll by the registry's keys too."""
        if self.panel is self.facts_panel and (own := self.facts.commands().get(command_id)):
            return own
        return super().handler(command_id)

    def do_look_details(self) -> None:
        """A build has a screen of its own, and a dead letter is a build."""
        ref = self.cursor_ref()
        if ref is not None and ref.kind != "pool":
            self.go_to(Ref("build", ref.id))


class _Held:
    """The builds that a screen's pool holds, as a container: nothing is gone through."""

    def __init__(self, screen: QueueScreen) -> None:
        self._screen = screen

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._screen.holds(key)
