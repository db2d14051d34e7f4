"""Windows over a screen close once, however many keys come together."""

from __future__ import annotations

from collections.abc import Callable

from textual import events

from tests.tui.app.farms import dashboard, ready
from tui.screens.base import FarmScreen
from tui.screens.menus import Choice, Menu, Page, Palette, Prompt, Window

KINDS: dict[str, Callable[[], Window[str | None] | Window[None]]] = {
    "menu": lambda: Menu("Choose", [Choice("one", "One")]),
    "prompt": lambda: Prompt("Filter", "", "words", lambda _: None),
    "page": lambda: Page("Read", "this"),
    "palette": lambda: Palette(lambda _: [Choice("one", "One")]),
}


async def test_a_key_that_comes_twice_at_once_closes_a_window_and_nothing_below() -> None:
    async with dashboard().run_test(size=(80, 24)) as pilot:
        app = await ready(pilot)
        for key, typed in (("enter", "\r"), ("escape", None)):
            for kind, made in KINDS.items():
                if (kind, key) == ("page", "enter"):
                    continue  # there is nothing to choose
                closed: list[object] = []
                app.push_screen(made(), closed.append)
                await pilot.pause()
                for _ in range(2):  # as a terminal sends them: in one piece
                    app.post_message(events.Key(key, typed))
                while not closed:
                    await pilot.pause()
                await pilot.pause()
                assert len(closed) == 1, (kind, key)
                assert isinstance(app.screen, FarmScreen), (kind, key)
