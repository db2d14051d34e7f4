"""Small applications around one widget, and what they show."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget

Shown = Callable[[Widget], list[str]]


class OneWidget(App[None]):
    """Nothing but the widget, which has the focus."""

    CSS = "Screen > * { height: 1fr; }"

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget
        self.heard: list[object] = []

    def compose(self) -> ComposeResult:
        yield self.widget

    def on_mount(self) -> None:
        self.widget.focus()

    def on_virtual_table_opened(self, message: object) -> None:
        self.heard.append(message)

    def on_virtual_table_layout_changed(self, message: object) -> None:
        self.heard.append(message)

    def on_virtual_table_cursor_moved(self, message: object) -> None:
        self.heard.append(message)

    def on_log_pane_follow_changed(self, message: object) -> None:
        self.heard.append(message)


def lines(widget: Widget) -> list[str]:
    """What the widget shows now, line by line, spaces at the ends left out."""
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]


async def settle(pilot: Pilot[None], widget: Widget) -> None:
    """Until the widget has drawn what it was told: its next repaint is done at once."""
    await pilot.pause()
    widget.flush()  # type: ignore[attr-defined]
    await pilot.pause()
