"""The page of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tui.commands import Keymap

if TYPE_CHECKING:
    from tui.screens.base import FarmScreen


def keys_that_work(keymap: Keymap, screen: FarmScreen, note: str = "") -> RenderableType:
    """Keys, commands and what they do, of all that works where the focus is; `note` is said first."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    if note:
        table.add_row(Text("Act", "bold"))
        table.add_row("", "", Text(note))
    for group, rows in keymap.help(screen.place):
        shown = [(keys, command) for keys, command in rows if screen.can(command)]
        if shown:
            table.add_row(Text(group, "bold"))
        for keys, command in shown:
            table.add_row(Text(f" {keys or ':'}"), Text(command.title), Text(command.help))
    return table
