"""Where the tests find RabbitMQ, PostgreSQL and tools, and what happens where they are absent.

An address comes from a `BUILDYARD_TEST_*` variable, and then it has to work. Without the variable the server's usual
address on this machine is tried. What is not there skips with its reason on a laptop and fails where `CI=true`: a test
that silently never runs proves nothing. Tests leave nothing behind: they get a virtual host, a database of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import secrets
import shutil
import socket
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

PATIENCE = 60.0
"""Seconds until a server that should answer counts as absent."""


@dataclass(frozen=True)
class RabbitPlace:
    """One RabbitMQ server: the major version it has to be, and the variables that name it."""

    major: str
    amqp: str
    management: str


RABBITMQ_3 = RabbitPlace("3", "BUILDYARD_TEST_AMQP_URL", "BUILDYARD_TEST_AMQP_MANAGEMENT_URL")
RABBITMQ_4 = RabbitPlace("4", "BUILDYARD_TEST_AMQP4_URL", "BUILDYARD_TEST_AMQP4_MANAGEMENT_URL")
POSTGRES = "BUILDYARD_TEST_POSTGRES_URL"


def absent(reason: str) -> NoReturn:
    """Skip this test, saying why; in CI fail, since there everything has to be present."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (CI=true: nothing may be absent)")
    pytest.skip(reason)


def need(tool: str) -> str:
    """The path of a tool such as `dotnet`, `make` or `cc`, or no test at all."""
    return shutil.which(tool) or absent(f"{tool} is not on PATH")


# ---------------------------------------------------------------- RabbitMQ
@contextlib.contextmanager
def virtual_host(place: RabbitPlace) -> Iterator[str]:
    """A virtual host of its own, as an amqp:// URL; all its queues go with it in the end."""
    amqp, management = _rabbitmq(place)
    name = f"test-{secrets.token_hex(4)}"
    with _managed(management) as client:
        client.put(f"/api/vhosts/{name}").raise_for_status()
        try:
            yield urlsplit(amqp)._replace(path=f"/{name}").geturl()
        finally:
            client.delete(f"/api/vhosts/{name}").raise_for_status()


def with_prefix(url: str) -> str:
    """A broker URL whose queues are those of one test alone."""
    return urlsplit(url)._replace(query=f"prefix=test-{secrets.token_hex(4)}").geturl()


def _rabbitmq(place: RabbitPlace) -> tuple[str, str]:
    """The addresses (AMQP, management) of a server of the wanted version."""
    given = os.environ.get(place.amqp)
    amqp = given or "amqp://guest:guest@127.0.0.1:5672/"
    management = os.environ.get(place.management, "http://guest:guest@127.0.0.1:15672")
    try:
        parts = urlsplit(amqp)
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 5672), timeout=PATIENCE).close()
        with _managed(management) as client:
            version = str(client.get("/api/overview").raise_for_status().json()["rabbitmq_version"])
    except (OSError, httpx.HTTPError) as error:
        wish = f"RabbitMQ {place.major} with its management plugin"
        _unusable(f"{wish} does not answer at {place.amqp} and {place.management}: {error}", given=given)
    if version.partition(".")[0] != place.major:
        _unusable(f"{place.amqp} is RabbitMQ {version}, not {place.major}", given=given)
    return amqp, management


def _managed(url: str) -> httpx.Client:
    """A client of a management API whose credentials stand in its URL."""
    parts = urlsplit(url)
    bare = parts._replace(netloc=f"{parts.hostname}:{parts.port or 15672}").geturl().rstrip("/")
    credentials = (parts.username or "guest", parts.password or "guest")
    return httpx.Client(base_url=bare, auth=credentials, timeout=30, trust_env=False)


# ---------------------------------------------------------------- PostgreSQL
def postgres() -> str:
    """The URL (`postgresql+asyncpg://`) of a server on which databases may be made."""
    given = os.environ.get(POSTGRES)
    usual = (
        "postgresql+asyncpg://postgres@127.0.0.1:5432/postgres",
        f"postgresql+asyncpg://{getpass.getuser()}@/postgres?host=/var/run/postgresql",
    )
    refusals = []
    for url in [given] if given else usual:
        try:
            if _in_own_loop(_asked(url, "SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user")):
                return url
            refusals.append("its user may not make databases")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            refusals.append(str(error) or type(error).__name__)
    return _unusable(f"No PostgreSQL to test with at {POSTGRES}: {'; '.join(refusals)}", given=given)


@contextlib.contextmanager
def database(server: str) -> Iterator[str]:
    """A new empty database, as a `postgresql+asyncpg://` URL; dropped in the end, whoever is still connected."""
    name = f"test_{secrets.token_hex(6)}"
    _in_own_loop(_asked(server, f'CREATE DATABASE "{name}"'))
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        _in_own_loop(_asked(server, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _asked(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url.replace("+asyncpg", "", 1), timeout=PATIENCE)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _in_own_loop(question: Coroutine[object, object, object]) -> object:
    """Its result, also for a caller inside a running event loop: fixtures are asked from both sides."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, question).result()


def _unusable(reason: str, *, given: str | None) -> NoReturn:
    """An address that somebody gave has to work; one that was only guessed may be absent."""
    if given:
        pytest.fail(reason)
    absent(reason)
