"""What the contract tests need of each broker: addresses, brokers that are closed in the end, and lost connections."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from buildyard.broker import open_broker
from buildyard.broker.sqlite import SqliteBroker
from buildyard.errors import UnknownCount
from buildyard.ports import DEAD, Broker, Delivery, Subscription
from chaos.proxy import Proxy, proxied

PATIENCE = 60.0
"""Seconds until a wait for something that must come fails."""
LOOK = 0.5
"""Seconds between looks of the embedded broker; that it needs none to hear of messages is tested elsewhere."""
NOTHING = 0.2
"""Seconds within which what must not come would have come."""


class Rig:
    """A broker under test."""

    def __init__(self, kind: str, url: str, *, folder: Path | None = None, proxy: Proxy | None = None) -> None:
        self.kind = kind
        self.url = url
        self.proxy = proxy
        self._folder = folder
        self._opened: list[Broker] = []

    async def open(self) -> Broker:
        """A broker of its own connection."""
        broker = open_broker(self.url)
        if isinstance(broker, SqliteBroker):
            broker._look_seconds = LOOK
        await broker.open()
        self._opened.append(broker)
        return broker

    async def close(self) -> None:
        """Close what is still open."""
        for broker in self._opened:
            await broker.close()

    async def lose_connections(self) -> None:
        """Everybody who is connected now is taken for dead by the broker."""
        if self.proxy is not None:
            self.proxy.cut()
        if self._folder is not None:
            for lock in (self._folder / "broker.sqlite-members").iterdir():
                lock.unlink()
            broker = await self.open()
            with contextlib.suppress(UnknownCount):
                await broker.depth(DEAD)  # whoever counts looks for the dead first


async def take(subscription: Subscription, count: int = 1) -> list[Delivery]:
    """The next deliveries."""
    async with asyncio.timeout(PATIENCE):
        return [await anext(aiter(subscription)) for _ in range(count)]


async def take_one(subscription: Subscription) -> Delivery:
    """The next delivery."""
    return (await take(subscription))[0]


async def nothing_comes(subscription: Subscription) -> bool:
    """Whether a consumer waits in vain."""
    try:
        async with asyncio.timeout(NOTHING):
            await anext(aiter(subscription))
    except TimeoutError:
        return True
    return False


@contextlib.asynccontextmanager
async def sqlite_rig(folder: Path) -> AsyncIterator[Rig]:
    """The embedded broker on a new file."""
    rig = Rig("sqlite", f"sqlite:///{folder / 'broker.sqlite'}?prefix=test", folder=folder)
    try:
        yield rig
    finally:
        await rig.close()


@contextlib.asynccontextmanager
async def rabbitmq_rig(kind: str, url: str) -> AsyncIterator[Rig]:
    """A RabbitMQ server behind a proxy, with a prefix of its own."""
    parts = urlsplit(url)
    async with proxied(parts.hostname or "127.0.0.1", parts.port or 5672) as proxy:
        place = f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"
        prefix = f"test-{secrets.token_hex(4)}"
        rig = Rig(kind, parts._replace(netloc=place, query=f"prefix={prefix}").geturl(), proxy=proxy)
        try:
            yield rig
        finally:
            await rig.close()
