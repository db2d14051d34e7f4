"""A process that takes one message and keeps it, for tests that kill it.

`python -m tests.contract.holder URL CHANNEL`
"""

from __future__ import annotations

import asyncio
import sys

from buildyard.broker import open_broker
from buildyard.ports import Channel, ChannelKind
from tests.contract.rigs import take_one


async def hold(url: str, channel: str) -> None:
    broker = open_broker(url)
    await broker.open()
    subscription = await broker.subscribe(Channel(channel, ChannelKind.WORK))
    delivery = await take_one(subscription)
    sys.stdout.write(delivery.body.decode() + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(hold(*sys.argv[1:]))
