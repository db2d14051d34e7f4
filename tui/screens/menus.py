"""Small windows over a screen: a list to choose from, a line to type, a page to read. Escape closes each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple, TypeVar

from rich.console import RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui.safe_text import plain

Result = TypeVar("Result")


class Choice(NamedTuple):
    """One line to choose: what it stands for, and its text, which may come from anywhere."""

    value: str
    text: str


class Line(Input):
    """A line to type, whose cursor stands still: nothing here moves by itself."""

    cursor_blink = reactive(default=False, init=False)


class Window(ModalScreen[Result]):
    """A window that is closed once.

    Of two keys that come together, such as enter twice, the second reaches it too: Textual would then take away the
    screen below.
    """

    def __init__(self) -> None:
        super().__init__()
        self._was_dismissed = False

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Close it with a result."""
        if self._was_dismissed:
            return AwaitComplete()
        self._was_dismissed = True
        return super().dismiss(result)


class Menu(Window[str | None]):
    """Choose one of some lines; gives its value, None when nothing was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "dismiss", "Close"),
        ("j", "down", "Down"),
        ("k", "up", "Up"),
    ]

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title = title
        self._choices = choices

    def compose(self) -> ComposeResult:
        """The title and the lines."""
        with Vertical(classes="window"):
            yield Static(Text(plain(self._title)), classes="window--title")
            yield OptionList(*(Option(Text(plain(one.text)), id=None) for one in self._choices))

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """One was chosen."""
        message.stop()
        self.dismiss(self._choices[message.option_index].value)

    def action_down(self) -> None:
        """One line down."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """One line up."""
        self.query_one(OptionList).action_cursor_up()


class Prompt(Window[str | None]):
    """Type a line at the bottom; `typing` is told of each change, escape gives None."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss", "Close")]

    def __init__(self, title: str, value: str, hint: str, typing: Callable[[str], object]) -> None:
        super().__init__()
        self._title, self._value, self._hint, self._typing = title, value, hint, typing

    def compose(self) -> ComposeResult:
        """The title, the line and what can be typed."""
        with Vertical(classes="prompt"):
            yield Static(Text(f"{self._title}: {self._hint}"), classes="window--title")
            yield Line(self._value)

    def on_input_changed(self, message: Input.Changed) -> None:
        """What is typed counts at once."""
        message.stop()
        self._typing(message.value)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Done."""
        message.stop()
        self.dismiss(message.value)


class Page(Window[None]):
    """Lines to read."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,question_mark", "dismiss", "Close"),
        ("j", "scroll_page(1)", "Down"),
        ("k", "scroll_page(-1)", "Up"),
        ("y", "copy", "Copy"),
    ]

    def __init__(self, title: str, text: RenderableType, *, copied: str = "") -> None:
        super().__init__()
        self._title, self._text, self._copied = title, text, copied

    def compose(self) -> ComposeResult:
        """The title and the lines."""
        with Vertical(classes="window -page"):
            yield Static(Text(self._title), classes="window--title")
            with VerticalScroll():
                yield Static(self._text)

    def action_copy(self) -> None:
        """The text into the clipboard, where it is one to pass on."""
        if self._copied:
            self.app.copy_to_clipboard(self._copied)
            self.app.notify(f"Copied {len(self._copied)} characters.", markup=False)

    def action_scroll_page(self, by: int) -> None:
        """One line down or up."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


class Palette(Window[str | None]):
    """Type a part of a name, choose what is meant. `found` gives the choices for what was typed, at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "dismiss", "Close"),
        ("down,tab", "down", "Down"),
        ("up,shift+tab", "up", "Up"),
    ]

    def __init__(self, found: Callable[[str], Sequence[Choice]]) -> None:
        super().__init__()
        self._found = found
        self._choices: Sequence[Choice] = ()

    def compose(self) -> ComposeResult:
        """The line and the choices."""
        with Vertical(classes="window -page"):
            yield Line(placeholder="a build, agent or queue (b: a: q:), or a command")
            yield OptionList()

    def on_mount(self) -> None:
        """Nothing is typed yet."""
        self.query_one(OptionList).can_focus = False
        self._offer("")

    def on_input_changed(self, message: Input.Changed) -> None:
        """Look anew."""
        message.stop()
        self._offer(message.value)

    def _offer(self, typed: str) -> None:
        self._choices = self._found(typed)
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(Text(plain(one.text))) for one in self._choices])
        if self._choices:
            options.highlighted = 0

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """The choice that is lit."""
        message.stop()
        at = self.query_one(OptionList).highlighted
        if at is not None:
            self.dismiss(self._choices[at].value)

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """A click."""
        message.stop()
        self.dismiss(self._choices[message.option_index].value)

    def action_down(self) -> None:
        """One line down."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """One line up."""
        self.query_one(OptionList).action_cursor_up()
