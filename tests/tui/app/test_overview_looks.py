"""What the overview looks like. `pytest tests/tui/app/test_overview_looks.py --snapshot-update` accepts a new look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.tui.app.farms import dashboard, dashboard_of, ready, seen, story
from tui.app import FarmApp
from tui.source.demo.source import START
from tui.state.events import BuildsSeen, PoolsSeen, WorkersSeen

Compare = Callable[..., bool]


def _normal() -> FarmApp:
    return dashboard()


def _empty() -> FarmApp:
    well = [seen("producer", "connected", START), seen("scaler", "connected", START)]
    return dashboard_of(*well, PoolsSeen(START, ()), BuildsSeen(START, ()), WorkersSeen(START, ()))


def _stale() -> FarmApp:
    now = story()[1]
    return dashboard(seen("producer", "stale", now + timedelta(seconds=1), silent=6.0, retry=1.0))


def _down() -> FarmApp:
    now = story()[1]
    return dashboard(seen("producer", "down", now + timedelta(seconds=1), silent=125.0, retry=2.0))


STATES = {"normal": _normal, "empty": _empty, "stale": _stale, "down": _down}


@pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", STATES)
def test_the_overview_looks_as_it_did(snap_compare: Compare, state: str, size: tuple[int, int]) -> None:
    assert snap_compare(STATES[state](), terminal_size=size, run_before=ready)


def test_the_overview_on_a_small_terminal(snap_compare: Compare) -> None:
    assert snap_compare(_normal(), terminal_size=(60, 15), run_before=ready)


def test_the_overview_without_colours(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(_down(), terminal_size=(80, 24), run_before=ready)
