"""How tables of the store's rows are told what changed."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from tui.panels import Changed
from tui.widgets.virtual_table import VirtualTable


def update_rows(table: VirtualTable[Any], there: Container[str], kind: str, changed: Changed) -> None:
    """Tell a table which of its rows came, changed or went; those on the screen change with time as well.

    `there` is the store's table of that kind; None as `changed` reads all anew.
    """
    if changed is None:
        table.reload()
        return
    named = [ref.id for ref in changed if ref.kind == kind]
    visible = [key for key in table.visible_keys() if key in there]
    table.changed([*(key for key in named if key in there), *visible], [key for key in named if key not in there])
