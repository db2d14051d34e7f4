"""What goes with a message that nobody could read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from buildyard.contracts.wire import rfc3339
from buildyard.ports import Channel


def epitaph(headers: Mapping[str, str], reason: str, channel: Channel) -> dict[str, str]:
    """The headers of a message in DEAD: its own, and why it lies there, where it came from, since when."""
    return {**headers, "reason": reason, "channel": channel.name, "at": rfc3339(datetime.now(UTC))}
