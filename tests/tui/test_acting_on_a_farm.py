"""The dashboard with `--write` over a real farm: cancelling a build, pausing a pool, requeueing a dead letter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.journey.test_dead_letters import deadly_project
from tests.journey.yard import PATIENCE, make_project, open_yard, until
from tests.servers import need
from tui.app import FarmApp
from tui.screens.base import FarmScreen
from tui.screens.confirming import Confirm
from tui.source.live import LiveSource
from tui.state import Ref

pytestmark = [pytest.mark.journey]


async def shown(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await pilot.pause(0.05)


async def act(pilot: Pilot[None], app: FarmApp, ref: Ref, key: str) -> str:
    """Open a thing's screen, press an action's key and confirm it; gives what came of it."""
    app.go_to(ref)
    await shown(pilot, lambda: isinstance(app.screen, FarmScreen) and app.screen.is_mounted)
    await shown(pilot, lambda: (screen := app.farm_screen) is not None and ref in screen.acted_on()[0])
    await pilot.press(key)
    await shown(pilot, lambda: isinstance(app.screen, Confirm))
    await pilot.press("tab", "enter")
    await shown(pilot, lambda: isinstance(app.screen, FarmScreen) and not app.acting.activity.under_way)
    entry = app.acting.activity.newest_first()[0]
    assert entry.stage == "Done", entry.sentence
    return entry.made.id if entry.made else ""


async def test_a_farm_is_changed_from_the_dashboard_and_says_so_itself(tmp_path: Path) -> None:
    need("make")
    gate = tmp_path / "gate"
    async with open_yard(tmp_path, {}, "max_workers = 2\nburst_threshold = 0") as yard:
        dead = await yard.submit(deadly_project(gate), projectName="cured")
        endless = await yard.submit(make_project("sleep 600"), projectName="endless")
        app = FarmApp(LiveSource(yard.farm.api_url, yard.farm.scaler_url), writable=True)
        async with app.run_test(size=(120, 40)) as pilot:
            await yard.stage(endless, "Build")
            await shown(pilot, lambda: endless in app.store.builds and app.store.builds[endless].status == "Running")
            await act(pilot, app, Ref("build", endless), "C")
            assert (await yard.end(endless)).status == "Cancelled"

            await act(pilot, app, Ref("pool", "linux"), "I")
            (pool,) = (await yard.producer.pools()).pools
            assert pool.intake.paused
            await shown(pilot, lambda: (view := app.store.pools["linux"].view) is not None and view.intake.paused)
            await act(pilot, app, Ref("pool", "linux"), "I")
            (pool,) = (await yard.producer.pools()).pools
            assert not pool.intake.paused

            assert (await yard.end(dead)).reason_code == "worker_lost"
            await shown(pilot, lambda: dead in app.store.dead)
            gate.touch()
            app.open_screen("queues", Ref("dead", dead))
            made = await act(pilot, app, Ref("dead", dead), "E")
            again = await yard.end(made)
            assert (again.status, again.retry_of) == ("Succeeded", dead)

            async def settled() -> bool:
                return not (await yard.producer.dead_letters()).dead

            await until(settled)
