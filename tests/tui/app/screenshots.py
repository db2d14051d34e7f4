"""Pictures for docs/dashboard.md, from the demo: `python -m tests.tui.app.screenshots` writes docs/dashboard/*.svg."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.tui.app.farms import dashboard, ready

FOLDER = Path(__file__).parents[3] / "docs" / "dashboard"
SIZE = (120, 36)


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    async with dashboard().run_test(size=SIZE) as pilot:
        app = await ready(pilot)
        for name in app.there:
            if name in {"build", "queue", "agent"}:
                continue
            app.open_screen(name)
            await ready(pilot)
            await pilot.pause()
            (FOLDER / f"{name}.svg").write_text(app.export_screenshot(title="buildyard tui --demo"))


if __name__ == "__main__":
    asyncio.run(main())
