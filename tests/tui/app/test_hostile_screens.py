"""Whatever a farm says in any of its texts, every screen and window draws letters only, and none fails over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any
from zlib import crc32

import pytest
from pydantic import BaseModel
from textual.pilot import Pilot

from tests.tui.app.farms import obeying, ready, seen
from tests.tui.app.test_screen_matrix import BOTH, NOW, SCREENS, full
from tests.tui.test_safe_text import HOSTILE
from tests.tui.widgets.test_hostile_text import NEVER, OWN_OUTPUT
from tui.app import FarmApp
from tui.state import Ref
from tui.state.events import Event, PartSeen

_CORPUS = [one.encode("utf-8", "replace").decode() for one in HOSTILE]
_SENDABLE = [*_CORPUS, "[/x][red]\x1b]52;c;aGk=\x07"]
_LEFT_ALONE = {"status", "state", "outcome", "woken_by", "code", "trust", "severity", "type", "connection", "source"}
"""Words of closed lists, on which the shape of a screen depends; unknown ones have tests of their own."""
_CHECKED = {"linux", "burst"}
"""Names of pools and policies, which the farm itself lets be nothing but letters."""


def bad(text: str) -> str:
    """The same hostile text for the same word, so that names still lead from one thing to another."""
    if text in _CHECKED:
        return text
    return f"{text}{_SENDABLE[crc32(text.encode()) % len(_SENDABLE)]}"


def poisoned(value: Any) -> Any:
    """The same event with hostile texts; words of closed lists stay."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return bad(value) if value else value
    if isinstance(value, tuple):
        parts = [poisoned(one) for one in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, dict):
        return {poisoned(key): poisoned(one) for key, one in value.items()}
    if isinstance(value, BaseModel):
        return value.model_copy(update=_changed(value, type(value).model_fields))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **_changed(value, [field.name for field in fields(value)]))
    return value


def _changed(value: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: poisoned(getattr(value, name)) for name in names if name not in _LEFT_ALONE}


def hostile_farm() -> tuple[Event, ...]:
    parts = PartSeen("scaler", NOW, "scaler/workers", _CORPUS[0], _CORPUS[1])
    stream = tuple(poisoned(event) for event in full())
    assert any("\x1b" in repr(event) or "\\x1b" in repr(event) for event in stream)
    return (*stream, parts, *(poisoned(seen(name, "down", NOW, silent=9.0)) for name in BOTH))


def drawn(app: FarmApp) -> Iterator[str]:
    for strip in app.screen._compositor.render_strips():
        yield OWN_OUTPUT.sub("", strip.render(app.console))


async def look(pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.pause()
    app = pilot.app
    assert isinstance(app, FarmApp)
    lines = list(drawn(app))
    assert any(line.strip() for line in lines)
    for line in lines:
        assert not NEVER.search(line), repr(line)


@pytest.mark.parametrize(
    ("size", "names"),
    [((80, 24), ["overview", *SCREENS]), ((160, 45), ["builds", "build", "agents", "scaler"])],
    ids=["80x24", "160x45"],
)
async def test_every_screen_draws_letters_only(size: tuple[int, int], names: list[str]) -> None:
    app = obeying(*hostile_farm(), now=NOW)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        for name in names:
            ref = SCREENS.get(name)
            wanted = None if ref is None else Ref(ref.kind, bad(ref.id))
            app.open_screen(name, wanted)  # type: ignore[arg-type]
            await ready(pilot)
            screen = app.farm_screen
            assert screen is not None
            for panel in screen.all_panels():
                screen.focus_panel(panel)
                await look(pilot, "y", "Y")
                assert not NEVER.search(app.clipboard.replace("\n", "").replace("\t", "")), repr(app.clipboard)
            assert not [panel.failure for panel in screen.all_panels() if panel.failure]
        assert len(app.faults) == 0


async def test_every_window_draws_letters_only() -> None:
    app = obeying(*hostile_farm(), now=NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        app.open_screen("builds")
        await ready(pilot)
        for keys in ("J", "a", "C", "s", "/", ":a", "A", "?"):
            await look(pilot, *keys)
            assert app.screen is not app.farm_screen, f"{keys} opened nothing"
            await pilot.press("escape")
            await pilot.pause()
        await pilot.press("m", "*", "a", "enter")
        assert len(app.faults) == 0
