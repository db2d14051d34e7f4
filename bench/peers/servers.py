"""What all of them run on: one RabbitMQ with a virtual host for each, and a Redis."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from bench.figures import NotMeasured

NEEDED = ("BUILDYARD_TEST_AMQP_URL", "BUILDYARD_TEST_AMQP_MANAGEMENT_URL", "BUILDYARD_TEST_POSTGRES_URL")


@asynccontextmanager
async def virtual_host(name: str) -> AsyncIterator[str]:
    """The URL of an empty virtual host on the tests' RabbitMQ, which goes in the end with all its queues."""
    amqp, management = (urlsplit(os.environ[key]) for key in NEEDED[:2])
    host = f"bench-{name}-{secrets.token_hex(3)}"
    base = management._replace(netloc=management.netloc.rpartition("@")[2]).geturl().rstrip("/")
    auth = (management.username or "guest", management.password or "guest")
    async with httpx.AsyncClient(base_url=base, auth=auth, timeout=60) as client:
        (await client.put(f"/api/vhosts/{host}")).raise_for_status()
        try:
            everything = {"configure": ".*", "write": ".*", "read": ".*"}
            user = quote(amqp.username or "guest", safe="")
            (await client.put(f"/api/permissions/{host}/{user}", json=everything)).raise_for_status()
            yield amqp._replace(path=f"/{host}").geturl()
        finally:
            await client.delete(f"/api/vhosts/{host}")


@asynccontextmanager
async def redis() -> AsyncIterator[str]:
    """The URL of a Redis of our own, with its defaults, on loopback."""
    server = shutil.which("redis-server")
    if server is None:
        raise NotMeasured("Redis is needed for the results of others: apt install redis-server.")
    with tempfile.TemporaryDirectory(prefix="buildyard-bench-redis-") as folder:
        port = _free_port()
        process = await asyncio.create_subprocess_exec(
            server, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--logfile", str(Path(folder) / "log")
        )
        try:
            await _listening(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _listening(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
