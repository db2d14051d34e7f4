"""No channel grows for ever, on any broker: a full one refuses, and messages that nobody can read are kept few."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from buildyard.broker.rabbitmq_layout import Layout
from buildyard.errors import BrokerUnavailable, ChannelFull
from buildyard.ports import DEAD, REPORTS, Broker, Channel, ChannelKind, jobs
from orchestrator.retiring import drop_tickets, trim
from tests.contract.rigs import Rig, nothing_comes, take, take_one
from tests.contract.test_broker import counted, until

FEW = Channel("few", ChannelKind.WORK, most=20)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


async def buried(broker: Broker, count: int) -> None:
    """So many messages that somebody could not read."""
    channel = Channel("jobs.linux", ChannelKind.WORK)
    await broker.declare(channel)
    await broker.publish(channel, [b"%d" % number for number in range(count)])
    subscription = await broker.subscribe(channel, prefetch=count)
    for delivery in await take(subscription, count):
        await delivery.reject("It is a number.")
    await subscription.stop()
    await counted(broker, DEAD, count)


async def left(broker: Broker) -> list[int]:
    """The numbers of the messages that are left, in the order they come."""
    count = (await broker.depth(DEAD)).ready
    subscription = await broker.subscribe(DEAD, prefetch=count + 1)
    found = [int(delivery.body) for delivery in await take(subscription, count)]
    await subscription.stop()
    return found


async def test_a_full_channel_refuses_what_comes_until_some_of_it_was_read_and_loses_nothing(rig: Rig) -> None:
    broker = await rig.open()
    await broker.declare(FEW)
    taken = 0

    async def full() -> bool:
        nonlocal taken
        try:
            await broker.publish(FEW, [b"%d" % taken])
        except ChannelFull:
            return True
        taken += 1
        assert taken < 200, "it takes without end"
        return False

    await until(full)
    assert taken >= 20
    assert (await counted(broker, FEW, taken)).ready == taken
    subscription = await broker.subscribe(FEW, prefetch=taken)
    for delivery in await take(subscription, taken):
        await delivery.ack()

    async def takes() -> bool:
        try:
            await broker.publish(FEW, [b"again"])
        except ChannelFull:
            return False
        return True

    await until(takes)
    assert (await take_one(subscription)).body == b"again"


def test_reports_are_bounded_and_a_full_channel_is_like_a_broker_that_is_away() -> None:
    assert REPORTS.most is not None
    assert Layout((3, 10)).work_arguments(REPORTS)["x-max-length"] == REPORTS.most
    assert issubclass(ChannelFull, BrokerUnavailable), "who reports waits then, and tries again"


async def test_of_too_many_dead_messages_the_oldest_go(rig: Rig) -> None:
    broker = await rig.open()
    await broker.declare(DEAD)
    assert await trim(broker, 10, LONG_AGO) == 0
    await buried(broker, 25)

    assert await trim(broker, 10, LONG_AGO) == 15

    await counted(broker, DEAD, 10)
    assert sorted(await left(broker)) == list(range(15, 25))


async def test_dead_messages_go_when_they_are_old_and_not_before(rig: Rig) -> None:
    broker = await rig.open()
    await buried(broker, 5)

    assert await trim(broker, 1000, LONG_AGO) == 0
    await counted(broker, DEAD, 5)
    assert await trim(broker, 1000, soon()) == 5

    subscription = await broker.subscribe(DEAD)
    assert await nothing_comes(subscription)


async def test_more_dead_messages_than_one_batch_go_in_several(rig: Rig) -> None:
    broker = await rig.open()
    await broker.declare(DEAD)
    await broker.publish(DEAD, [b"%d" % number for number in range(450)], {"at": "nonsense"})
    await counted(broker, DEAD, 450)

    assert await trim(broker, 30, soon()) == 420

    await counted(broker, DEAD, 30)
    assert sorted(await left(broker)) == list(range(420, 450))


async def test_as_many_tickets_are_dropped_as_are_told_and_the_others_stay(rig: Rig) -> None:
    broker = await rig.open()
    await broker.declare(jobs("mac"))
    await broker.publish(jobs("mac"), [b"ticket"] * 300)
    await counted(broker, jobs("mac"), 300)

    assert await drop_tickets(broker, "mac", 250) == 250

    await counted(broker, jobs("mac"), 50)


async def test_a_queue_that_was_made_without_a_bound_is_used_as_it_is(rabbitmq: Rig) -> None:
    broker = await rabbitmq.open()
    await broker.declare(Channel("grown", ChannelKind.WORK))
    bounded = Channel("grown", ChannelKind.WORK, most=1)

    await broker.declare(bounded)
    await broker.publish(bounded, [b"a", b"b", b"c"])

    assert (await counted(broker, bounded, 3)).ready == 3
