"""RabbitMQ behind the broker port.

WORK channels are durable quorum queues; they are published to through the default exchange, mandatory and with
confirms, since a message that finds no queue on any other exchange may be confirmed and lost. One connection
publishes and another consumes: a server short of memory or disk stops reading from publishers, and acknowledgements
must get through then.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, ExchangeType
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed, DeliveryError, PublishError

from buildyard.broker.rabbitmq_consume import Consumption, Copies, Work
from buildyard.broker.rabbitmq_layout import DOORBELL_ARGUMENTS, Layout
from buildyard.broker.rabbitmq_link import (
    Link,
    close_channel,
    open_channel,
    server_version,
    within_deadline,
)
from buildyard.errors import BrokerUnavailable, ChannelFull, UnknownCount, Unroutable
from buildyard.ports import DEAD, Channel, ChannelKind, Depth, Subscription, Uncounted
from buildyard.telemetry import logger

_CONFIRMS_IN_FLIGHT = 100
_CONFIRMS_A_STEP = 10
_log = logger("broker")


class Statistics(Protocol):
    """Further sources of counts; `buildyard.broker.rabbitmq_management.Management` is one."""

    async def ask(self, queue: str) -> tuple[Depth | Uncounted, ...]:
        """What they say of a queue; never raises, and answers in time."""

    async def close(self) -> None:
        """Let go."""


class RabbitBroker:
    """A broker on RabbitMQ; see `buildyard.ports.Broker`.

    Args:
        url: amqp:// or amqps://, with the virtual host as its path.
        prefix: keeps the channels of several farms on one virtual host apart.
        statistics: who else counts the queues; closed with the broker.
    """

    def __init__(self, url: str, prefix: str = "", statistics: Statistics | None = None) -> None:
        self._prefix = prefix
        self._statistics = statistics
        self._publishing = Link(url, "publishes")
        self._consuming = Link(url, "consumes")
        self._opening = asyncio.Lock()
        self._subscribing = asyncio.Lock()
        self._channels: dict[str, tuple[AbstractConnection, AbstractChannel]] = {}
        self._declared: set[str] = set()
        self._consumptions: list[Consumption] = []

    async def open(self) -> None:
        """Connect. Raises BrokerUnavailable; after success, lost connections are restored for ever."""
        await self._publishing.open()

    async def close(self) -> None:
        """Let go: messages in hand go back to their channels."""
        for consumption in self._consumptions:
            await consumption.end()
        await asyncio.gather(self._consuming.close(), self._publishing.close())
        if self._statistics is not None:
            await self._statistics.close()

    async def declare(self, channel: Channel) -> None:
        """Make sure that the channel exists."""
        async with within_deadline(f"declaring {channel.name}"):
            await self.declare_on(await self._publishing.connection(), channel)

    async def declare_on(self, connection: AbstractConnection, channel: Channel) -> None:
        """Declare on a connection at hand; call it under a deadline.

        A queue that an older server or version made with other arguments is used as it is.
        """
        layout = self.layout(connection)
        scratch = await open_channel(connection, confirms=False)
        try:
            await _declare(scratch, layout, channel)
        except ChannelPreconditionFailed as error:
            _log.warning(
                "a queue has other arguments than ours and is used as it is", queue=channel.name, why=str(error)
            )
        finally:
            await close_channel(scratch)

    async def publish(
        self, channel: Channel, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish in order; WORK messages are confirmed durable when it returns."""
        fields = dict(headers or {})
        if channel.kind is ChannelKind.WORK:
            await self._publish_confirmed(channel, bodies, fields)
        elif channel.kind is ChannelKind.DOORBELL:
            await self._publish_loosely(channel, bodies[-1:], fields)
        else:
            await self._publish_loosely(channel, bodies, fields)

    async def subscribe(self, channel: Channel, prefetch: int = 1) -> Subscription:
        """Begin to consume; the channel is declared if need be."""
        async with self._subscribing:
            await self._consuming.open()
        kind = channel.kind
        consumption = Work(self, channel, prefetch) if kind is ChannelKind.WORK else Copies(self, channel)
        await consumption.begin()
        self._consumptions = [*(other for other in self._consumptions if not other.over), consumption]
        return consumption

    async def depth(self, channel: Channel) -> Depth:
        """Count the ready messages of a WORK channel; this way of asking knows nothing of those in hand."""
        found = await self._count(channel)
        if found.slow_zero:
            raise UnknownCount(f"{channel.name} cannot be counted: the server was slow to say 0; its leader is away.")
        return found

    async def witnesses(self, channel: Channel) -> tuple[Depth | Uncounted, ...]:
        """The passive declare, and what statistics say where there are any; all asked at once."""
        if self._statistics is None:
            return (await self._count(channel),)
        connection = await self._connected(channel)
        asking = asyncio.ensure_future(self._statistics.ask(self.layout(connection).name(channel)))
        try:
            counted = await self._count(channel)
            return (counted, *await asking)
        finally:
            asking.cancel()
            await asyncio.wait([asking])

    async def _connected(self, channel: Channel) -> AbstractConnection:
        try:
            async with within_deadline(f"counting {channel.name}"):
                return await self._publishing.connection()
        except BrokerUnavailable as error:
            raise UnknownCount(f"{channel.name} cannot be counted: {error}") from error

    async def _count(self, channel: Channel) -> Depth:
        """A passive declare. It says 0 without an error when a quorum queue's leader is gone, or slow: after 250 ms."""
        try:
            async with within_deadline(f"counting {channel.name}"):
                connection, asking = await self._channel("counts", confirms=False)
                layout = self.layout(connection)
                began = time.monotonic()
                queue = await asking.declare_queue(layout.name(channel), passive=True)
        except BrokerUnavailable as error:
            missing = isinstance(error.__cause__, ChannelNotFoundEntity)
            why = "there is no such queue" if missing else str(error)
            raise UnknownCount(f"{channel.name} cannot be counted: {why.rstrip('.')}.") from error
        found = queue.declaration_result
        if found.message_count is None:
            raise UnknownCount(f"{channel.name} cannot be counted: the answer holds no number.")
        return Depth(
            ready=found.message_count,
            unacked=None,
            consumers=found.consumer_count if layout.counts_consumers else None,
            source="amqp passive declare",
            age_seconds=0.0,
            took_seconds=time.monotonic() - began,
        )

    # ---------------------------------------------------------------- what consumptions use
    @property
    def link(self) -> Link:
        """The connection that consumes."""
        return self._consuming

    def layout(self, connection: AbstractConnection) -> Layout:
        """How channels lie on this server."""
        return Layout(server_version(connection), self._prefix)

    async def bury(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Publish to DEAD, confirmed."""
        await self.declare(DEAD)
        await self._publish_confirmed(DEAD, [body], headers)

    # ---------------------------------------------------------------- publishing
    async def _publish_confirmed(self, channel: Channel, bodies: Sequence[bytes], headers: Mapping[str, str]) -> None:
        doing = f"publishing to {channel.name}"
        async with within_deadline(doing):
            connection, confirmed = await self._channel("confirmed", confirms=True)
        name = self.layout(connection).name(channel)
        exchange = confirmed.default_exchange

        async def send(body: bytes) -> None:
            message = Message(body, headers=dict(headers), delivery_mode=DeliveryMode.PERSISTENT)
            await exchange.publish(message, routing_key=name, mandatory=True)

        try:
            await _in_window(send, bodies, doing)
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, PublishError):
                raise Unroutable(f"There is no queue {name!r} to publish to.") from error
            if isinstance(error.__cause__, DeliveryError):
                raise ChannelFull(f"The queue {name!r} takes no more messages now.") from error
            if isinstance(error.__cause__, TimeoutError):
                self._publishing.drop(connection)
            raise

    async def _publish_loosely(self, channel: Channel, bodies: Sequence[bytes], headers: Mapping[str, str]) -> None:
        """Publish at most once: not persistent, not confirmed, and not at all while there is no connection."""
        if not self._publishing.up:
            raise BrokerUnavailable("There is no connection to RabbitMQ now.")
        async with within_deadline(f"publishing to {channel.name}"):
            connection, loose = await self._channel("loose", confirms=False)
            name = self.layout(connection).name(channel)
            if name not in self._declared:
                await self.declare_on(connection, channel)
                self._declared.add(name)
            doorbell = channel.kind is ChannelKind.DOORBELL
            exchange = loose.default_exchange if doorbell else await loose.get_exchange(name, ensure=False)
            for body in bodies:
                message = Message(body, headers=dict(headers), delivery_mode=DeliveryMode.NOT_PERSISTENT)
                await exchange.publish(message, routing_key=name if doorbell else "", mandatory=False)

    async def _channel(self, role: str, *, confirms: bool) -> tuple[AbstractConnection, AbstractChannel]:
        """The AMQP channel for a role on the connection that publishes, opened anew after a loss."""
        async with self._opening:
            connection = await self._publishing.connection()
            held = self._channels.get(role)
            if held is None or held[0] is not connection or held[1].is_closed:
                if role == "loose":
                    self._declared.clear()
                held = (connection, await open_channel(connection, confirms=confirms))
                self._channels[role] = held
            return held


async def _declare(scratch: AbstractChannel, layout: Layout, channel: Channel) -> None:
    name = layout.name(channel)
    if channel.kind is ChannelKind.WORK:
        await scratch.declare_queue(name, durable=True, arguments=dict(layout.work_arguments(channel)))
    elif channel.kind is ChannelKind.DOORBELL:
        await scratch.declare_queue(name, durable=True, arguments=dict(DOORBELL_ARGUMENTS))
    else:
        await scratch.declare_exchange(name, ExchangeType.FANOUT, durable=True)


async def _in_window(send: Callable[[bytes], Awaitable[None]], bodies: Sequence[bytes], doing: str) -> None:
    """Send in order with a window of confirms in flight; the deadline is for progress, not for the whole.

    Raises:
        BrokerUnavailable: the first failure; those in flight have ended by then.
    """
    waiting: deque[asyncio.Future[None]] = deque()
    try:
        for body in bodies:
            if len(waiting) >= _CONFIRMS_IN_FLIGHT:
                async with within_deadline(doing):
                    for _ in range(_CONFIRMS_A_STEP):  # a deadline for each would cost more than the waiting
                        await waiting.popleft()
            waiting.append(asyncio.ensure_future(send(body)))
        while waiting:
            async with within_deadline(doing):
                for _ in range(min(_CONFIRMS_A_STEP, len(waiting))):
                    await waiting.popleft()
    except BrokerUnavailable as error:
        if waiting and not isinstance(error.__cause__, TimeoutError):
            with contextlib.suppress(BrokerUnavailable):
                async with within_deadline(doing):  # their answers are on the way: none may meet a cancelled call
                    await asyncio.wait(waiting)
        raise
    finally:
        for late in waiting:
            late.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
