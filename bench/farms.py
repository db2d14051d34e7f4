"""A farm to measure, on embedded defaults or on servers named in the environment."""

from __future__ import annotations

import io
import os
import secrets
import tempfile
import zipfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from buildyard.cli.local import Farm
from buildyard.client import ProducerClient


@dataclass(frozen=True)
class Setting:
    """Where a farm keeps its queues and state."""

    name: str
    env: dict[str, str]


@asynccontextmanager
async def own_database(env: dict[str, str]) -> AsyncIterator[dict[str, str]]:
    """The same settings with an empty database of the bench's own, which goes in the end."""
    url = env.get("BUILDYARD_STORE_URL")
    if url is None:
        yield env
        return
    name = f"bench_{secrets.token_hex(4)}"
    server = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql", 1))
    try:
        await server.execute(f"CREATE DATABASE {name}")
        yield {**env, "BUILDYARD_STORE_URL": urlsplit(url)._replace(path=f"/{name}").geturl()}
    finally:
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.close()


def settings() -> list[Setting]:
    """Embedded, and RabbitMQ with PostgreSQL where BUILDYARD_TEST_AMQP_URL and _POSTGRES_URL name them."""
    found = [Setting("embedded (SQLite, files)", {})]
    amqp, postgres = os.environ.get("BUILDYARD_TEST_AMQP_URL"), os.environ.get("BUILDYARD_TEST_POSTGRES_URL")
    if amqp and postgres:
        prefix = urlsplit(amqp)._replace(query=f"prefix=bench-{secrets.token_hex(3)}").geturl()
        env = {"BUILDYARD_BROKER_URL": prefix, "BUILDYARD_STORE_URL": postgres}
        found.append(Setting("RabbitMQ and PostgreSQL", env))
    return found


@asynccontextmanager
async def farm(
    setting: Setting, policy: str = "max_workers = 1\nidle_seconds = 3600", pools: str = ""
) -> AsyncIterator[Farm]:
    """Run a farm in a temporary folder for the length of the block; `pools` is a whole file of pools, as TOML."""
    with tempfile.TemporaryDirectory(prefix="buildyard-bench-") as folder:
        file = Path(folder) / "pools.toml"
        file.write_text(pools or f"[pools.linux.policy]\n{policy}\n")
        async with own_database(setting.env) as places:
            env = {**places, "BUILDYARD_POOLS_FILE": str(file), "BUILDYARD_LOG_LEVEL": "warning"}
            async with Farm(Path(folder) / "data", env=env, grace_seconds=5) as running:
                yield running


async def upload(client: ProducerClient, content: bytes, name: str = "project.zip") -> str:
    """Submit bytes; the build's id."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    return (await client.upload(pieces(), {}, filename=name)).execution_id


async def times(client: ProducerClient, build_id: str) -> dict[str, datetime]:
    """When each kind of event of a build first happened, by the store's clock; waits for the end.

    `first stage` is when its worker began the first stage, by the worker's clock.
    """
    found: dict[str, datetime] = {}
    async with aclosing(client.events(build_id)) as events:
        async for event in events:
            found.setdefault(event.type, event.at)
            if event.type == "stage_started":
                found.setdefault("first stage", datetime.fromisoformat(event.data["agentTime"]))
            if event.type == "build_ended":
                break
    return found


def make_project() -> bytes:
    """The smallest project there is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("Makefile", "all:\n\t@true\n")
    return out.getvalue()


async def upload_batch(client: ProducerClient, rows: int, work_ms: int) -> str:
    """Submit a CSV with a job for each row, which takes `work_ms` milliseconds; the build's id."""
    content = "work_ms\n" + f"{work_ms}\n" * rows

    async def pieces() -> AsyncIterator[bytes]:
        yield content.encode()

    fields = {"rowsPerJob": "1", "timeoutMinutes": "120"}
    return (await client.upload(pieces(), fields, filename="rows.csv")).execution_id
