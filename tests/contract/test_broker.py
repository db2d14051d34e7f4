"""What every broker promises; see `buildyard.ports`."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from buildyard.broker.copies import BROADCAST_BOUND
from buildyard.errors import BrokerUnavailable, UnknownCount, Unroutable
from buildyard.ports import DEAD, Broker, Channel, ChannelKind, Depth, Subscription, doorbell, jobs
from tests.contract.rigs import PATIENCE, Rig, nothing_comes, take, take_one

WORK = Channel("jobs.linux", ChannelKind.WORK)
NEWS = Channel("news", ChannelKind.BROADCAST)
BELL = doorbell("linux")


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that becomes true."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            await asyncio.sleep(0.02)


async def counted(broker: Broker, channel: Channel, ready: int) -> Depth:
    """The depth, once it tells so many ready messages."""
    found = await broker.depth(channel)

    async def holds() -> bool:
        nonlocal found
        found = await broker.depth(channel)
        return found.ready == ready

    await until(holds)
    return found


async def test_messages_arrive_in_the_order_they_were_published(rig: Rig) -> None:
    broker = await rig.open()
    await broker.declare(WORK)
    await broker.publish(WORK, [b"%d" % number for number in range(200)], {"kind": "number"})
    await broker.publish(WORK, [b"200"])
    await broker.publish(WORK, [])
    subscription = await broker.subscribe(WORK, prefetch=300)
    found = await take(subscription, 201)
    assert [int(delivery.body) for delivery in found] == list(range(201))
    assert found[0].headers["kind"] == "number"
    assert not any(delivery.redelivered for delivery in found)


async def test_two_consumers_never_share_a_message(rig: Rig) -> None:
    first, second = await rig.open(), await rig.open()
    one, other = await first.subscribe(WORK), await second.subscribe(WORK)
    await first.publish(WORK, [b"a", b"b"])
    bodies = {(await take_one(one)).body, (await take_one(other)).body}
    assert bodies == {b"a", b"b"}
    assert await nothing_comes(one)
    assert await nothing_comes(other)


async def test_at_most_prefetch_messages_are_in_hand(rig: Rig) -> None:
    broker = await rig.open()
    subscription = await broker.subscribe(WORK, prefetch=2)
    await broker.publish(WORK, [b"a", b"b", b"c"])
    first, _ = await take(subscription, 2)
    assert await nothing_comes(subscription)
    await first.ack()
    assert (await take_one(subscription)).body == b"c"


async def test_a_consumer_hears_of_a_message_published_while_it_waits(rig: Rig) -> None:
    publisher, consumer = await rig.open(), await rig.open()
    subscription = await consumer.subscribe(WORK)
    waiting = asyncio.create_task(take_one(subscription))
    assert await nothing_comes(await consumer.subscribe(NEWS))
    await publisher.publish(WORK, [b"a"])
    assert (await waiting).body == b"a"


async def test_what_a_closed_broker_held_goes_to_another_consumer(rig: Rig) -> None:
    leaving, staying = await rig.open(), await rig.open()
    await staying.declare(WORK)
    await staying.publish(WORK, [b"a"])
    held = await take_one(await leaving.subscribe(WORK))
    await leaving.close()
    again = await take_one(await staying.subscribe(WORK))
    assert (again.body, again.redelivered) == (b"a", True)
    with pytest.raises(BrokerUnavailable):
        await held.ack()


async def test_what_a_killed_process_held_goes_to_another_consumer(rig: Rig) -> None:
    broker = await rig.open()
    await broker.declare(WORK)
    await broker.publish(WORK, [b"a"])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.contract.holder", rig.url, WORK.name, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readline() == b"a\n"
        process.kill()
        await process.wait()
    again = await take_one(await broker.subscribe(WORK))
    assert (again.body, again.redelivered) == (b"a", True)
    await again.ack()
    assert (await counted(broker, WORK, 0)).unacked in {0, None}


async def test_a_released_message_comes_again(rig: Rig) -> None:
    broker = await rig.open()
    subscription = await broker.subscribe(WORK)
    await broker.publish(WORK, [b"a"])
    first = await take_one(subscription)
    await first.release()
    again = await take_one(subscription)
    assert (again.body, again.redelivered) == (b"a", True)


async def test_a_message_that_comes_back_often_is_never_dropped(rig: Rig) -> None:
    broker = await rig.open()
    subscription = await broker.subscribe(WORK)
    await broker.publish(WORK, [b"a"])
    for _ in range(30):
        await (await take_one(subscription)).release()
    assert (await take_one(subscription)).body == b"a"


async def test_a_delivery_ends_once(rig: Rig) -> None:
    broker = await rig.open()
    subscription = await broker.subscribe(WORK)
    await broker.publish(WORK, [b"a", b"b"])
    delivery = await take_one(subscription)
    await delivery.ack()
    await delivery.ack()
    await delivery.release()
    await delivery.reject("late")
    assert (await take_one(subscription)).body == b"b"
    assert await nothing_comes(subscription)
    with pytest.raises(UnknownCount):
        await broker.depth(DEAD)


async def test_a_rejected_message_lies_with_the_dead_and_tells_why(rig: Rig) -> None:
    broker = await rig.open()
    subscription = await broker.subscribe(WORK)
    await broker.publish(WORK, [b"gibberish", b"b"], {"from": "somebody"})
    await (await take_one(subscription)).reject("no JSON")
    assert (await take_one(subscription)).body == b"b"
    dead = await take_one(await broker.subscribe(DEAD))
    assert dead.body == b"gibberish"
    told = dict(dead.headers)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(told.pop("at"))) < timedelta(minutes=5)
    assert told == {"from": "somebody", "reason": "no JSON", "channel": WORK.name}


async def test_a_missing_channel_takes_no_message_silently(rig: Rig) -> None:
    broker = await rig.open()
    with pytest.raises(Unroutable):
        await broker.publish(jobs("nowhere"), [b"a"])
    with pytest.raises(Unroutable):
        await broker.publish(jobs("nowhere"), [b"%d" % number for number in range(300)])
    await broker.declare(jobs("nowhere"))
    await broker.publish(jobs("nowhere"), [b"b"])
    assert (await take_one(await broker.subscribe(jobs("nowhere")))).body == b"b"


async def test_a_doorbell_holds_the_newest_ring_only(rig: Rig) -> None:
    broker = await rig.open()
    for number in range(5):
        await broker.publish(BELL, [b"%d" % number])
    await broker.publish(BELL, [b"5", b"6"])
    listener = await rig.open()
    heard: list[bytes] = []

    async def rung() -> bool:  # a ring may be under way when the listener comes: the newest is the last
        heard.append((await take_one(subscription)).body)
        return heard[-1] == b"6"

    subscription = await listener.subscribe(BELL)
    await until(rung)
    assert len(heard) <= 2
    assert await nothing_comes(subscription)


async def test_a_doorbell_wakes_who_listens(rig: Rig) -> None:
    broker, listener = await rig.open(), await rig.open()
    subscription = await listener.subscribe(BELL)
    for number in range(3):
        await broker.publish(BELL, [b"%d" % number])
        ring = await take_one(subscription)
        await ring.ack()
        assert ring.body == b"%d" % number


async def test_a_broadcast_reaches_all_who_are_there_and_nobody_later(rig: Rig) -> None:
    broker, other = await rig.open(), await rig.open()
    await broker.publish(NEWS, [b"before anybody came"])
    audience = [await broker.subscribe(NEWS), await other.subscribe(NEWS), await other.subscribe(NEWS)]
    await broker.publish(NEWS, [b"a", b"b"], {"n": "1"})
    for subscription in audience:
        found = await take(subscription, 2)
        assert [(copy.body, copy.headers["n"]) for copy in found] == [(b"a", "1"), (b"b", "1")]
        await found[0].ack()
        await found[1].reject("copies just go")
    assert await nothing_comes(await other.subscribe(NEWS))


async def test_a_slow_listener_loses_the_oldest_copies_and_holds_nobody_up(rig: Rig) -> None:
    broker = await rig.open()
    slow = await broker.subscribe(NEWS)
    total = BROADCAST_BOUND + 3_000
    for first in range(0, total, 500):
        await broker.publish(NEWS, [b"%d" % number for number in range(first, first + 500)])
    found: list[int] = []

    async def at_the_end() -> bool:
        found.append(int((await take_one(slow)).body))
        return found[-1] == total - 1

    if rig.proxy is not None:  # what the server has sent must have arrived before the first is taken
        quick = await broker.subscribe(NEWS)
        await broker.publish(NEWS, [b"%d" % (total - 1)])
        await take_one(quick)
    while not await at_the_end():
        pass
    assert found == sorted(found)
    assert found[0] > 0
    assert len(found) <= BROADCAST_BOUND + 1_000


async def test_ready_messages_and_those_in_hand_are_counted(rig: Rig) -> None:
    broker = await rig.open()
    await broker.declare(WORK)
    empty = await broker.depth(WORK)
    assert (empty.ready, empty.age_seconds, bool(empty.source)) == (0, 0.0, True)
    await broker.publish(WORK, [b"a", b"b", b"c"])
    assert (await counted(broker, WORK, 3)).unacked in {0, None}
    delivery = await take_one(await broker.subscribe(WORK))
    assert (await counted(broker, WORK, 2)).unacked in {1, None}
    await delivery.ack()
    assert (await broker.depth(WORK)).ready <= 2


async def test_a_missing_channel_is_unknown_and_never_zero(rig: Rig) -> None:
    broker = await rig.open()
    with pytest.raises(UnknownCount):
        await broker.depth(jobs("nowhere"))
    await broker.declare(WORK)
    assert (await broker.depth(WORK)).ready == 0


async def test_of_a_thousand_messages_and_eight_consumers_none_is_lost_or_doubled(rig: Rig) -> None:
    publisher = await rig.open()
    await publisher.declare(WORK)
    found: Counter[bytes] = Counter()
    finished = asyncio.Event()

    async def consume(subscription: Subscription) -> None:
        async for delivery in subscription:
            found[delivery.body] += 1
            await delivery.ack()
            if found.total() == 1000:
                finished.set()

    subscriptions = [await (await rig.open()).subscribe(WORK, prefetch=3) for _ in range(8)]
    consumers = [asyncio.create_task(consume(subscription)) for subscription in subscriptions]
    for first in range(0, 1000, 100):
        await publisher.publish(WORK, [b"%d" % number for number in range(first, first + 100)])
    async with asyncio.timeout(PATIENCE):
        await finished.wait()
    for subscription in subscriptions:
        await subscription.stop()
    await asyncio.gather(*consumers)
    assert set(found.values()) == {1}
    assert len(found) == 1000
    await counted(publisher, WORK, 0)
