"""A run kills its own servers only."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chaos.servers import Server

WAITS = ["/bin/sleep", "600"]


@pytest.fixture
def running() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(WAITS)
    yield process
    process.kill()
    process.wait()


async def test_a_killed_server_comes_back_as_it_was(running: subprocess.Popen[bytes]) -> None:
    server = Server.of(running.pid)

    await server.kill()
    assert await asyncio.to_thread(running.wait) == -9
    await server.restart()
    assert server.started is not None
    assert server.started.args == WAITS
    server.end()
    assert server.started.returncode == -9


async def test_another_process_that_got_a_dead_servers_number_is_left_alone(running: subprocess.Popen[bytes]) -> None:
    server = replace(Server.of(running.pid), argv=("/usr/sbin/some-server",))

    await server.kill()

    assert running.poll() is None
