"""`forward`: addresses on this machine that stay, whatever happens behind them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

from buildyard.cli.local import Farm
from buildyard.errors import InvalidSettings
from cluster import forward as forwarding
from cluster.forward import Door, forward, with_header
from cluster.programs import Kubectl
from tests import servers
from tests.cluster_verbs.conftest import Maker
from tests.cluster_verbs.machine import Answer

TOKEN = "t0ken"
HEADER = b"Authorization: Bearer t0ken"


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


class Origin:
    """A server behind a door, which notes the heads of requests and answers with their bodies."""

    def __init__(self) -> None:
        self.port = free_port()
        self.heads: list[str] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        length = next((int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0)
        body = await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def opened(door: Door, token: str = TOKEN) -> AsyncIterator[list[str]]:
    """The door, open for the length of the block; what was said meanwhile."""
    said: list[str] = []
    task = asyncio.create_task(forward(Kubectl("here"), token, (door,), said.append))
    try:
        yield said
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await what():
            await asyncio.sleep(0.05)


async def test_requests_get_the_token_and_bodies_pass_whole(machine: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    machine("kubectl")
    origin, door = Origin(), Door(free_port(), "producer", 8000, "it")
    monkeypatch.setenv("FAKE_PORT", str(origin.port))
    await origin.start()
    body = b"x" * 3_000_000
    async with opened(door) as said, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        await until(lambda: answers(client, door))

        answer = await client.post(f"http://127.0.0.1:{door.port}/upload", content=body)

    assert answer.content == body
    assert "\r\nAuthorization: Bearer t0ken\r\n" in origin.heads[-1]
    assert f"Host: 127.0.0.1:{door.port}" in origin.heads[-1], "the guard behind sees what the user called"
    assert said[:2] == ["Open until Ctrl-C:", f"  {door.port:>5}  it"]
    await origin.stop()


async def answers(client: httpx.AsyncClient, door: Door) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{door.port}/")).status_code == 200
    except httpx.TransportError:
        return False


async def test_a_way_that_is_lost_is_opened_again(machine: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    machine("kubectl")
    monkeypatch.setattr(forwarding, "FIRST_PAUSE_SECONDS", 0.05)
    origin, door = Origin(), Door(free_port(), "rabbitmq", 15672, "it", speaks_for_user=False)
    monkeypatch.setenv("FAKE_PORT", str(origin.port))
    await origin.start()
    async with opened(door) as said, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        await until(lambda: answers(client, door))
        await origin.stop()
        assert not await answers(client, door)

        await origin.start()
        await until(lambda: answers(client, door))

    assert "  rabbitmq is away: lost connection to pod. It is opened again as soon as it is back." in said
    assert "Authorization" not in "".join(origin.heads)
    await origin.stop()


async def test_a_service_that_is_not_there_is_answered_with_try_later(
    machine: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = 'Error from server (NotFound): services "producer" not found\n'
    machine("kubectl").says(Answer(" port-forward ", 1, "", missing))
    monkeypatch.setattr(forwarding, "OPEN_SECONDS", 0.2)
    door = Door(free_port(), "producer", 8000, "it")
    async with opened(door) as said, httpx.AsyncClient(trust_env=False, timeout=60) as client:

        async def refused() -> bool:
            try:
                return (await client.get(f"http://127.0.0.1:{door.port}/")).status_code == 503
            except httpx.TransportError:
                return False

        await until(refused)
        await until(lambda: told(said, 'services "producer" not found'))


async def told(said: list[str], words: str) -> bool:
    return any(words in line for line in said)


async def test_a_port_that_is_taken_is_told_with_what_may_have_it(machine: Maker) -> None:
    machine("kubectl")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        door = Door(taken.getsockname()[1], "producer", 8000, "it")
        with pytest.raises(InvalidSettings, match=f"The port {door.port} of this machine is taken") as caught:
            await forward(Kubectl("here"), TOKEN, (door,), print)

    assert "perhaps another `forward`, or an embedded farm" in caught.value.remedy


@pytest.mark.journey
async def test_the_upload_line_of_the_readme_works_as_it_stands_on_a_farm_that_wants_a_token(
    machine: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curl = servers.need("curl")
    inherited = dict(os.environ)
    (tmp_path / "data.csv").write_text("id\n1\n")
    machine("kubectl")
    door = Door(free_port(), "producer", 8000, "it")
    async with Farm(tmp_path / "data", env={"BUILDYARD_TOKEN": TOKEN}, inherited=inherited, grace_seconds=5) as farm:
        monkeypatch.setenv("FAKE_PORT", farm.api_url.rpartition(":")[2])
        async with opened(door), httpx.AsyncClient(trust_env=False, timeout=60) as client:
            assert (await client.get(f"{farm.api_url}/api/v1/builds")).status_code == 401
            url = f"http://localhost:{door.port}"

            async def ready() -> bool:
                try:
                    return (await client.get(f"{url}/api/v1/builds")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready)
            line = ["-sS", "-w", "\n%{http_code}", "-X", "POST", "-F", "file=@data.csv", f"{url}/upload"]
            asked = await asyncio.create_subprocess_exec(
                curl, *line, cwd=tmp_path, env=inherited, stdout=asyncio.subprocess.PIPE
            )
            said = (await asked.communicate())[0].decode()

    assert said.endswith("\n202"), said
    assert "executionId" in said


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (b"GET / HTTP/1.1\r\nHost: a", b"GET / HTTP/1.1\r\nHost: a\r\n" + HEADER + b"\r\nConnection: close"),
        (
            b"GET / HTTP/1.1\r\nAUTHORIZATION: Bearer own\r\nConnection: keep-alive\r\nKeep-Alive: 5",
            b"GET / HTTP/1.1\r\nAUTHORIZATION: Bearer own\r\nConnection: close",
        ),
        (
            b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket",
            b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + HEADER,
        ),
    ],
)
def test_a_head_gets_the_token_once_and_its_connection_ends_unless_it_becomes_another(
    head: bytes, wanted: bytes
) -> None:
    assert with_header(head + b"\r\n\r\n", HEADER) == wanted + b"\r\n\r\n"
