"""The keys in docs/dashboard.md, from the registry: `python -m tests.tui.app.key_table` writes them anew."""

from __future__ import annotations

from pathlib import Path

from tests.tui.app.farms import obeying, ready, story
from tui import screens
from tui.commands import COMMANDS, Keymap

PAGE = Path(__file__).parents[3] / "docs" / "dashboard.md"
BEGIN, END = "<!-- keys: begin -->\n", "<!-- keys: end -->\n"


async def shown_commands() -> set[str]:
    """The commands that do something on any of the screens that there are."""
    shown: set[str] = set()
    events, now = story()
    async with obeying(*events, now=now).run_test(size=(160, 45)) as pilot:
        app = await ready(pilot)
        for name in screens.available():
            app.open_screen(name)
            await ready(pilot)
            screen = app.farm_screen
            assert screen is not None
            assert screen.name_ == name
            for panel in screen.all_panels():
                screen.focus_panel(panel)
                shown |= {command.id for command in COMMANDS if screen.can(command)}
    # Those that need another source than a farm that stands still.
    return shown | {command.id for command in COMMANDS if command.group == "Time travel"}


def key_table(shown: set[str]) -> str:
    """One table a group: keys, the command and what it does, and where."""
    lines: list[str] = []
    for group, rows in Keymap().help():
        there = [(keys, command) for keys, command in rows if command.id in shown]
        if not there:
            continue
        lines += [f"### {group}", "", "| Keys | Command | What it does | Where |", "|---|---|---|---|"]
        for keys, command in there:
            places = sorted(map(str, command.screens)) or sorted(f"{kind}s" for kind in command.panels)
            marked = " ".join(f"`{key}`" for key in keys.split()) or "by name"
            lines.append(f"| {marked} | {command.title} | {command.help} | {', '.join(places) or 'everywhere'} |")
        lines.append("")
    return "\n".join(lines)


def with_keys(page: str, table: str) -> str:
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    import asyncio

    PAGE.write_text(with_keys(PAGE.read_text(), key_table(asyncio.run(shown_commands()))))
