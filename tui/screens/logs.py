"""The logs of many agents and builds, merged by time: a tree to choose from, and the lines."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult

from tui import commands
from tui import format as shown
from tui.panels import Changed, Panel
from tui.screens.base import FarmScreen
from tui.screens.logs_choice import Choice
from tui.screens.logs_sources import MOST_FOLLOWED, SourceLine, source_columns
from tui.source import Interest
from tui.state import Ref
from tui.state.events import AgentsSeen, BuildsSeen, WorkersSeen
from tui.widgets.columns import Layout
from tui.widgets.log_cells import Before, Labels
from tui.widgets.log_pane import LogPane
from tui.widgets.log_reader import Stamps
from tui.widgets.virtual_table import VirtualTable

_ROOMY = 120
_NOTHING = "Nothing is chosen. space takes an agent, a build or a whole pool in; enter shows it alone."
_WAITS = "No lines yet. An agent's log comes from its scaler, a build's from the producer."
_SINCE: tuple[tuple[str, float | None], ...] = (
    ("all", None),
    ("last hour", 3_600),
    ("last 15 minutes", 900),
    ("last 5 minutes", 300),
    ("last minute", 60),
)


class SourceTable(VirtualTable[tuple[SourceLine, str]]):
    """The tree; marking a line takes its log in, or out."""

    class Chosen(VirtualTable.Opened):
        """The line was marked."""

    def action_mark(self) -> None:
        """Tell of it, and go one down."""
        if self.cursor is not None:
            self.post_message(self.Chosen(self, self.cursor))
            self.action_scroll_down()


class LogsScreen(FarmScreen):
    """Logs."""

    name_: ClassVar[commands.Screen] = "logs"
    DEFAULT_CSS = """
    LogsScreen #body { layout: horizontal; }
    LogsScreen #sources-panel { width: 28; }
    LogsScreen.-wide #sources-panel { width: 44; }
    LogsScreen #merged-panel { width: 1fr; }
    LogsScreen.-one-panel #sources-panel { width: 1fr; }
    """

    def panels(self) -> ComposeResult:
        """The tree beside the log."""
        self.choice = Choice(lambda: self.store)
        self._since = 0
        layout = self.layout_of("sources")
        self.table = SourceTable(
            self.choice.rows,
            source_columns(utf8=self.utf8),
            layout=layout if layout.sort else Layout(layout.shown, layout.widths, "source"),
            empty="No agents and no running builds.",
            id="sources",
        )
        self.pane = LogPane(empty=_NOTHING, id="merged")
        labels = Labels.FULL if self.app.size.width >= _ROOMY else Labels.SHORT
        self.pane.before = Before(Stamps.TIME, labels)
        self.sources_panel = Panel(
            "Sources",
            self.table,
            kind="table",
            update=self._update_sources,
            needs=(AgentsSeen, WorkersSeen, BuildsSeen),
            id="sources-panel",
        )
        self.log_panel = Panel("Log", self.pane, kind="log", update=self._update_log, sources=(), id="merged-panel")
        yield self.sources_panel
        yield self.log_panel

    # ---------------------------------------------------------------- what is shown

    def _update_sources(self, changed: Changed) -> None:
        before = set(self.choice.rows.keys())
        self.choice.rows.refresh()
        if changed is None:
            self.table.reload()
        else:
            after = set(self.choice.rows.keys())
            self.table.changed(
                (after - before) | {key for key in self.table.visible_keys() if key in after}, before - after
            )
        chosen = len(self.choice.chosen)
        self.sources_panel.title = f"Sources · {chosen} chosen" if chosen else "Sources"

    def _update_log(self, changed: Changed) -> None:  # noqa: ARG002 - a log tells what is new by itself
        now = self.source.now().timestamp()
        if self.choice.update(now):
            self.watch_anew()
        if self.pane.reader.ring is not self.choice.merged.ring:
            self.pane.show(self.choice.merged.ring)
        self.pane.empty = _WAITS if self.choice.chosen else _NOTHING
        self.pane.soon()
        self.log_panel.title = self._title()

    def _title(self) -> str:
        count = len(self.choice.streams)
        parts = [f"Log of {count} sources" if count != 1 else f"Log of {next(iter(self.choice.labels.values()), '')}"]
        if self.choice.by_source:
            parts.append("one source after the other")
        if self._since:
            parts.append(_SINCE[self._since][0])
        if self.choice.left_out:
            parts.append(f"{self.choice.left_out} more chosen: only {MOST_FOLLOWED} are followed at once")
        if self.choice.merged.late:
            parts.append(f"{shown.count(self.choice.merged.late)} came late")
        return " · ".join(parts)

    def interest(self) -> Interest:
        """The logs that are followed."""
        return Interest(logs=frozenset(self.choice.streams))

    # ---------------------------------------------------------------- choosing

    def on_source_table_chosen(self, message: SourceTable.Chosen) -> None:
        """Take a log in, or out; of a pool all of them."""
        message.stop()
        self.choice.toggle(message.key)
        self._chose()

    def show_ref(self, ref: Ref) -> None:
        """Show that log alone."""
        key = self.choice.only(ref.id)
        self._chose()
        self.table.go_to(key)
        self.call_after_refresh(self.focus_panel, self.log_panel)  # a screen that has just opened gives it to the first

    def _chose(self) -> None:
        self.refresh_changed(frozenset())
        self.table.changed(self.choice.rows.keys())
        self.table.flush()
        self.pane.flush()
        self.watch_anew()

    def do_look_details(self) -> None:
        """In the tree: that log alone. In the log: the agent or build that wrote the line."""
        if self.panel is self.log_panel:
            super().do_look_details()
        elif self.table.cursor is not None:
            self.choice.alone(self.table.cursor)
            self._chose()
            self.focus_panel(self.log_panel)

    def do_look_logs(self) -> None:
        """To the lines."""
        self.focus_panel(self.log_panel)

    def do_table_mark_all(self) -> None:
        """Take in all that the filter shows, or none."""
        self.choice.all_or_none(self.table.shown_keys())
        self._chose()

    def do_move_back(self) -> None:
        """From the lines to the tree, from there to the screen before."""
        if self.panel is self.sources_panel:
            self.farm.do_move_back()
        elif not self.clear_filter():
            self.focus_panel(self.sources_panel)

    def cursor_ref(self) -> Ref | None:
        """What the line of the tree stands for, or who wrote the line of the log."""
        if self.panel is self.log_panel:
            return self.choice.writer_of(self._source_of_line())
        return self.choice.ref_of(self.table.cursor)

    def _source_of_line(self) -> str:
        """What stands before the line under the cursor, else before the newest one."""
        reader = self.pane.reader
        number = reader.cursor if reader.cursor is not None else reader.ring.end - 1
        return reader.ring[number].source if reader.ring.first <= number < reader.ring.end else ""

    # ---------------------------------------------------------------- the log

    def do_log_since_longer(self) -> None:
        """More of the past."""
        self._look_back(self._since - 1)

    def do_log_since_shorter(self) -> None:
        """Less of the past."""
        self._look_back(self._since + 1)

    def _look_back(self, step: int) -> None:
        self._since = max(0, min(step, len(_SINCE) - 1))
        seconds = _SINCE[self._since][1]
        self.choice.look_back(seconds, self.source.now().timestamp())
        self._chose()

    def do_log_order(self) -> None:
        """By time, or one source after the other."""
        self.choice.order(by_source=not self.choice.by_source)
        self._chose()

    def do_log_marker(self) -> None:
        """A line to see what is new."""
        now = self.source.now()
        self.pane.seam(f"marked at {shown.clock(now)}", at=now.timestamp())
