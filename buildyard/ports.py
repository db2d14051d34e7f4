"""The ports: what Buildyard needs of a broker and an object store, in as few methods as will do.

Each has an embedded and a production adapter (`buildyard.broker`, `buildyard.objects`) and one suite of contract
tests that runs on all of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class ChannelKind(StrEnum):
    """What a channel promises."""

    WORK = "work"
    """Durable, confirmed, acknowledged one by one; each message goes to one consumer."""
    BROADCAST = "broadcast"
    """Each consumer present gets its own copy, at most once, oldest dropped beyond a bound; none is kept."""
    DOORBELL = "doorbell"
    """Holds at most the newest message, at most once: "look again"."""


@dataclass(frozen=True)
class Channel:
    """A named way for messages."""

    name: str
    kind: ChannelKind
    most: int | None = None
    """From about so many ready messages on, a WORK channel takes no more for now; None: it takes all."""


def jobs(pool: str) -> Channel:
    """The tickets of a pool."""
    return Channel(f"jobs.{pool}", ChannelKind.WORK)


def doorbell(pool: str) -> Channel:
    """The scaler's doorbell for a pool."""
    return Channel(f"doorbell.{pool}", ChannelKind.DOORBELL)


REPORTS = Channel("reports", ChannelKind.WORK, most=100_000)
LOGS = Channel("logs", ChannelKind.BROADCAST)
CONTROL = Channel("control", ChannelKind.BROADCAST)
DEAD = Channel("dead", ChannelKind.WORK)
"""Messages that nobody could read; headers tell the `reason`, the `channel`, and since when (`at`) they lie there."""


@dataclass(frozen=True)
class Depth:
    """What one source says of a WORK channel; None is what it cannot tell, never 0.

    `age_seconds` is the greatest age that the count can have had when the source was asked, `took_seconds` how long
    the asking took.
    """

    ready: int
    unacked: int | None
    consumers: int | None
    source: str
    age_seconds: float
    total: int | None = None
    """Ready, unacknowledged and delayed messages."""
    has_leader: bool | None = None
    """Whether the channel's queue has somebody who can answer for it."""
    took_seconds: float = 0.0
    sampled: bool = False
    """Statistics, collected now and then, instead of a count made for this question."""

    @property
    def slow_zero(self) -> bool:
        """Whether this 0 may only mean that nobody answered: RabbitMQ says 0 after waiting 250 ms for a leader."""
        return self.ready == 0 and self.took_seconds >= SLOW_SECONDS


SLOW_SECONDS = 0.2
"""A 0 that took so long is no count."""


@dataclass(frozen=True)
class Uncounted:
    """A source that should have borne witness and could not; the cause is a sentence."""

    source: str
    cause: str


class Delivery(Protocol):
    """One message in hand. Exactly one of ack, release, reject ends it; later calls do nothing."""

    body: bytes
    headers: Mapping[str, str]
    redelivered: bool

    async def ack(self) -> None:
        """Done with it.

        Raises:
            DeliveryLost: the broker no longer counts it as ours: it comes again, to us or to another.
            BrokerUnavailable: the broker did not hear it; try again.
        """

    async def release(self) -> None:
        """Give it back: another consumer, or this one later, gets it with `redelivered` set."""

    async def reject(self, reason: str) -> None:
        """It cannot be read: move it to DEAD with its reason, then acknowledge it; it is never lost between."""


class Subscription(Protocol):
    """Messages of one channel as they come.

    At most `prefetch` are in hand at once. Iteration survives reconnects; it ends after `stop`.
    """

    def __aiter__(self) -> AsyncIterator[Delivery]:
        """Deliveries, in order of arrival."""

    async def stop(self) -> None:
        """Take no further message. Deliveries in hand stay ours and can still be acknowledged."""

    async def close(self) -> None:
        """Stop, and soon keep nothing open: deliveries in hand that are not settled by then may come again."""


class Broker(Protocol):
    """A message broker. All methods raise BrokerUnavailable when it cannot be reached in time."""

    async def open(self) -> None:
        """Connect. Raises BrokerUnavailable; after success, lost connections are restored for ever."""

    async def close(self) -> None:
        """Let go: messages in hand go back to their channels."""

    async def declare(self, channel: Channel) -> None:
        """Make sure that the channel exists."""

    async def publish(
        self, channel: Channel, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish in order, about 100 confirms in flight; returns when every one is confirmed durable.

        BROADCAST and DOORBELL are at most once and wait for nobody.

        Raises:
            Unroutable: a WORK channel does not exist; nothing is silently lost. Bodies confirmed before it stay.
            ChannelFull: it holds as many messages as it may; of several bodies, some may have been taken.
        """

    async def subscribe(self, channel: Channel, prefetch: int = 1) -> Subscription:
        """Begin to consume; the channel is declared if need be."""

    async def depth(self, channel: Channel) -> Depth:
        """Count a WORK channel.

        Raises:
            UnknownCount: the broker cannot tell for sure. A missing number is never 0.
        """

    async def witnesses(self, channel: Channel) -> tuple[Depth | Uncounted, ...]:
        """Everything that is said of a WORK channel: the broker's own count first, then its further sources.

        No source is merged with another, and none is judged: a 0 here may be a false one.

        Raises:
            UnknownCount: the broker itself gives no count.
        """


@dataclass(frozen=True)
class ObjectInfo:
    """What the store knows of an object."""

    key: str
    size_bytes: int


class ObjectStore(Protocol):
    """Immutable bytes by key. All methods raise ObjectsUnavailable when the store cannot be reached."""

    async def put(self, key: str, chunks: AsyncIterator[bytes] | bytes) -> ObjectInfo:
        """Store durably under a key that is written once; a failed put leaves nothing behind."""

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Stream bytes start..end (end excluded). Raises NotFound."""

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Read a small object, or a range of one. Raises NotFound."""

    async def head(self, key: str) -> ObjectInfo:
        """Size of an object. Raises NotFound."""

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Objects below a prefix, by key."""

    def pages(self, prefix: str, older_than: datetime) -> AsyncIterator[Sequence[ObjectInfo]]:
        """Objects below a prefix that were stored before a moment, in no order: a page at a time in bounded memory."""

    async def move(self, source: str, target: str) -> None:
        """Give an object another key. Raises NotFound."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; a missing one is no error."""

    async def drop_torn(self, prefix: str, age_seconds: float) -> int:
        """Remove what puts below a prefix left that a crash ended longer ago; they are no objects. Returns how many."""
