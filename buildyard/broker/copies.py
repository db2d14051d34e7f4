"""Messages that nobody gives back: copies of broadcasts, and rings of a doorbell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BROADCAST_BOUND = 10_000
"""A consumer that falls behind keeps this many copies of a broadcast channel; older ones are dropped."""


@dataclass
class Copy:
    """A delivery at most once: it is gone from the broker already, so there is nothing left to settle."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    redelivered: bool = False

    async def ack(self) -> None:
        """Nothing to do."""

    async def release(self) -> None:
        """Nothing to do: a copy cannot go back."""

    async def reject(self, reason: str) -> None:
        """Nothing to do: an unreadable copy is dropped, since each consumer has its own."""
