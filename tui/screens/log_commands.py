"""What commands do in a log, on any screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from tui.expanding import expanded, whole_line
from tui.safe_text import plain
from tui.screens.menus import Page
from tui.widgets.log_pane import LogPane

if TYPE_CHECKING:
    from tui.screens.base import FarmScreen


def _filter(screen: FarmScreen, pane: LogPane) -> None:
    hint = "words, !words, level:error, source:name, stage:Test"
    screen.farm.ask("Filter", str(pane.reader.filter), pane.set_filter, hint=hint)


def _expand(screen: FarmScreen, pane: LogPane) -> None:
    """The whole line in a window of its own."""
    if not pane.line:
        screen.farm.tell("There is no line here.")
        return
    logs = screen.store.logs
    items = (item for name in reversed(logs.names()) for item in logs[name].read().items)
    line = whole_line(pane.line, items)
    title = f"One line of {len(line):,} characters (y copies it, esc closes)"
    screen.farm.push_screen(Page(plain(title), Text(expanded(line)), copied=line))


HANDLERS: Mapping[str, Callable[[FarmScreen, LogPane], object]] = {
    "move.down": lambda _, pane: pane.action_scroll_down(),
    "move.up": lambda _, pane: pane.action_scroll_up(),
    "move.top": lambda _, pane: pane.action_scroll_home(),
    "move.bottom": lambda _, pane: pane.action_scroll_end(),
    "move.page_down": lambda _, pane: pane.action_page_down(),
    "move.page_up": lambda _, pane: pane.action_page_up(),
    "move.left": lambda _, pane: pane.action_scroll_left(),
    "move.right": lambda _, pane: pane.action_scroll_right(),
    "look.filter": _filter,
    "look.next_match": lambda _, pane: pane.action_next_match(),
    "look.previous_match": lambda _, pane: pane.action_next_match(True),  # noqa: FBT003 - an action's argument
    "look.only_matching": lambda _, pane: pane.action_only(),
    "look.copy": lambda screen, pane: screen.farm.copy(pane.line),
    "log.follow": lambda _, pane: pane.action_follow(),
    "log.wrap": lambda _, pane: pane.action_wrap(),
    "log.timestamps": lambda _, pane: pane.action_stamps(),
    "log.labels": lambda _, pane: pane.action_labels(),
    "log.expand": _expand,
    "log.level": lambda _, pane: pane.action_level(),
    "log.previous_error": lambda _, pane: pane.action_next_error(True),  # noqa: FBT003 - an action's argument
    "log.next_error": lambda _, pane: pane.action_next_error(),
}
