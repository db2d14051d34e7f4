"""Faults that only a server on a network has: refused, frozen, and changed by others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from buildyard.broker import rabbitmq_link
from buildyard.errors import BrokerUnavailable, TemporaryError, UnknownCount
from buildyard.ports import Broker, Channel, ChannelKind
from tests.contract.rigs import PATIENCE, Rig, take_one

WORK = Channel("jobs.linux", ChannelKind.WORK)
NEWS = Channel("news", ChannelKind.BROADCAST)
DEADLINE = 0.7
IN_TIME = 20.0
"""Far beyond any of these deadlines, and beyond what a machine may stall: what waits for ever fails."""


@asynccontextmanager
async def administering(rig: Rig) -> AsyncIterator[tuple[AbstractChannel, str]]:
    """A connection of another client, and the name of the queue of WORK."""
    url, _, prefix = rig.url.partition("?prefix=")
    connection = await aio_pika.connect(url)
    async with connection:
        yield await connection.channel(), f"{prefix}.{WORK.name}"


@contextmanager
def soon_late() -> Iterator[None]:
    """Calls end soon, for as long as the fault is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rabbitmq_link, "DEADLINE_SECONDS", DEADLINE)
        yield


async def published(broker: Broker, body: bytes) -> None:
    """Publish as the processes do: again and again while it may help."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await broker.publish(WORK, [body])
            except TemporaryError:
                await asyncio.sleep(0.1)
            else:
                return


async def test_while_the_server_is_gone_calls_fail_in_time_and_later_all_goes_on(rabbitmq: Rig) -> None:
    assert rabbitmq.proxy is not None
    broker = await rabbitmq.open()
    subscription = await broker.subscribe(WORK)
    await rabbitmq.proxy.refuse()
    with soon_late():
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await broker.publish(WORK, [b"a"])
        assert time.monotonic() - began < IN_TIME
        with pytest.raises(BrokerUnavailable):
            await broker.publish(NEWS, [b"nobody waits for this one"])
        with pytest.raises(UnknownCount):
            await broker.depth(WORK)
    await rabbitmq.proxy.listen()
    await published(broker, b"b")
    assert (await take_one(subscription)).body == b"b"


async def test_a_frozen_network_ends_calls_in_time_and_nothing_confirmed_is_lost(rabbitmq: Rig) -> None:
    assert rabbitmq.proxy is not None
    broker = await rabbitmq.open()
    subscription = await broker.subscribe(WORK)
    await broker.publish(WORK, [b"a"])
    rabbitmq.proxy.freeze()
    began = time.monotonic()
    with soon_late(), pytest.raises(BrokerUnavailable):
        await broker.publish(WORK, [b"b"] * 300)
    assert time.monotonic() - began < IN_TIME
    rabbitmq.proxy.thaw()
    await published(broker, b"c")
    bodies = set()
    while b"c" not in bodies:
        delivery = await take_one(subscription)
        bodies.add(delivery.body)
        await delivery.ack()
    assert b"a" in bodies


async def test_closing_over_a_frozen_network_ends_in_time(rabbitmq: Rig) -> None:
    assert rabbitmq.proxy is not None
    broker = await rabbitmq.open()
    await broker.subscribe(WORK)
    await broker.publish(WORK, [b"a"])
    rabbitmq.proxy.freeze()
    began = time.monotonic()
    with soon_late():
        await broker.close()
    assert time.monotonic() - began < IN_TIME


async def test_a_broker_that_is_not_there_cannot_be_opened(rabbitmq: Rig) -> None:
    assert rabbitmq.proxy is not None
    await rabbitmq.proxy.refuse()
    with pytest.raises(BrokerUnavailable):
        await rabbitmq.open()


async def test_a_broker_that_never_answers_cannot_be_opened_or_waited_for_long(rabbitmq: Rig) -> None:
    assert rabbitmq.proxy is not None
    rabbitmq.proxy.freeze()
    began = time.monotonic()
    with soon_late(), pytest.raises(BrokerUnavailable):
        await rabbitmq.open()
    assert time.monotonic() - began < IN_TIME


async def test_wrong_credentials_are_told(rabbitmq: Rig) -> None:
    wrong = Rig("wrong", rabbitmq.url.replace("guest:guest", "guest:wrong"))
    with pytest.raises(BrokerUnavailable, match="ACCESS_REFUSED"):
        await wrong.open()


async def test_a_consumer_that_the_server_ends_begins_again(rabbitmq: Rig) -> None:
    broker = await rabbitmq.open()
    subscription = await broker.subscribe(WORK)
    async with administering(rabbitmq) as (channel, queue):
        await channel.queue_delete(queue)
    await published(broker, b"a")
    assert (await take_one(subscription)).body == b"a"


async def test_a_queue_with_other_arguments_is_used_as_it_is(rabbitmq: Rig) -> None:
    async with administering(rabbitmq) as (channel, queue):
        await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "classic"})
    broker = await rabbitmq.open()
    subscription = await broker.subscribe(WORK)
    await broker.publish(WORK, [b"a"])
    assert (await take_one(subscription)).body == b"a"


async def test_a_full_queue_refuses_and_nothing_is_taken_for_published(rabbitmq: Rig) -> None:
    async with administering(rabbitmq) as (channel, queue):
        await channel.declare_queue(
            queue,
            durable=True,
            arguments={"x-queue-type": "classic", "x-max-length": 1, "x-overflow": "reject-publish"},
        )
    broker = await rabbitmq.open()
    await broker.publish(WORK, [b"a"])
    with pytest.raises(BrokerUnavailable):
        await broker.publish(WORK, [b"b"])
    subscription = await broker.subscribe(WORK)
    await (await take_one(subscription)).ack()
    await published(broker, b"c")
    assert (await take_one(subscription)).body == b"c"
