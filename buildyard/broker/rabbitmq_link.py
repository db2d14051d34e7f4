"""One connection to RabbitMQ that is restored for ever, and the deadline under which everything on it is done.

The reconnect loop is ours: the library's own restores consumers behind the application's back, which then cannot
tell a delivery of the lost connection from one of the new.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ConnectionClosed

from buildyard.broker.rabbitmq_layout import parse_version
from buildyard.errors import BrokerUnavailable
from buildyard.telemetry import logger

DEADLINE_SECONDS = 3.0
"""For every call on the broker; a publish of many messages has it for each step forward."""
_HEARTBEAT_SECONDS = "10"
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
_log = logger("broker")

for _name in ("aio_pika", "aiormq"):  # every loss is told once, by us, in one line
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@contextlib.asynccontextmanager
async def within_deadline(doing: str) -> AsyncIterator[None]:
    """Do something with the broker in time.

    Raises:
        BrokerUnavailable: it took too long, or the connection or channel is lost.
    """
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            yield
    except TimeoutError as error:
        raise BrokerUnavailable(f"RabbitMQ did not answer within {DEADLINE_SECONDS:g} s while {doing}.") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # The library ends pending calls of a closed connection so, although nobody cancelled this task.
        raise BrokerUnavailable(f"The connection to RabbitMQ was closed while {doing}.") from error
    except (*CONNECTION_EXCEPTIONS, EOFError) as error:
        raise BrokerUnavailable(f"RabbitMQ failed while {doing}: {_words(error)}.") from error


class Link:
    """A connection for one purpose, restored for ever once it was open.

    Args:
        url: amqp:// or amqps://.
        purpose: what it does, for logs and RabbitMQ's list of connections.
    """

    def __init__(self, url: str, purpose: str) -> None:
        self._purpose = purpose
        self._url = make_url(url, name=f"buildyard {purpose}")
        if "heartbeat" not in self._url.query:
            self._url = self._url.update_query(heartbeat=_HEARTBEAT_SECONDS)
        self._connection: AbstractConnection | None = None
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Connect; a second call does nothing. Raises BrokerUnavailable."""
        if self._keeper is not None:
            return
        await self._connect()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep the connection that {self._purpose}")

    async def close(self) -> None:
        """Close the connection: what it held goes back."""
        self._closed = True
        self._up.set()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        await self._discard()

    @property
    def up(self) -> bool:
        """Whether the connection stands now."""
        return self._connection is not None

    async def connection(self) -> AbstractConnection:
        """The connection, as soon as it stands; call it under a deadline. Raises BrokerUnavailable when closed."""
        while not self._closed:
            if self._connection is not None:
                return self._connection
            await self._up.wait()
        raise BrokerUnavailable("The connection to RabbitMQ is closed.")

    def drop(self, connection: AbstractConnection) -> None:
        """Give a connection up that did not answer in time: what was sent on it has an unknown fate."""
        if connection is self._connection:
            self._lost.set()

    async def _connect(self) -> None:
        connection = aio_pika.Connection(self._url)
        try:
            async with within_deadline("connecting"):
                await connection.connect()
        except BaseException:
            await connection.close()
            raise
        self._lost.clear()
        connection.close_callbacks.add(self._on_close)
        self._connection = connection
        self._up.set()

    def _on_close(self, connection: AbstractConnection | None, _: BaseException | None) -> None:
        if connection is self._connection:
            self._lost.set()

    async def _keep(self) -> None:
        while True:
            await self._lost.wait()
            self._up.clear()
            _log.warning("the connection to RabbitMQ is lost", connection=self._purpose)
            await self._discard()
            await self._reconnect()
            _log.warning("the connection to RabbitMQ is restored", connection=self._purpose)

    async def _reconnect(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._connect()
            except BrokerUnavailable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            else:
                return

    async def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(BrokerUnavailable):
                async with within_deadline("closing a connection"):
                    await connection.close(ConnectionClosed(0, "closed by us"))


async def open_channel(connection: AbstractConnection, *, confirms: bool) -> AbstractChannel:
    """Open an AMQP channel; with `confirms`, a message without a queue comes back as an error."""
    channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    await channel.initialize()
    return channel


async def close_channel(channel: AbstractChannel) -> None:
    """Close an AMQP channel as far as it still answers."""
    with contextlib.suppress(BrokerUnavailable):
        async with within_deadline("closing a channel"):
            await channel.close()


def server_version(connection: AbstractConnection) -> tuple[int, ...]:
    """The server's version as it introduced itself."""
    transport = connection.transport
    properties = transport.connection.server_properties if transport is not None else {}
    version = properties.get("version", "")
    return parse_version(version.decode() if isinstance(version, bytes) else str(version))


def _words(error: BaseException) -> str:
    text = str(error).strip().rstrip(".")
    return text or type(error).__name__
