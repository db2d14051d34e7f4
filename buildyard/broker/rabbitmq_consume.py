"""Consuming from RabbitMQ: iteration goes on across lost connections, deliveries do not."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Protocol

from aio_pika.abc import AbstractChannel, AbstractConnection, HeadersType
from aiormq.abc import AbstractChannel as LowerChannel
from aiormq.abc import DeliveredMessage

from buildyard.broker.burying import epitaph
from buildyard.broker.copies import BROADCAST_BOUND, Copy
from buildyard.broker.rabbitmq_layout import COPIES_ARGUMENTS, Layout
from buildyard.broker.rabbitmq_link import Link, close_channel, open_channel, within_deadline
from buildyard.errors import BrokerUnavailable, DeliveryLost
from buildyard.ports import Channel, ChannelKind, Delivery
from buildyard.telemetry import logger

SETTLED_SECONDS = 5.0
"""A server hands acknowledgements on to a replicated queue bit by bit: a channel that is closed at once takes the last
ones with it, and their messages come again."""
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
_log = logger("broker")


class Host(Protocol):
    """What a consumption needs of its broker."""

    @property
    def link(self) -> Link:
        """The connection that consumes."""

    def layout(self, connection: AbstractConnection) -> Layout:
        """How channels lie on this server."""

    async def declare_on(self, connection: AbstractConnection, channel: Channel) -> None:
        """Declare a channel."""

    async def bury(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Publish to DEAD, confirmed."""


class Session:
    """A consumer on one AMQP channel. When that is gone, its deliveries are ours no longer."""

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel) -> None:
        self.connection = connection
        self.channel = channel
        self.lost = asyncio.Event()
        self._lower: LowerChannel | None = None
        self._tag: str | None = None

    async def watch(self) -> None:
        """Notice the end of the channel, and the server's ending of the consumer."""
        self.channel.close_callbacks.add(lambda *_: self.lost.set())
        self._lower = await self.channel.get_underlay_channel()
        self._lower.on_consumer_cancel_callbacks.add(lambda _: self.lost.set())

    @property
    def lower(self) -> LowerChannel:
        """The channel of the library below aio-pika, which would start one more task for each message."""
        if self._lower is None:
            raise BrokerUnavailable("The channel is not open.")
        return self._lower

    async def consume(
        self, queue: str, on_message: Callable[[DeliveredMessage], Coroutine[None, None, None]], *, no_ack: bool = False
    ) -> None:
        """Have the server send messages of a queue."""
        self._tag = (await self.lower.basic_consume(queue, on_message, no_ack=no_ack)).consumer_tag

    @property
    def alive(self) -> bool:
        """Whether deliveries of this session still count as ours."""
        return not self.lost.is_set() and not self.channel.is_closed

    async def cancel(self) -> None:
        """Take no further message."""
        if self._tag is not None and self.alive:
            with contextlib.suppress(BrokerUnavailable):  # then the connection brings no further message either
                async with within_deadline("stopping to consume"):
                    await self.lower.basic_cancel(self._tag)


