"""The farm under fire, on either setting, with the places where it can be hurt."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import asyncpg

from buildyard.cli.local import Farm
from buildyard.client import ProducerClient
from chaos.cluster_site import Site, twin_farm
from chaos.plan import MAX_ATTEMPTS
from chaos.proxy import Proxy, proxied
from chaos.servers import Server

LEASE_SECONDS = 4.0
BROKER, STORE = "broker", "store"
"""The names of a run's own servers."""

QUICK = {
    "BUILDYARD_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
    "BUILDYARD_HEARTBEAT_SECONDS": "1",
    "BUILDYARD_SWEEP_SECONDS": "0.2",
    "BUILDYARD_CANCEL_SECONDS": "10",
    "BUILDYARD_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
}
_POLICY = "[pools.linux.policy]\nmax_workers = 4\nidle_seconds = 5\n"


@dataclass(frozen=True)
class Servers:
    """RabbitMQ and PostgreSQL: the URLs of servers that the run may use; its queues and database are its own."""

    broker: str
    store: str
    own: Mapping[str, Server] = field(default_factory=dict)
    """The processes BROKER and STORE that the run may kill and restart; empty: others use them too."""
    broker_options: Mapping[str, str] = field(default_factory=dict)
    """Further words of the broker's URL, such as `heartbeat`."""


@dataclass
class Yard:
    """A running farm; `broker_proxy` and `store_proxy` stand before its servers, None on embedded defaults."""

    farm: Farm
    client: ProducerClient
    folder: Path
    broker_url: str
    broker_proxy: Proxy | None = None
    store_proxy: Proxy | None = None
    own: Mapping[str, Server] = field(default_factory=dict)
    site: Site | None = None
    """Where workers are Jobs of a cluster."""

    @property
    def ledger(self) -> Path:
        """The file that counts side effects."""
        return self.folder / "ledger"

    @property
    def repositories(self) -> Path:
        """Where git sources lie."""
        return self.folder / "repositories"


@asynccontextmanager
async def open_yard(folder: Path, servers: Servers | None, site: Site | None = None) -> AsyncIterator[Yard]:
    """Run a farm in `folder` for the length of the block; its workers are local processes, or those of a `site`."""
    pools = folder / "pools.toml"
    if site is None:
        pools.write_text(_POLICY)
    (folder / "ledger").touch()
    (folder / "repositories").mkdir()
    env = {**QUICK, "BUILDYARD_POOLS_FILE": str(pools), "BUILDYARD_GIT_LOCAL_ROOTS": str(folder / "repositories")}
    async with AsyncExitStack() as stack:
        broker_url = f"sqlite:///{folder / 'data' / 'broker.sqlite'}"
        proxies: list[Proxy | None] = [None, None]
        if servers is not None:
            options = urlencode({"prefix": f"chaos-{secrets.token_hex(4)}", **servers.broker_options})
            broker_url = urlsplit(servers.broker)._replace(query=options).geturl()
            store_url = await stack.enter_async_context(_database(servers.store))
            proxies = [await stack.enter_async_context(_before(url)) for url in (broker_url, store_url)]
            env["BUILDYARD_BROKER_URL"] = _through(broker_url, proxies[0])
            env["BUILDYARD_STORE_URL"] = _through(store_url, proxies[1])
        say = _written_to(folder / "farm.log")
        if site is None:
            running = Farm(folder / "data", env=env, grace_seconds=10, say=say)
            farm = await stack.enter_async_context(running)
        else:
            farm = await stack.enter_async_context(twin_farm(site, folder, env, say))
        client = await stack.enter_async_context(ProducerClient(farm.api_url))
        yield Yard(farm, client, folder, broker_url, proxies[0], proxies[1], servers.own if servers else {}, site)


def servers_of_environment() -> Servers | None:
    """The servers that the tests' variables name; None when they name none."""
    broker, store = os.environ.get("BUILDYARD_TEST_AMQP_URL"), os.environ.get("BUILDYARD_TEST_POSTGRES_URL")
    return Servers(broker, store) if broker and store else None


def _written_to(file: Path) -> Callable[[str], None]:
    def say(sentence: str) -> None:
        with file.open("a") as log:
            log.write(f"{sentence}\n")

    return say


def _before(url: str) -> proxied:  # type: ignore[valid-type] # the context manager that `proxied` makes
    parts = urlsplit(url)
    return proxied(parts.hostname or "127.0.0.1", parts.port or 0)


def _through(url: str, proxy: Proxy | None) -> str:
    parts = urlsplit(url)
    assert proxy is not None
    who = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{who}@127.0.0.1:{proxy.port}").geturl()


@asynccontextmanager
async def _database(server: str) -> AsyncIterator[str]:
    name = f"chaos_{secrets.token_hex(6)}"
    await _ask(server, f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        await _ask(server, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _ask(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server.replace("+asyncpg", "", 1), timeout=60)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
