"""The dashboard's app: what was read is drawn by one timer, and keys do what the registry says.

It never ends and never blanks because of a server: what is known stays on the screen, dimmed, with its age.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast

from rich.text import Text

from tui import commands, screens, themes
from tui.acting import Acting
from tui.commands import Command
from tui.configuration import Configuration
from tui.copying import as_json
from tui.exporting import Exported
from tui.faults import Faults
from tui.header import HeaderLine
from tui.help import keys_that_work
from tui.jumps import found
from tui.panels import Panel
from tui.screens.base import FarmScreen
from tui.screens.exports import exported_of
from tui.screens.menus import Choice, Page, Palette
from tui.source import Advising, Interest, Seekable, Source
from tui.state import Ref
from tui.state.rows import Kind
from tui.travel import TravellingApp
from tui.widgets.columns import Layout

DRAW_SECONDS, SLOW_SECONDS = 0.2, 1.0
_log = logging.getLogger(__name__)


class FarmApp(TravellingApp):
    """The dashboard over one source.

    Args:
        source: a farm, a recording or the demo; the app enters and leaves it.
        configuration: the user's choices.
        slow: draw once a second at most, for slow links.
        writable: whether the farm may be changed from here.
        utf8: whether the terminal shows more than ASCII.
        colours: whether it shows colours.
        live: makes the source of the farm itself, where `source` is a recording.
    """

    TITLE = "Buildyard"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it without ClassVar
        (0, "-narrow"),
        (100, "-medium"),
        (160, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it without ClassVar
        (0, "-short"),
        (30, "-tall"),
    ]

    def __init__(
        self,
        source: Source,
        configuration: Configuration | None = None,
        *,
        slow: bool = False,
        writable: bool = False,
        utf8: bool = True,
        colours: bool = True,
        live: Callable[[], Source] | None = None,
    ) -> None:
        super().__init__(source, live)
        self.animation_level = "none"
        self.configuration = configuration or Configuration()
        self.keymap = self.configuration.keymap()
        self.writable = writable
        self.acting = Acting(self)
        self.faults = Faults()
        self.utf8, self.colours = utf8, colours
        self.slow_seconds = SLOW_SECONDS if slow else 0.0
        self.there = screens.available()
        self.paused = False
        self._opened: dict[commands.Screen, FarmScreen] = {}
        self._history: list[commands.Screen] = []
        self._began: datetime | None = None

    # ---------------------------------------------------------------- life

    def on_mount(self) -> None:
        """Themes, the first screen, the reader and the timers."""
        for theme in themes.THEMES.values():
            self.register_theme(theme)
        self.theme = self.configuration.theme
        self.open_screen("overview")
        self.read_present()
        self.set_interval(max(DRAW_SECONDS, self.slow_seconds), self.draw)
        self.set_interval(1.0, self.tell_time)
        for problem in self.keymap.problems:
            self.tell(problem.sentence)

    def draw(self) -> None:
        """Bring the screen up to date with what has changed."""
        screen = self._composed_screen()
        if screen is None or self.paused or not (self._changed or self._all_changed):
            return
        changed = None if self._all_changed else frozenset(self._changed)
        self._changed.clear()
        self._all_changed = False
        self._contain(lambda: screen.refresh_changed(changed))

    def tell_time(self) -> None:
        """Ages go on although nothing changed."""
        if (screen := self._composed_screen()) is not None and not self.paused:
            self._contain(screen.tick)

    def _composed_screen(self) -> FarmScreen | None:
        """The open screen; None while it has no panels yet, which a task of its own makes."""
        screen = self.farm_screen
        return screen if screen is not None and screen.is_mounted else None

    def _contain(self, work: Callable[[], object]) -> None:
        """Drawing that fails is tried again with the next change; it never ends the dashboard."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - see above
            self.note_fault("the screen, which could not be brought up to date", error)

    def note_fault(self, where: str, error: Exception) -> None:
        """Keep what went wrong in the dashboard itself, for a report."""
        if self.faults.note(where, error, self.source.now()):
            _log.error("a fault in %s", where, exc_info=error)

    def on_panel_failed(self, message: Panel.Failed) -> None:
        """A panel shows it; what to send is kept."""
        self.note_fault(f"the panel {message.panel.title}", message.error)

    def begin(self, source: Source) -> None:
        """Show another source: its time is another one."""
        self._began = None
        super().begin(source)

    def seconds_open(self, now: datetime) -> float:
        """Seconds since the app began, of the source's time."""
        self._began = min(self._began or now, now)
        return (now - self._began).total_seconds()

    # ---------------------------------------------------------------- screens

    @property
    def farm_screen(self) -> FarmScreen | None:
        """The screen that is open, also below a window."""
        return next((one for one in reversed(self.screen_stack) if isinstance(one, FarmScreen)), None)

    def open_screen(self, name: commands.Screen, ref: Ref | None = None) -> None:
        """Open a screen, to show a thing where one is given."""
        before = self.farm_screen
        if before is not None and before.name_ != name:
            self._history = [*self._history[-50:], before.name_]
        self._show(name, ref)

    def _show(self, name: commands.Screen, ref: Ref | None = None) -> None:
        screen = self._opened.get(name)
        new = screen is None
        if screen is None:
            screen = self._opened[name] = screens.screen_class(name)()
            self.install_screen(screen, name)
        if self.farm_screen is None:
            self.push_screen(screen)
        elif self.farm_screen is not screen:
            self.switch_screen(screen)
        self.call_later(self._after_opening, screen, ref, new)

    def _after_opening(self, screen: FarmScreen, ref: Ref | None, new: bool) -> None:  # noqa: FBT001 - a callback's
        if not screen.is_mounted:  # its panels are made by a task of its own
            self.call_later(self._after_opening, screen, ref, new)
            return
        if not new:
            screen.refresh_changed(None)
        if ref is not None:
            screen.show_ref(ref)
            screen.refresh_changed(None)
        self.watch_anew()

    def can_show(self, ref: Ref) -> bool:
        """Whether there is a screen for a thing."""
        return screens.screen_for(ref, self.there) is not None

    def go_to(self, ref: Ref) -> None:
        """Open the screen that shows a thing."""
        name = screens.screen_for(ref, self.there)
        if name is None:
            self.tell(f"There is no screen for {ref.kind}s.")
        else:
            self.open_screen(name, ref)

    def watch_anew(self) -> None:
        """Tell the source what the open screen looks at."""
        screen = self.farm_screen
        self.source.watch(screen.interest() if screen is not None and screen.is_mounted else Interest())

    # ---------------------------------------------------------------- windows

    def choose_related(self, refs: Sequence[Ref]) -> None:
        """Let one of several things be chosen, and go there."""
        if not refs:
            self.tell("Nothing hangs together with this, as far as is known.")
            return
        choices = [Choice(str(number), f"{ref.kind} {ref.id}") for number, ref in enumerate(refs[:100])]
        self.choose("Related", choices, lambda value: self.go_to(refs[int(value)]))

    def keep_layout(self, table: str, layout: Layout) -> None:
        """Keep a table's columns."""
        try:
            self.configuration.keep_layout(table, layout)
        except OSError as error:
            self.tell(f"The columns cannot be kept: {error.strerror or error}.")

    # ---------------------------------------------------------------- header

    def header_line(self) -> HeaderLine:
        """What the header tells now."""
        open_ = self.farm_screen
        place = open_.name_ if open_ else "overview"
        tabs = []
        for name in ("overview", "builds", "queues", "agents", "scaler", "logs"):
            if name in self.there:
                command = commands.BY_ID[f"go.{name}"]
                key = next(iter(self.keymap.keys_of(command.id)), "")
                tabs.append((key, command.title, place in {name, name.removesuffix("s")}))
        words = ["paused"] if self.paused else []
        if self.tape is not None:
            words.append("full" if self.tape.full else "recording")
        if when := self.where_in_time():
            words.append(when)
        if under_way := self.acting.activity.under_way:
            words.append(f"acting {under_way}")
        words.append("RW" if self.acting.allowed else "RO")
        seen = tuple(self.store.sources.values())
        return HeaderLine(self.source.title, tuple(tabs), seen, self.source.now(), tuple(words), utf8=self.utf8)

    # ---------------------------------------------------------------- commands

    def offered(self) -> tuple[tuple[str, Command], ...]:
        """(keys, command) of all that works where the focus is."""
        screen = self.farm_screen
        if screen is None:
            return ()
        return tuple(
            (" ".join(self.keymap.keys_of(command.id)), command)
            for command in commands.palette(screen.place, writable=self.acting.allowed)
            if screen.can(command)
        )

    def refuses(self, command: Command) -> bool:
        """Whether a command has no meaning with this source, or nothing may be changed from here."""
        if command.group == "Act":
            return not self.acting.allowed
        if command.id == "scaler.what_if":
            return not isinstance(self.source, Advising)
        if command.id in {"time.record", "time.save"}:
            return self.is_web or isinstance(self.present, Seekable)
        forward = {"time.forward", "time.far_forward", "time.live"}
        return command.id in forward and not isinstance(self.source, Seekable)

    def exported(self) -> Exported | None:
        """What the focused panel has to take out."""
        screen = self.farm_screen
        return exported_of(screen) if screen is not None else None

    def do_go_palette(self) -> None:
        """Jump anywhere, or run a command by its name."""

        def chosen(value: str | None) -> None:
            screen = self.farm_screen
            if value is None or screen is None:
                return
            if value.startswith("!"):
                screen.run_command(commands.BY_ID[value[1:]])
            else:
                kind, _, name = value.partition(":")
                self.go_to(Ref(cast("Kind", kind), name))

        offered = [(key, command) for key, command in self.offered() if command.group != "Move"]
        self.push_screen(Palette(lambda typed: found(self.store, typed, offered, self.can_show)), chosen)

    def do_move_back(self) -> None:
        """A filter goes first, then the zoom, then back to the screen before."""
        screen = self.farm_screen
        if screen is None or screen.clear_filter():
            return
        if screen.zoomed:
            screen.do_look_zoom()
        elif self._history:
            self._show(self._history.pop())

    def do_look_pause(self) -> None:
        """Hold the display, or the tape of a recording; or let it go on."""
        if isinstance(self.source, Seekable) and not self.paused:
            self.source.pause(paused=not self.source.paused)
        else:
            self.paused = not self.paused
        self._all_changed = self._all_changed or not self.paused
        if (screen := self.farm_screen) is not None:
            screen.refresh_states()

    def do_look_copy_json(self) -> None:
        """Copy what is known of the thing under the cursor."""
        screen = self.farm_screen
        ref = screen.cursor_ref() if screen else None
        text = as_json(self.store, ref) if ref else ""
        if text:
            self.copy(text)
        else:
            self.tell("There is nothing here to copy.")

    def do_app_help(self) -> None:
        """All keys that work here."""
        screen = self.farm_screen
        if screen is None:
            return
        note = "" if self.acting.allowed else self.acting.why_not()
        self.push_screen(Page("Keys that work here (esc closes)", keys_that_work(self.keymap, screen, note)))

    def do_app_report(self) -> None:
        """What to send when something failed."""
        size, terminal = self.size, os.environ.get("TERM", "no TERM")
        report = self.faults.report(f"terminal {terminal} of {size.width}x{size.height}, source {self.source.title}")
        title = "What to send to whoever keeps this farm. Look it over before. (y copies it, esc closes)"
        self.push_screen(Page(title, Text(report), copied=report))

    def do_app_quit(self) -> None:
        """The end; while an action is under way only after a question."""
        under_way = self.acting.activity.under_way
        if not under_way:
            self.exit()
            return
        title = f"{under_way} actions are under way. What was asked for already may be done all the same."
        stay, leave = Choice("stay", "Stay until they are done"), Choice("leave", "Leave now")
        self.choose(title, [stay, leave], lambda value: self.exit() if value == "leave" else None)

    def do_app_keys(self) -> None:
        """Which of the user's keys collide."""
        problems = [problem.sentence for problem in self.keymap.problems] or ["None of your keys collide."]
        self.push_screen(Page("Your keys (esc closes)", Text("\n".join(problems))))

    def do_app_reconnect(self) -> None:
        """Ask servers at once, and try panels that failed again."""
        self.source.retry_now()
        if (screen := self.farm_screen) is not None:
            for panel in screen.all_panels():
                panel.try_again()
            screen.refresh_changed(None)