class Consumption(ABC):
    """One consumer of one channel; see `buildyard.ports.Subscription`."""

    def __init__(self, host: Host, channel: Channel, kept: int | None) -> None:
        self._host = host
        self._channel = channel
        self._found: deque[Delivery] = deque(maxlen=kept)
        self._arrived = asyncio.Event()
        self._session: Session | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._stopped = False

    async def begin(self) -> None:
        """Consume for the first time. Raises BrokerUnavailable."""
        self._session = await self._new_session()
        self._keeper = asyncio.create_task(self._keep(), name=f"consume {self._channel.name}")

    def __aiter__(self) -> AsyncIterator[Delivery]:
        """Deliveries, in order of arrival."""
        return self

    async def __anext__(self) -> Delivery:
        """The next delivery; waits for it."""
        while not self._stopped:
            if self._found:
                return self._found.popleft()
            self._arrived.clear()
            await self._arrived.wait()
        raise StopAsyncIteration

    async def stop(self) -> None:
        """Take no further message; what arrived but was not yet handed out goes back."""
        if self._stopped:
            return
        self._stopped = True
        self._arrived.set()
        if self._session is not None:
            await self._session.cancel()
        while self._found:
            await self._found.popleft().release()

    async def close(self) -> None:
        """Stop, and soon close the server's channel, which deliveries in hand would have kept open."""
        await self.stop()
        if self._closing is None:
            self._closing = asyncio.create_task(self._close_soon(), name=f"close {self._channel.name}")

    async def _close_soon(self) -> None:
        await asyncio.sleep(SETTLED_SECONDS)
        await self.end()
        if self._session is not None:
            await close_channel(self._session.channel)

    async def end(self) -> None:
        """End the iteration and what keeps it up."""
        self._stopped = True
        self._arrived.set()
        self._found.clear()
        ours = {task for task in (self._keeper, self._closing) if task is not None} - {asyncio.current_task()}
        for task in ours:
            task.cancel()
        if ours:
            await asyncio.wait(ours)

    @property
    def over(self) -> bool:
        """Whether nothing is left to end."""
        return self._stopped and (self._session is None or not self._session.alive)

    async def _keep(self) -> None:
        """Begin anew whenever the session is lost, until stopped."""
        while self._session is not None:
            await self._session.lost.wait()
            if self._channel.kind is ChannelKind.WORK:
                self._found.clear()  # these come once more
            await close_channel(self._session.channel)
            if not self._stopped:
                self._session = await self._begin_again()
            if self._stopped:
                await self._session.cancel()
                return

    async def _begin_again(self) -> Session:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            await self._host.link.connection()
            try:
                return await self._new_session()
            except BrokerUnavailable as error:
                _log.warning("cannot consume now", channel=self._channel.name, error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _new_session(self) -> Session:
        async with within_deadline(f"beginning to consume {self._channel.name}"):
            connection = await self._host.link.connection()
            await self._host.declare_on(connection, self._channel)
            session = Session(connection, await open_channel(connection, confirms=False))
            try:
                await session.watch()
                await self._consume(session, self._host.layout(connection))
            except BaseException:
                await close_channel(session.channel)
                raise
            return session

    @abstractmethod
    async def _consume(self, session: Session, layout: Layout) -> None:
        """Begin to consume on a fresh session."""

    def _found_one(self, delivery: Delivery) -> None:
        self._found.append(delivery)
        self._arrived.set()


class Work(Consumption):
    """A consumer of a WORK channel with at most `prefetch` messages in hand."""

    def __init__(self, host: Host, channel: Channel, prefetch: int) -> None:
        super().__init__(host, channel, None)
        self._prefetch = prefetch

    async def _consume(self, session: Session, layout: Layout) -> None:
        await session.channel.set_qos(prefetch_count=self._prefetch)

        async def on_message(message: DeliveredMessage) -> None:
            delivery = WorkDelivery(self._host, self._channel, session, message)
            if self._stopped:
                await delivery.release()
            elif session.alive:
                self._found_one(delivery)

        await session.consume(layout.name(self._channel), on_message)


class Copies(Consumption):
    """A consumer of a broadcast or a doorbell: what arrives is ours at once, the oldest is dropped beyond a bound."""

    def __init__(self, host: Host, channel: Channel) -> None:
        super().__init__(host, channel, 1 if channel.kind is ChannelKind.DOORBELL else BROADCAST_BOUND)

    async def _consume(self, session: Session, layout: Layout) -> None:
        name = layout.name(self._channel)
        if self._channel.kind is not ChannelKind.DOORBELL:
            queue = await session.channel.declare_queue(
                exclusive=True, auto_delete=True, arguments=dict(COPIES_ARGUMENTS)
            )
            await queue.bind(name)
            name = queue.name

        async def on_message(message: DeliveredMessage) -> None:
            if not self._stopped:
                self._found_one(Copy(message.body, _texts(message.header.properties.headers)))

        await session.consume(name, on_message, no_ack=True)


class WorkDelivery:
    """A message of a WORK channel in hand; see `buildyard.ports.Delivery`."""

    def __init__(self, host: Host, channel: Channel, session: Session, message: DeliveredMessage) -> None:
        self.body = message.body
        self.headers: Mapping[str, str] = _texts(message.header.properties.headers)
        self.redelivered = bool(message.redelivered)
        self._host = host
        self._channel = channel
        self._session = session
        self._tag = message.delivery_tag or 0
        self._ended = False
        self._settling: asyncio.Future[None] | None = None

    async def ack(self) -> None:
        """Done with it. Raises BrokerUnavailable when its connection or consumer is gone: it goes to another."""
        await self._settle(self._session.lower.basic_ack)

    async def release(self) -> None:
        """Give it back; when its connection is gone, it went back by that."""
        with contextlib.suppress(BrokerUnavailable):
            await self._settle(self._session.lower.basic_nack)

    async def reject(self, reason: str) -> None:
        """Move it to DEAD with its reason."""
        if not self._ended:
            self._check_ours()
            await self._host.bury(self.body, epitaph(self.headers, reason, self._channel))
            await self._settle(self._session.lower.basic_ack)

    async def _settle(self, how: Callable[[int], Awaitable[None]]) -> None:
        """Settle once. It goes on even if the one who waits is cancelled: half a settlement would block the queue."""
        if self._ended:
            return
        self._check_ours()
        self._ended = True
        if self._session.lower.connection.write_queue.full():
            self._settling = asyncio.ensure_future(self._settle_in_time(how))
            await asyncio.shield(self._settling)
        else:  # it is on its way before anything is waited for: a task of its own would only cost time
            await self._settle_in_time(how)

    async def _settle_in_time(self, how: Callable[[int], Awaitable[None]]) -> None:
        try:
            async with within_deadline(f"settling a message of {self._channel.name}"):
                await how(self._tag)
        except BrokerUnavailable:
            self._ended = False
            self._session.lost.set()
            self._host.link.drop(self._session.connection)
            raise

    def _check_ours(self) -> None:
        if not self._session.alive:
            raise DeliveryLost(
                f"The connection that brought a message of {self._channel.name} is gone: it goes to another consumer."
            )


def _texts(headers: HeadersType | None) -> dict[str, str]:
    """Our own headers: the server adds others (`x-delivery-count`), which are no text."""
    if not headers:
        return {}
    return {name: value for name, value in headers.items() if isinstance(value, str)}
