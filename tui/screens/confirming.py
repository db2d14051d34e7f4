"""The window before anything is changed: what, to which things, with which effect. Doing nothing is the default."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Static

from tui.proposals import Proposal
from tui.safe_text import plain
from tui.screens.menus import Line, Window

MOST_REASON = 500
_HINTS = {
    "none": "tab: the other button · enter: choose · esc: do nothing",
    "optional": "shift+tab: a reason, if you like · tab: the other button · enter: choose · esc: do nothing",
    "required": "shift+tab: the reason, which is needed · tab: the other button · enter: choose · esc: do nothing",
}


class Confirm(Window[str | None]):
    """Shows a proposal; gives the reason typed ("" where none is asked for), None when nothing is to be done."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Do nothing")]
    DEFAULT_CSS = """
    Confirm .confirm--targets { height: auto; max-height: 12; margin: 1 0; }
    Confirm .confirm--note { color: $text-muted; height: auto; }
    Confirm .confirm--wrong { color: $text-error; height: auto; }
    Confirm Horizontal { height: auto; margin-top: 1; }
    Confirm Button { height: 1; min-width: 12; border: none; margin-right: 2; }
    Confirm Button:focus { text-style: bold reverse; }
    """

    def __init__(self, proposal: Proposal) -> None:
        super().__init__()
        self.proposal = proposal

    def compose(self) -> ComposeResult:
        """Title, effect, request, every target, what is left out and why, the reason, two buttons."""
        shown = self.proposal
        with Vertical(classes="window"):
            yield Static(Text(f"{shown.title}?"), classes="window--title")
            yield Static(Text(shown.effect))
            with VerticalScroll(classes="confirm--targets", can_focus=False):
                yield Static(_listed(shown))
            yield Static(Text(f"{shown.call}, {_times(len(shown.targets))}"), classes="confirm--note")
            if shown.reason != "none":
                yield Static(Text("Reason, for whoever asks later:"), classes="confirm--note")
                yield Line(max_length=MOST_REASON, id="reason")
            yield Static("", classes="confirm--wrong")
            with Horizontal():
                yield Button("Do nothing", id="leave", compact=True)
                yield Button(shown.title, id="act", variant="error", compact=True)
            yield Static(Text(_HINTS[shown.reason]), classes="confirm--note")

    def on_mount(self) -> None:
        """Enter does nothing until another button was chosen."""
        self.query_one("#leave", Button).focus()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """A reason alone does nothing yet."""
        message.stop()
        self.query_one("#leave", Button).focus()

    def on_button_pressed(self, message: Button.Pressed) -> None:
        """One of the two."""
        message.stop()
        if message.button.id != "act":
            self.dismiss(None)
            return
        reason = "" if self.proposal.reason == "none" else plain(self.query_one(Input).value).strip()
        if self.proposal.reason == "required" and not reason:
            self.query_one(".confirm--wrong", Static).update(Text("Say why: it is kept with the dead letter."))
            self.query_one(Input).focus()
            return
        self.dismiss(reason)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _listed(shown: Proposal) -> Text:
    """Every target on a line of its own, then what is left out; all of it may come from anywhere."""
    lines = Text()
    for target in shown.targets:
        hidden = " (the filter hides it)" if target.hidden else ""
        lines.append(f"  {plain(target.text)}{hidden}\n", "bold" if hidden else "")
    for one in shown.left_out:
        lines.append(f"  left out: {plain(one.text)}: {plain(one.why)}\n", "dim")
    lines.rstrip()
    return lines
