"""How channels lie on a RabbitMQ server: names and arguments of queues and exchanges. No connection here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from buildyard.broker.copies import BROADCAST_BOUND
from buildyard.ports import Channel

_QUORUM_SINCE = (3, 8)
_DELIVERY_LIMIT_SINCE = (4, 0)
_EXACT_CONSUMERS_SINCE = (4, 3)
_LONGEST_BUILD_MINUTES = 120
_CONSUMER_TIMEOUT_MS = 2 * _LONGEST_BUILD_MINUTES * 60_000

Arguments = dict[str, str | int]


@dataclass(frozen=True)
class Layout:
    """The layout on a server of one version, for one prefix."""

    version: tuple[int, ...]
    prefix: str = ""

    def name(self, channel: Channel) -> str:
        """The name of the channel's queue, or of its exchange when it is a broadcast."""
        return f"{self.prefix}.{channel.name}" if self.prefix else channel.name

    @property
    def quorum(self) -> bool:
        """Whether WORK channels are quorum queues: they survive the loss of a node, and of the disk's last second."""
        return self.version >= _QUORUM_SINCE

    @property
    def counts_consumers(self) -> bool:
        """Whether the server counts the consumers of a WORK channel rightly."""
        return not self.quorum or self.version >= _EXACT_CONSUMERS_SINCE

    def work_arguments(self, channel: Channel) -> Arguments:
        """Arguments of a WORK channel's queue.

        A ticket stays unacknowledged as long as its build runs, hence the consumer timeout. Attempts are counted in
        the store, so the broker must never drop a message because it came back often: 4.0 began to, at 20.
        """
        arguments: Arguments = {"x-queue-type": "quorum" if self.quorum else "classic"}
        if channel.name.startswith("jobs."):
            arguments["x-consumer-timeout"] = _CONSUMER_TIMEOUT_MS
        if channel.most is not None:  # a publish beyond it is refused with a nack
            arguments |= {"x-max-length": channel.most, "x-overflow": "reject-publish"}
        if self.version >= _DELIVERY_LIMIT_SINCE:
            arguments["x-delivery-limit"] = -1
        return arguments


DOORBELL_ARGUMENTS: Arguments = {"x-queue-type": "classic", "x-max-length": 1, "x-overflow": "drop-head"}
COPIES_ARGUMENTS: Arguments = {
    "x-queue-type": "classic",
    "x-max-length": BROADCAST_BOUND,
    "x-overflow": "drop-head",
}


def parse_version(text: str) -> tuple[int, ...]:
    """`3.10.8` -> (3, 10, 8), `4.1.0-rc.1` -> (4, 1, 0); () for what begins with no number."""
    numbers = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()
