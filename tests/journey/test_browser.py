"""The dashboard in a real browser, over a real farm.

`python -m tests.journey.test_browser` makes the picture in docs/ anew.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.journey.chromium import Page, chromium
from tests.journey.yard import Yard, make_project, open_yard, until
from tests.servers import need

PICTURE = Path(__file__).parents[2] / "docs" / "dashboard" / "browser.png"
WIDTH, HEIGHT = 1180, 700
LEAST_PICTURE_BYTES = 20_000
"""A page on which nothing is drawn has a tenth of it."""


async def shown(yard: Yard, page: Page) -> bytes:
    """Open the dashboard where the scaler is; the picture once it shows what the farm has done."""

    async def worked() -> bool:
        return sum(one.jobs_done or 0 for one in (await yard.producer.agents()).agents) == 2

    for text in ("echo one", "echo two"):
        await yard.end(await yard.submit(make_project(text)))
    await until(worked)
    await page.open(yard.farm.scaler_url, WIDTH, HEIGHT)
    await page.drawn("Attention")
    await page.drawn("consumed")
    await asyncio.sleep(2)  # the page fades in
    return await page.picture()


@pytest.mark.journey
async def test_a_browser_shows_the_farm_and_a_click_leads_to_the_log_of_a_worker(tmp_path: Path) -> None:
    program = need("chromium")
    need("make")
    async with open_yard(tmp_path, {}) as yard, chromium(program, tmp_path) as page:
        picture = await shown(yard, page)
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > LEAST_PICTURE_BYTES
        foreign = [url for url in page.requested if not url.startswith((yard.farm.scaler_url, "data:", "about:"))]
        assert foreign == [url for url in foreign if "font" in url], "only the page's fonts, which its policy stops"

        page.received = b""
        await click(page, 36, 0)  # the tab of the agents
        await page.drawn("works on")
        await click(page, 20, 3)  # the first agent
        await page.drawn("job claimed")
        assert (await page.picture()) != picture


async def click(page: Page, column: int, row: int) -> None:
    """Click on a cell of the terminal; the page tells its size in the address of its websocket."""
    asked = parse_qs(urlsplit(page.sockets[-1]).query)
    box = await page.text("JSON.stringify(document.querySelector('.xterm-screen').getBoundingClientRect())")
    place = json.loads(box)
    across, down = place["width"] / int(asked["width"][0]), place["height"] / int(asked["height"][0])
    await page.click(place["x"] + (column + 0.5) * across, place["y"] + (row + 0.5) * down)


async def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        async with open_yard(folder, {}) as yard, chromium(need("chromium"), folder) as page:
            PICTURE.write_bytes(await shown(yard, page))


if __name__ == "__main__":
    asyncio.run(main())
