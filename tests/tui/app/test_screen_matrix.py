"""What each screen looks like when there is nothing to show, and when the servers are stale or down.

`pytest tests/tui/app/test_screen_matrix.py --snapshot-update` accepts a new look. The overview has a file of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot

from tests.tui.app.farms import dashboard_of, ready, screen_text, seen
from tests.tui.samples import at, decision, identifier
from tests.tui.screens.builds_farm import FAILED, log_lines
from tests.tui.screens.test_queues import with_letters
from tui.app import FarmApp
from tui.state import Ref
from tui.state.events import (
    AgentsSeen,
    BuildsSeen,
    DeadSeen,
    DecisionsSeen,
    Event,
    LogSeen,
    PoolsSeen,
    SourceName,
    WorkersSeen,
    log_of_agent,
)
from tui.themes import THEMES

NOW = at(99)
SIZES = [(80, 24), (160, 45)]
SCREENS: dict[str, Ref | None] = {
    "builds": None,
    "build": Ref("build", identifier(FAILED)),
    "queues": None,
    "queue": Ref("pool", "linux"),
    "agents": None,
    "agent": Ref("agent", "linux-9-1"),
    "scaler": None,
    "logs": None,
}
BOTH: tuple[SourceName, ...] = ("producer", "scaler")


def full() -> tuple[Event, ...]:
    decisions = tuple(decision(number) for number in range(2, 30))
    return (*with_letters(), DecisionsSeen(decisions), LogSeen(log_of_agent("linux-9-1"), log_lines()))


def dashboard_at_work() -> FarmApp:
    return dashboard_of(*full(), *(seen(name, "connected", NOW) for name in BOTH), now=NOW)


def _empty() -> FarmApp:
    nothing: tuple[Event, ...] = (
        PoolsSeen(NOW, ()),
        BuildsSeen(NOW, ()),
        AgentsSeen(NOW, ()),
        WorkersSeen(NOW, ()),
        DeadSeen(NOW, ()),
        DecisionsSeen(()),
    )
    return dashboard_of(*(seen(name, "connected", NOW) for name in BOTH), *nothing, now=NOW)


def _stale() -> FarmApp:
    return dashboard_of(*full(), *(seen(name, "stale", NOW, silent=6.0, retry=1.0) for name in BOTH), now=NOW)


def _down() -> FarmApp:
    return dashboard_of(*full(), *(seen(name, "down", NOW, silent=125.0, retry=2.0) for name in BOTH), now=NOW)


STATES = {"empty": _empty, "stale": _stale, "down": _down}
LOOKS = ["light", "no-colour"]
TINGED = {"normal": dashboard_at_work, "down": _down}
"""Between them they have all tones that there are."""


@pytest.fixture
def looks(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Pictures, each under a name of its own."""
    return snapshot.use_extension(SVGImageExtension)


async def opened(pilot: Pilot[None], names: Iterable[str]) -> AsyncIterator[tuple[str, FarmApp]]:
    """Open screens of one dashboard in turn."""
    app = await ready(pilot)
    for name in names:
        app.open_screen(name, SCREENS.get(name))  # type: ignore[arg-type]
        await pilot.pause()
        await ready(pilot)
        await pilot.pause()
        yield name, app


async def looked_at(app: FarmApp, size: tuple[int, int], names: Iterable[str], looks: SnapshotAssertion) -> list[str]:
    """The names of those screens that look otherwise than they did."""
    async with app.run_test(size=size) as pilot:
        shown = opened(pilot, names)
        return [name async for name, app in shown if app.export_screenshot() != looks(name=name)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", list(STATES))
async def test_every_screen_in_a_state(looks: SnapshotAssertion, state: str, size: tuple[int, int]) -> None:
    assert await looked_at(STATES[state](), size, SCREENS, looks) == []


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("state", list(TINGED))
async def test_every_screen_in_other_colours(
    looks: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch, state: str, look: str
) -> None:
    if look == "no-colour":
        monkeypatch.setenv("NO_COLOR", "1")
    app = TINGED[state]()
    app.configuration.theme = "light" if look == "light" else "dark"
    assert await looked_at(app, (80, 24), ["overview", *SCREENS], looks) == []


async def test_colours_change_no_letter() -> None:
    said: dict[str, dict[str, str]] = {}
    for theme in THEMES:
        app = _down()
        app.configuration.theme = theme
        async with app.run_test(size=(100, 30)) as pilot:
            said[theme] = {name: screen_text(shown) async for name, shown in opened(pilot, ["overview", "build"])}
    assert all(said[theme] == said["dark"] for theme in THEMES)
    assert all("DOWN 2m05" in text for text in said["dark"].values())


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_one_agent(looks: SnapshotAssertion, size: tuple[int, int]) -> None:
    assert await looked_at(dashboard_at_work(), size, ["agent"], looks) == []


async def test_every_screen_on_a_small_terminal(looks: SnapshotAssertion) -> None:
    assert await looked_at(dashboard_at_work(), (60, 15), SCREENS, looks) == []
