"""What all screens share: panels with states, a focus, commands from the registry, and the way to other things."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget

from tui import acting, commands
from tui.commands import Command, Place
from tui.faults import told
from tui.header import Footer, Header
from tui.narrow import NarrowCompositor
from tui.panels import Changed, Panel, panel_state
from tui.screens import log_commands, table_commands
from tui.source import NOTHING_WATCHED, Interest, Source
from tui.state import Ref, Store
from tui.state.events import PartSeen, part_of_build, part_of_log
from tui.state.related import related
from tui.widgets.columns import Layout
from tui.widgets.line_view import LineView
from tui.widgets.log_pane import LogPane
from tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from tui.app import FarmApp

Handler = Callable[[], object]


def handler_name(command_id: str) -> str:
    """The method that does a command: `look.copy_json` -> `do_look_copy_json`."""
    return f"do_{command_id.replace('.', '_')}"


class FarmScreen(Screen[None]):
    """One screen of the dashboard.

    A screen says its `name_`, composes its `Panel`s in `panels`, and says what it looks at in `interest`. For each
    command that it does itself it has a method `do_<id with _ for .>`; a command without a method here, for the kind
    of the focused panel, or in the app, is neither shown nor bound to its key.
    """

    name_: ClassVar[commands.Screen]
    one_panel_below: ClassVar[tuple[int, int]] = (80, 20)
    """Narrower or lower than this, one panel has the whole screen; `tab` changes it."""

    first_panel: ClassVar[str] = ""
    """The id of the panel that has the focus at first; "": the first one."""

    def __init__(self) -> None:
        super().__init__()
        self._compositor = NarrowCompositor()
        self._panels: tuple[Panel, ...] = ()
        self._ends: tuple[Header, Footer] | None = None
        """The first and the last line, once there are panels: looking for them at each change would cost most of it."""
        self.zoomed = False
        self._current: Panel | None = None

    # ---------------------------------------------------------------- for the screen to say

    def panels(self) -> ComposeResult:
        """Compose the panels, in the order that `tab` goes through."""
        raise NotImplementedError

    def interest(self) -> Interest:
        """Which builds and logs are looked at; after it changed, call `watch_anew`."""
        return NOTHING_WATCHED

    def show_ref(self, ref: Ref) -> None:
        """The screen was opened to show this thing: choose it."""

    def cursor_ref(self) -> Ref | None:
        """The thing that the cursor is on, in the focused panel: for related things, log, details and copying."""
        return None

    def marked_ref(self, key: str) -> Ref | None:
        """The thing that a marked row of the focused table stands for; by default of the same kind as the cursor's."""
        ref = self.cursor_ref()
        return Ref(ref.kind, key) if ref else None

    def before_update(self, changed: Changed) -> None:
        """Called before the panels are brought up to date."""

    # ---------------------------------------------------------------- for the screen to use

    @property
    def farm(self) -> FarmApp:
        """The app."""
        return cast("FarmApp", self.app)

    @property
    def store(self) -> Store:
        """All that is known. The app makes an empty one when time goes back: do not keep it."""
        return self.farm.store

    @property
    def source(self) -> Source:
        """Where the data come from; `source.now()` is the only clock for ages."""
        return self.farm.source

    @property
    def utf8(self) -> bool:
        """Whether the terminal shows more than ASCII."""
        return self.farm.utf8

    def go_to(self, ref: Ref) -> None:
        """Open the screen that shows a thing."""
        self.farm.go_to(ref)

    def watch_anew(self) -> None:
        """Tell the source what is looked at now."""
        self.farm.watch_anew()

    def layout_of(self, table_id: str) -> Layout:
        """The user's columns and sort for a table of this screen; changes are kept by themselves."""
        return self.farm.configuration.layout(f"{self.name_}.{table_id}")

    # ---------------------------------------------------------------- composing and updating

    def compose(self) -> ComposeResult:
        """Header, panels, footer."""
        yield Header()
        with Container(id="body"):
            yield from self.panels()
        yield Footer()

    def on_mount(self) -> None:
        """Everything is new."""
        self._panels = tuple(self.query(Panel))
        self._ends = self.query_one(Header), self.query_one(Footer)
        for view in self.query(LineView):
            view.slow_seconds = self.farm.slow_seconds
        panels = self.all_panels()
        if panels:
            self._current = next((panel for panel in panels if panel.id == self.first_panel), panels[0])
            self._current.content.focus()
        self._arrange(self.app.size)
        self.refresh_changed(None)

    def all_panels(self) -> list[Panel]:
        """The panels in order."""
        return list(self._panels or self.query(Panel))

    def refresh_changed(self, changed: Changed) -> None:
        """Bring the panels up to date, each by itself."""
        self.before_update(changed)
        for panel in self.all_panels():
            panel.update_safely(changed)
        self.refresh_states()

    def tick(self) -> None:
        """About once a second, also when nothing changed: ages go on."""
        self.refresh_states()

    def refresh_states(self) -> None:
        """How well each panel's data are known, header and footer."""
        now = self.source.now()
        for panel in self.all_panels():
            loaded = not panel.needs or any(kind in self.farm.heard for kind in panel.needs)
            withheld = self._withheld(panel)
            if withheld and isinstance(panel.content, LogPane):
                loaded = bool(len(panel.content.reader.ring))
            waited = self.farm.seconds_open(now)
            known = self.store.sources
            panel.show_state(panel_state(panel.sources, known, now, loaded=loaded, waited=waited, withheld=withheld))
        if self._ends is not None and self.is_attached:  # there is none while the screen comes or goes
            self._ends[0].show(self.farm.header_line())
        self.refresh_footer()

    def _withheld(self, panel: Panel) -> list[PartSeen]:
        """What of a panel's data is not told; nearly always nothing."""
        there = self.store.withheld
        if not there:
            return []
        parts, looked_at = [*panel.parts], self.interest()
        if panel.kind == "log":
            parts += map(part_of_log, sorted(looked_at.logs))
        elif panel.kind in {"tree", "text"}:
            parts += map(part_of_build, sorted(looked_at.builds))
        return [there[part] for part in parts if part in there]

    def refresh_footer(self) -> None:
        """The keys of the focused panel."""
        keys = [(key, command) for key, command in self.farm.keymap.footer(self.place) if self.can(command)]
        if self._ends is not None and self.is_attached:
            self._ends[1].show(keys)

    # ---------------------------------------------------------------- focus, zoom and size

    @property
    def panel(self) -> Panel | None:
        """The panel that has the focus, or had it last."""
        return self._current

    @property
    def place(self) -> Place:
        """Where the focus is, for the registry."""
        return Place(self.name_, self._current.kind if self._current else "text")

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Another panel may have it now."""
        for widget in event.widget.ancestors_with_self:
            if isinstance(widget, Panel):
                self._current = widget
                self._arrange(self.app.size)
                self.refresh_footer()

    def on_resize(self, event: events.Resize) -> None:
        """One panel or all of them."""
        self._arrange(event.size)

    def _arrange(self, size: Size) -> None:
        width, height = self.one_panel_below
        one = self.zoomed or size.width < width or size.height < height
        self.set_class(one, "-one-panel")
        for panel in self.all_panels():
            panel.set_class(panel is self._current, "-current")

    def focus_panel(self, panel: Panel) -> None:
        """Give a panel the focus."""
        self._current = panel
        self._arrange(self.app.size)
        panel.content.focus()
        self.refresh_footer()

    def _next_panel(self, step: int) -> None:
        panels = self.all_panels()
        if panels:
            at = panels.index(self._current) if self._current in panels else 0
            self.focus_panel(panels[(at + step) % len(panels)])

    # ---------------------------------------------------------------- commands

    def handler(self, command_id: str) -> Handler | None:
        """What does a command here: this screen, the focused panel's kind, or the app."""
        name = handler_name(command_id)
        own: Handler | None = getattr(self, name, None)
        if own is not None:
            return own
        content: Widget | None = self._current.content if self._current else None
        if isinstance(content, VirtualTable) and (on_table := table_commands.HANDLERS.get(command_id)):
            return lambda: on_table(self, content)
        if isinstance(content, LogPane) and (on_log := log_commands.HANDLERS.get(command_id)):
            return lambda: on_log(self, content)
        if command_id in acting.HANDLERS:
            return lambda: acting.HANDLERS[command_id](self.farm.acting)
        of_app: Handler | None = getattr(self.farm, name, None)
        return of_app

    def can(self, command: Command) -> bool:
        """Whether a command does something here, so that it is worth showing."""
        if self.farm.refuses(command):
            return False
        if command.id.startswith("go.") and command.id[3:] in commands.PANELS_ON:
            return command.id[3:] in self.farm.there
        return command.applies(self.place) and self.handler(command.id) is not None

    def run_command(self, command: Command) -> bool:
        """Do a command; False where it does nothing here."""
        if not self.can(command):
            return False
        if command.id.startswith("go.") and command.id[3:] in commands.PANELS_ON:
            self.farm.open_screen(cast("commands.Screen", command.id[3:]))
            return True
        handler = self.handler(command.id)
        try:
            if handler is not None:
                handler()
        except Exception as error:  # noqa: BLE001 - a command that fails ends nothing
            self.farm.note_fault(f"the command {command.title}", error)
            self.farm.tell(f"{command.title} failed: {told(error)} `Report a fault`, by : and its name, tells more.")
        return True

    def on_key(self, event: events.Key) -> None:
        """A key does what the registry says."""
        command = self.farm.keymap.command_for(key_of(event), self.place)
        if command is None:
            return
        if command.group == "Act" and not self.farm.acting.allowed:
            self.farm.tell(self.farm.acting.why_not())
        elif not self.run_command(command):
            return
        event.stop()
        event.prevent_default()

    def on_header_tab_chosen(self, message: Header.TabChosen) -> None:
        """A click does what the tab's key does."""
        message.stop()
        command = self.farm.keymap.command_for(message.key, self.place)
        if command is not None:
            self.run_command(command)

    def acted_on(self) -> tuple[tuple[Ref, ...], frozenset[Ref]]:
        """What an action is about: all that is marked in the focused table, else the thing under the cursor.

        With those of the marked that the filter hides.
        """
        content = self._current.content if self._current else None
        if isinstance(content, VirtualTable) and content.marked:
            refs = {key: ref for key in sorted(content.marked) if (ref := self.marked_ref(key)) is not None}
            hidden = content.marked_and_hidden()
            return tuple(refs.values()), frozenset(ref for key, ref in refs.items() if key in hidden)
        ref = self.cursor_ref()
        return (() if ref is None else (ref,)), frozenset()

    def unmark(self) -> None:
        """What was marked has been acted on."""
        content = self._current.content if self._current else None
        if isinstance(content, VirtualTable):
            content.action_unmark_all()

    def do_move_next_panel(self) -> None:
        """Tab."""
        self._next_panel(1)

    def do_move_previous_panel(self) -> None:
        """Shift and tab."""
        self._next_panel(-1)

    def clear_filter(self) -> bool:
        """Take the filter of the focused panel away; False where there is none."""
        content = self._current.content if self._current else None
        if isinstance(content, VirtualTable) and content.filter:
            content.set_filter("")
            return True
        if isinstance(content, LogPane) and content.reader.filter:
            content.set_filter("")
            return True
        return False

    def do_look_zoom(self) -> None:
        """One panel, or all of them."""
        self.zoomed = not self.zoomed
        self._arrange(self.app.size)

    def do_look_related(self) -> None:
        """Choose from what hangs together with the thing under the cursor."""
        ref = self.cursor_ref()
        found = related(self.store, ref) if ref else ()
        self.farm.choose_related(tuple(one for one in found if self.farm.can_show(one)))

    def do_look_logs(self) -> None:
        """The log of the thing under the cursor."""
        ref = self.cursor_ref()
        found = related(self.store, ref) if ref else ()
        log = next((one for one in found if one.kind == "log" and self.farm.can_show(one)), None)
        if log is None:
            self.farm.tell("There is no log to show here.")
        else:
            self.farm.go_to(log)

    def do_look_details(self) -> None:
        """The screen of the thing under the cursor."""
        ref = self.cursor_ref()
        if ref is not None:
            self.farm.go_to(ref)

    def on_virtual_table_opened(self, message: VirtualTable.Opened) -> None:
        """Enter: the screen of the thing under the cursor."""
        message.stop()
        self.do_look_details()

    def on_virtual_table_layout_changed(self, message: VirtualTable.LayoutChanged) -> None:
        """Keep the user's choice."""
        message.stop()
        if message.table.id:
            self.farm.keep_layout(f"{self.name_}.{message.table.id}", message.layout)


def key_of(event: events.Key) -> str:
    """A key as the registry names it: the character it types, else Textual's name."""
    character = event.character
    return character if character and event.is_printable and character != " " else event.key
