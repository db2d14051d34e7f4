"""Pictures for docs/dashboard.md: `python -m tests.tui.app.screenshots` writes docs/dashboard/*.svg.

The lists are those of the demo; one build, queue and agent those of the farm that the tests of the screens are about.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.tui.app.farms import dashboard, ready
from tests.tui.app.test_screen_matrix import SCREENS, dashboard_at_work
from tui.app import FarmApp

FOLDER = Path(__file__).parents[3] / "docs" / "dashboard"
SIZE = (120, 36)


async def write(app: FarmApp, names: list[str]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot)
        for name in names:
            app.open_screen(name, SCREENS.get(name))  # type: ignore[arg-type]
            await pilot.pause()
            await ready(pilot)
            await pilot.pause()
            (FOLDER / f"{name}.svg").write_text(app.export_screenshot(title="buildyard tui"))


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    alone = [name for name, ref in SCREENS.items() if ref is not None]
    await write(dashboard(), ["overview", *(name for name in SCREENS if name not in alone)])
    await write(dashboard_at_work(), alone)


if __name__ == "__main__":
    asyncio.run(main())
