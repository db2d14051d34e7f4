"""The window that tells what was done from here. Enter goes to the thing, or asks again where nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.activity import MARKS, Activity, Entry
from tui.format import clock
from tui.safe_text import plain
from tui.screens.menus import Window

NOTHING = "Nothing was done from here."
_LOOK_SECONDS = 0.25
_MOST_SHOWN = 500


class ActivityWindow(Window[str | None]):
    """The orders and their outcomes, the newest first, as they come; gives the key of the one chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,A", "dismiss(None)", "Close"),
        ("j", "down", "Down"),
        ("k", "up", "Up"),
    ]

    def __init__(self, activity: Callable[[], Activity], *, utf8: bool = True) -> None:
        super().__init__()
        self._activity = activity
        self._utf8 = utf8
        self._shown = -1
        self._keys: list[str] = []

    def compose(self) -> ComposeResult:
        """A title and the list."""
        with Vertical(classes="window -page"):
            yield Static("What was done from here (enter: go there, or ask again; esc closes)", classes="window--title")
            yield OptionList()

    def on_mount(self) -> None:
        """What there is, and from now on what changes."""
        self._show()
        self.set_interval(_LOOK_SECONDS, self._show)

    def _show(self) -> None:
        activity = self._activity()
        if activity.version == self._shown:
            return
        self._shown = activity.version
        options = self.query_one(OptionList)
        lit = self._keys[options.highlighted] if options.highlighted is not None and self._keys else ""
        entries = activity.newest_first()[:_MOST_SHOWN]
        self._keys = [entry.order.key for entry in entries]
        options.clear_options()
        options.add_options([Option(self._line(entry)) for entry in entries] or [Option(NOTHING, disabled=True)])
        if self._keys:
            options.highlighted = self._keys.index(lit) if lit in self._keys else 0

    def _line(self, entry: Entry) -> Text:
        mark = MARKS[entry.stage]
        said = f": {plain(entry.sentence)}" if entry.sentence else ""
        return Text(f"{clock(entry.at)} {mark.sign(utf8=self._utf8)} {mark.word:8} {plain(entry.text)}{said}")

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """One was chosen."""
        message.stop()
        self.dismiss(self._keys[message.option_index])

    def action_down(self) -> None:
        """One line down."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """One line up."""
        self.query_one(OptionList).action_cursor_up()
