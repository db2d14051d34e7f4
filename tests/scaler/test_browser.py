"""The dashboard in a browser: passed on to a child that nobody else reaches, for a few visitors at a time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from buildyard.connections import bounded
from buildyard.settings import load_settings
from scaler import app
from scaler.api import create_app
from scaler.browser import Dashboard, child_command, child_environment, missing
from tests.scaler.test_api import Api

PATIENCE = 60.0
NOWHERE = "http://127.0.0.1:1"
FAKE_CHILD = """
import asyncio, sys
from websockets.asyncio.server import unix_serve
from websockets.http11 import Response
from websockets.datastructures import Headers

def answer(connection, request):
    if request.path.startswith("/ws"):
        return None
    said = f"{request.path} {request.headers['Host']}".encode()
    return Response(200, "OK", Headers({"Content-Type": "text/plain", "X-Other": "1"}), said)

async def echo(connection):
    await connection.send(connection.request.path)
    async for message in connection:
        await connection.send(message.encode() if message == "bytes" else message)

async def main(path):
    async with unix_serve(echo, path, process_request=answer):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main(sys.argv[2]))
"""


class Served:
    """A scaler's API on a port, with a dashboard behind it."""

    def __init__(self, port: int, dashboard: Dashboard) -> None:
        self.dashboard = dashboard
        self.place = f"127.0.0.1:{port}"
        self.http = httpx.AsyncClient(base_url=f"http://{self.place}", timeout=PATIENCE)

    def open(self, query: str = "width=80&height=24", origin: str | None = None) -> connect:
        page = origin if origin is not None else f"http://{self.place}"
        return connect(f"ws://{self.place}/ws?{query}", origin=page or None, open_timeout=PATIENCE)  # type: ignore[arg-type]


@asynccontextmanager
async def served(folder: Path, dashboard: Dashboard, token: str = "") -> AsyncIterator[Served]:
    settings = load_settings(data_dir=folder, token=token)
    api = Api(folder, settings)
    listening = app._listen("127.0.0.1", 0)
    with_dashboard = create_app(api.status, api.explainer, settings, api.clock, dashboard)
    server = app._server(with_dashboard)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    here = Served(listening.getsockname()[1], dashboard)
    try:
        yield here
    finally:
        await here.http.aclose()
        server.should_exit = True
        await running
        await dashboard.aclose()
        await api.close()


def fake(most_sessions: int = 4) -> Dashboard:
    return Dashboard([sys.executable, "-c", FAKE_CHILD], dict(os.environ), most_sessions)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def group_is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


async def test_requests_are_passed_on_to_a_child_that_starts_with_the_first_one(tmp_path: Path) -> None:
    async with served(tmp_path, fake()) as here:
        assert here.dashboard.pid is None
        page = await here.http.get("/?fontsize=20")
        pid = here.dashboard.pid
        assert pid is not None
        assert page.text == f"/?fontsize=20 {here.place}"
        assert page.headers["content-type"] == "text/plain"
        assert "x-other" not in page.headers
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert (await here.http.get("/static/js/x.js")).text.startswith("/static/js/x.js ")
        async with here.open("width=7") as socket:
            assert await socket.recv() == "/ws?width=7"
            await socket.send("text")
            assert await socket.recv() == "text"
            await socket.send("bytes")
            assert await socket.recv() == b"bytes"
            assert here.dashboard.sessions == 1
        assert here.dashboard.pid == pid
        assert (await here.http.get("/places")).text.count("/decisions") > 0
        assert (await here.http.get("/agents")).status_code == 200, "the API stays where it was"
    assert gone(pid)


@pytest.mark.parametrize("origin", ["http://evil.example", "", "http://127.0.0.1:9"])
async def test_no_foreign_page_and_nobody_without_a_page_opens_a_dashboard(tmp_path: Path, origin: str) -> None:
    async with served(tmp_path, fake()) as here:
        with pytest.raises(InvalidStatus) as refused:
            await here.open(origin=origin)
        assert refused.value.response.status_code == 403
        assert here.dashboard.pid is None


async def test_a_foreign_name_of_this_machine_opens_none(tmp_path: Path) -> None:
    async with served(tmp_path, fake()) as here:
        evil = f"evil.example:{here.place.rpartition(':')[2]}"
        answer = await here.http.get("/", headers={"Host": evil})
        assert answer.status_code == 403
        assert here.dashboard.pid is None


async def test_where_a_token_is_set_nothing_goes_without_it(tmp_path: Path) -> None:
    async with served(tmp_path, fake(), token="s3cret") as here:
        assert (await here.http.get("/")).status_code == 401
        with pytest.raises(InvalidStatus):
            await here.open()
        given = {"Authorization": "Bearer s3cret"}
        assert (await here.http.get("/", headers=given)).status_code == 200
        async with connect(
            f"ws://{here.place}/ws",
            origin=f"http://{here.place}",  # type: ignore[arg-type] # it takes text as well
            additional_headers=given,
        ) as socket:
            assert await socket.recv() == "/ws"


