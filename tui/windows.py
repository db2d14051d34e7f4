"""What the app does without knowing a farm: windows, the clipboard, the mouse, themes, and its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.filter import LineFilter, Monochrome

from tui import themes
from tui.plain_terminals import AsciiOnly, Uncoloured
from tui.screens.menus import Choice, Menu, Prompt


class WindowedApp(App[None]):
    """An app with small windows over its screens."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "copy_or_quit", "Quit", priority=True, show=False)]

    utf8 = True
    """Whether the terminal shows more than ASCII."""
    colours = True
    """Whether it shows colours, and its user wants them."""
    mouse_freed = False
    """Whether the terminal has the mouse."""
    _plain_filters: Sequence[LineFilter] = ()
    _plain_for = ""
    """The theme that they are for."""

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What is drawn goes through these: only what the terminal can show comes out."""
        if self.utf8 and self.colours:
            return super().get_line_filters()
        if self._plain_for != self.theme:
            self._plain_for = self.theme
            found = [*super().get_line_filters()]
            if not self.colours:
                found = [one for one in found if not isinstance(one, Monochrome)]  # greys are colours too
                found.append(Uncoloured(Color.parse(self.current_theme.surface or "#000000")))
            self._plain_filters = found if self.utf8 else [*found, AsciiOnly()]
        return self._plain_filters

    def tell(self, sentence: str) -> None:
        """Show a sentence for a while; it may come from anywhere."""
        self.notify(sentence, markup=False)

    def choose(self, title: str, choices: Sequence[Choice], act: Callable[[str], object]) -> None:
        """Let one be chosen, and act on its value."""

        def chosen(value: str | None) -> None:
            if value is not None:
                act(value)

        self.push_screen(Menu(title, choices), chosen)

    def ask(self, title: str, value: str, typing: Callable[[str], object], *, hint: str = "") -> None:
        """Let a line be typed; `typing` is told of each change. Escape gives back what was there before."""

        def done(typed: str | None) -> None:
            if typed is None:
                typing(value)

        self.push_screen(Prompt(title, value, hint, typing), done)

    def copy(self, text: str) -> None:
        """Put a text into the clipboard, by OSC 52, so that it works over SSH too."""
        self.copy_to_clipboard(text)
        self.tell(f"Copied {len(text)} characters.")

    def do_app_theme(self) -> None:
        """Choose a theme, for this run."""
        self.choose("Theme", [Choice(name, name) for name in themes.THEMES], self._take_theme)

    def _take_theme(self, name: str) -> None:
        self.theme = name

    def do_app_mouse(self) -> None:
        """Give the mouse to the terminal, or take it back."""
        # Textual takes the mouse at its start only; what its driver can do is not public.
        verb = "_enable_mouse_support" if self.mouse_freed else "_disable_mouse_support"
        method = getattr(self._driver, verb, None)
        if method is not None and self._driver is not None:
            method()
            self._driver.flush()
        self.tell("The mouse works here again." if self.mouse_freed else "The terminal has the mouse: select with it.")
        self.mouse_freed = not self.mouse_freed

    def action_copy_or_quit(self) -> None:
        """Ctrl-C: copy what the mouse has selected; where nothing is, end."""
        text = self.screen.get_selected_text()
        if text:
            self.copy(text)
            self.screen.clear_selection()
        else:
            self.exit()
