"""What builds and queues look like. `pytest tests/tui/screens --snapshot-update` accepts a new look."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from tests.tui.app.farms import dashboard_of, ready, seen
from tests.tui.samples import at, identifier
from tests.tui.screens.builds_farm import FAILED
from tests.tui.screens.test_queues import with_letters
from tui.state import Ref

Compare = Callable[..., bool]
SIZES = [(80, 24), (160, 45)]
REFS = {
    "builds": None,
    "queues": None,
    "build": Ref("build", identifier(FAILED)),
    "queue": Ref("pool", "linux"),
}


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have asked for none."""
    monkeypatch.delenv("NO_COLOR", raising=False)


def opened(name: str) -> Callable[[Pilot[None]], object]:
    async def run(pilot: Pilot[None]) -> None:
        app = await ready(pilot)
        app.open_screen(name, REFS[name])  # type: ignore[arg-type]
        await pilot.pause()
        await ready(pilot)
        await pilot.pause()

    return run


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", list(REFS))
def test_a_screen_of_a_farm_at_work(snap_compare: Compare, name: str, size: tuple[int, int]) -> None:
    app = dashboard_of(*with_letters(), seen("producer", "connected", at(99)), now=at(99))
    assert snap_compare(app, terminal_size=size, run_before=opened(name))


@pytest.mark.parametrize("name", ["builds", "queues"])
def test_a_list_whose_server_is_down(snap_compare: Compare, name: str) -> None:
    down = seen("producer", "down", at(99), silent=42, retry=3)
    assert snap_compare(
        dashboard_of(*with_letters(), down, now=at(99)), terminal_size=(80, 24), run_before=opened(name)
    )