async def test_one_visitor_too_many_is_told_so_and_harms_nobody(tmp_path: Path) -> None:
    async with served(tmp_path, fake(2)) as here, here.open() as first, here.open() as second:
        await first.recv()
        await second.recv()
        page = await here.http.get("/")
        assert page.status_code == 429
        assert "2 dashboards are open in browsers already." in page.json()["detail"]
        with pytest.raises(InvalidStatus):
            await here.open()
        await second.close()
        async with asyncio.timeout(PATIENCE):
            while here.dashboard.sessions > 1:
                await asyncio.sleep(0.01)
        async with here.open() as third:
            await third.recv()
        await first.send("still here")
        assert await first.recv() == "still here"


async def test_a_child_that_dies_ends_its_dashboards_and_the_next_request_starts_another(tmp_path: Path) -> None:
    async with served(tmp_path, fake()) as here, here.open() as socket:
        await socket.recv()
        pid = here.dashboard.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                await socket.recv()
        assert (await here.http.get("/")).status_code == 200
        assert here.dashboard.pid not in {None, pid}


async def test_a_child_that_does_not_start_is_a_sentence_and_the_api_goes_on(tmp_path: Path) -> None:
    broken = Dashboard([sys.executable, "-c", "raise SystemExit('no such module')"], dict(os.environ))
    async with served(tmp_path, broken) as here:
        page = await here.http.get("/")
        assert page.status_code == 503
        assert "The dashboard does not start." in page.json()["detail"]
        assert (await here.http.get("/agents")).status_code == 200


async def test_a_visitor_who_says_too_much_at_once_is_cut_off(tmp_path: Path) -> None:
    async with served(tmp_path, fake()) as here, here.open() as socket:
        await socket.recv()
        await socket.send("x" * (app._MOST_TYPED_BYTES + 1))
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                await socket.recv()


async def test_a_websocket_outlives_the_time_that_a_head_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "bounded", partial(bounded, head_seconds=0.2, take_seconds=0.2))
    async with served(tmp_path, fake()) as here, here.open() as socket:
        await socket.recv()
        await asyncio.sleep(0.6)
        await socket.send("still here")
        assert await socket.recv() == "still here"


def test_the_child_knows_where_the_farm_is_and_nothing_else_of_it(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, token="s3cret", broker="amqp://me:hunter2@broker/")
    told = child_environment(settings, {"PATH": "/bin", "BUILDYARD_BROKER": "amqp://me:hunter2@broker/"})
    assert told == {
        "PATH": "/bin",
        "BUILDYARD_API_URL": settings.api,
        "BUILDYARD_SCALER_URL": settings.scaler,
        "BUILDYARD_TOKEN": "s3cret",
    }


# ------------------------------------------------------------------------------------------------ the real child


def real(folder: Path) -> Dashboard:
    assert missing() == ""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_")}
    farm = {"BUILDYARD_API_URL": NOWHERE, "BUILDYARD_SCALER_URL": NOWHERE, "XDG_CONFIG_HOME": str(folder)}
    return Dashboard(child_command(), {**environment, **farm})


async def drawn(socket: ClientConnection, wanted: bytes) -> None:
    """Read until the dashboard has drawn this."""
    seen = b""
    async with asyncio.timeout(PATIENCE):
        while wanted not in seen:
            message = await socket.recv()
            seen += message if isinstance(message, bytes) else message.encode()


async def test_a_real_dashboard_is_drawn_into_a_browser_read_only_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with served(tmp_path, real(tmp_path)) as here:
        page = (await here.http.get("/")).text
        assert f"ws://{here.place}/ws" in page
        assert (await here.http.get("/static/js/textual.js")).status_code == 200
        async with here.open("width=120&height=40") as socket:
            await drawn(socket, b"never connected")
            group = here.dashboard.pid
            assert group is not None
            await socket.send(json.dumps(["stdin", "?"]))
            await drawn(socket, b"read-only")
        async with here.open() as socket:
            await drawn(socket, b"never connected")
    await until_empty(group)


async def until_empty(group: int) -> None:
    """Neither the child nor a dashboard is left."""
    async with asyncio.timeout(PATIENCE):
        while not group_is_empty(group):
            await asyncio.sleep(0.05)


async def test_dashboards_end_with_whoever_started_them_even_when_it_is_killed(tmp_path: Path) -> None:
    async with served(tmp_path, real(tmp_path)) as here, here.open() as socket:
        await drawn(socket, b"never connected")
        group = here.dashboard.pid
        assert group is not None
        os.kill(group, signal.SIGKILL)  # as hard as it gets: the dashboards themselves must notice
        await until_empty(group)
