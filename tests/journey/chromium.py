"""A headless Chromium, steered by its debugging protocol: enough to open a page, click, type and take a picture."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.journey.yard import PATIENCE

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "about:blank",
)


class Page:
    """One open page; `received` is what came over its websockets."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.received = b""
        self.requested: list[str] = []
        self.sockets: list[str] = []
        self.news = asyncio.Event()

    async def listen(self) -> None:
        async for message in self._socket:
            told = json.loads(message)
            if (waiting := self._answers.pop(told.get("id", 0), None)) is not None:
                waiting.set_result(told)
            elif told.get("method") == "Network.webSocketFrameReceived":
                frame = told["params"]["response"]
                text = frame["payloadData"]
                self.received += base64.b64decode(text) if frame["opcode"] == 2 else text.encode()
                self.news.set()
            elif told.get("method") == "Network.webSocketCreated":
                self.sockets.append(told["params"]["url"])
            elif told.get("method") == "Network.requestWillBeSent":
                self.requested.append(told["params"]["request"]["url"])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        waiting = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(PATIENCE):
            told = await waiting
        assert "error" not in told, told
        result: dict[str, Any] = told["result"]
        return result

    async def open(self, url: str, width: int, height: int) -> None:
        await self.call("Network.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self.call("Page.navigate", url=url)

    async def drawn(self, wanted: str) -> None:
        """Until the dashboard has sent this to the page since the last look."""
        async with asyncio.timeout(PATIENCE):
            while wanted.encode() not in self.received:
                self.news.clear()
                await self.news.wait()
        self.received = b""

    async def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def text(self, script: str) -> Any:
        return (await self.call("Runtime.evaluate", expression=script, returnByValue=True))["result"].get("value")

    async def picture(self) -> bytes:
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def chromium(program: str, folder: Path) -> AsyncIterator[Page]:
    """A browser of its own for the length of the block."""
    profile = folder / "chromium"
    process = await asyncio.create_subprocess_exec(
        program,
        *OPTIONS,
        f"--user-data-dir={profile}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port = await _port_of(profile)
        async with connect(f"ws://127.0.0.1:{port}", max_size=None) as browser:
            socket = await _page_of(browser, port)
        async with connect(socket, max_size=None) as connection:
            page = Page(connection)
            listening = asyncio.create_task(page.listen())
            try:
                yield page
            finally:
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening
    finally:
        process.terminate()
        await process.wait()


async def _port_of(profile: Path) -> str:
    """Where it listens; its first line says the port, its second one the path."""
    file = profile / "DevToolsActivePort"
    async with asyncio.timeout(PATIENCE):
        while not (file.exists() and file.read_text().count("\n")):
            await asyncio.sleep(0.05)
    port, path = file.read_text().split("\n")[:2]
    return f"{port}{path}"


async def _page_of(browser: ClientConnection, port: str) -> str:
    await browser.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
    told = json.loads(await browser.recv())
    target = next(one for one in told["result"]["targetInfos"] if one["type"] == "page")
    return f"ws://127.0.0.1:{port.partition('/')[0]}/devtools/page/{target['targetId']}"
