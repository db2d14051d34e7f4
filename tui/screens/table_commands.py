"""What commands do in a table, on any screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tui.screens.menus import Choice
from tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from tui.screens.base import FarmScreen

Table = VirtualTable[Any]


def _filter(screen: FarmScreen, table: Table) -> None:
    names = " ".join(f"{column.name}:" for column in table.columns)
    screen.farm.ask("Filter", str(table.filter), table.set_filter, hint=f"words, !words, key:value ({names})")


def _sort(screen: FarmScreen, table: Table) -> None:
    chosen = table.chosen

    def shown(name: str, title: str) -> str:
        if chosen.sort != name:
            return title
        return f"{title} ({'descending' if chosen.descending else 'ascending'}; again turns it round)"

    choices = [Choice(column.name, shown(column.name, column.title or column.name)) for column in table.columns]
    screen.farm.choose("Sort by", choices, table.action_sort)


def _columns(screen: FarmScreen, table: Table) -> None:
    shown = table.chosen.shown or tuple(column.name for column in table.columns)
    choices: list[Choice] = []
    for column in table.columns:
        title = column.title or column.name
        choices.append(Choice(f"toggle {column.name}", f"{'hide' if column.name in shown else 'show'} {title}"))
    for column in table.columns:
        if column.name in shown:
            title = column.title or column.name
            choices += [
                Choice(f"wider {column.name}", f"wider: {title}"),
                Choice(f"narrower {column.name}", f"narrower: {title}"),
            ]

    def act(chosen: str) -> None:
        verb, _, name = chosen.partition(" ")
        if verb == "toggle":
            table.action_toggle_column(name)
        else:
            table.action_resize(name, 4 if verb == "wider" else -4)

    screen.farm.choose("Columns", choices, act)


def _mark_all(_: FarmScreen, table: Table) -> None:
    if table.marked:
        table.action_unmark_all()
    else:
        table.marked.update(table.shown_keys())
        table.refresh()


def _copy(screen: FarmScreen, table: Table) -> None:
    if table.cursor is not None:
        row = table.rows.row(table.cursor)
        screen.farm.copy("\t".join(column.cell(row).text for column in table.columns))


HANDLERS: Mapping[str, Callable[[FarmScreen, Table], object]] = {
    "move.down": lambda _, table: table.action_scroll_down(),
    "move.up": lambda _, table: table.action_scroll_up(),
    "move.top": lambda _, table: table.action_scroll_home(),
    "move.bottom": lambda _, table: table.action_scroll_end(),
    "move.page_down": lambda _, table: table.action_page_down(),
    "move.page_up": lambda _, table: table.action_page_up(),
    "move.open": lambda _, table: table.action_open(),
    "look.filter": _filter,
    "look.copy": _copy,
    "table.sort": _sort,
    "table.columns": _columns,
    "table.mark": lambda _, table: table.action_mark(),
    "table.mark_all": _mark_all,
}
