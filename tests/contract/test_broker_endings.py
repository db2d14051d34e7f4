"""What every broker promises when something ends: a subscription, a connection, a wait, a broker."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from buildyard.broker import rabbitmq_consume
from buildyard.errors import BrokerUnavailable, UnknownCount
from buildyard.ports import Subscription
from tests.contract.rigs import PATIENCE, Rig, nothing_comes, take, take_one
from tests.contract.test_broker import BELL, NEWS, WORK, counted, until


async def test_after_stop_nothing_comes_and_what_is_in_hand_can_be_acknowledged(rig: Rig) -> None:
    broker, other = await rig.open(), await rig.open()
    subscription = await broker.subscribe(WORK, prefetch=2)
    await broker.publish(WORK, [b"a", b"b", b"c"])
    first = await take_one(subscription)
    await subscription.stop()
    await subscription.stop()
    assert [delivery.body async for delivery in subscription] == []
    rest = await take(await other.subscribe(WORK, prefetch=5), 2)
    assert sorted(delivery.body for delivery in rest) == [b"b", b"c"]
    await first.ack()
    for delivery in rest:
        await delivery.ack()
    await broker.close()
    assert (await counted(other, WORK, 0)).unacked in {0, None}


async def test_a_closed_subscription_leaves_nothing_open_and_takes_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_consume, "SETTLED_SECONDS", 0.2)
    broker = await rig.open()
    await broker.declare(WORK)
    await broker.publish(WORK, [b"a", b"b", b"c"])
    for _ in range(3):
        subscription = await broker.subscribe(WORK)
        await (await take_one(subscription)).ack()
        await subscription.close()
        await subscription.close()
        assert [delivery.body async for delivery in subscription] == []

    assert (await counted(broker, WORK, 0)).unacked in {0, None}

    async def all_over() -> bool:
        kept = vars(broker)["_consumptions"]
        return all(one.over if hasattr(one, "over") else one.ended for one in kept)

    await until(all_over)


async def test_stop_and_close_end_a_waiting_iteration(rig: Rig) -> None:
    broker = await rig.open()
    stopped, closed = await broker.subscribe(WORK), await broker.subscribe(NEWS)

    async def read(subscription: Subscription) -> int:
        return len([delivery async for delivery in subscription])

    readers = [asyncio.create_task(read(stopped)), asyncio.create_task(read(closed))]
    assert await nothing_comes(stopped)
    await stopped.stop()
    await broker.close()
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*readers) == [0, 0]


async def test_a_lost_connection_ends_deliveries_but_not_the_iteration(rig: Rig) -> None:
    broker = await rig.open()
    subscription = await broker.subscribe(WORK)
    news, bell = await broker.subscribe(NEWS), await broker.subscribe(BELL)
    await broker.publish(WORK, [b"a"])
    held = await take_one(subscription)
    await rig.lose_connections()
    again = await take_one(subscription) if rig.proxy else None
    with pytest.raises(BrokerUnavailable):
        await held.ack()
    with pytest.raises(BrokerUnavailable):
        await held.reject("too late")
    await held.release()
    again = again or await take_one(subscription)
    assert (again.body, again.redelivered) == (b"a", True)
    await again.ack()

    async def heard() -> bool:
        with contextlib.suppress(BrokerUnavailable):  # the connection that publishes may come back last
            await broker.publish(NEWS, [b"news"])
            await broker.publish(BELL, [b"ring"])
            return not await nothing_comes(news) and not await nothing_comes(bell)
        return False

    await until(heard)
    assert (await counted(broker, WORK, 0)).unacked in {0, None}


async def test_messages_outlive_the_brokers_that_published_them(rig: Rig) -> None:
    first = await rig.open()
    await first.declare(WORK)
    await first.publish(WORK, [b"a", b"b"])
    await first.close()
    second = await rig.open()
    found = await take(await second.subscribe(WORK, prefetch=2), 2)
    assert [delivery.body for delivery in found] == [b"a", b"b"]


async def test_a_cancelled_wait_loses_no_message(rig: Rig) -> None:
    broker = await rig.open()
    subscription = await broker.subscribe(WORK, prefetch=1)
    await broker.publish(WORK, [b"%d" % number for number in range(20)])
    found: list[bytes] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < 20:
            waiting = asyncio.create_task(take_one(subscription))
            for _ in range(len(found) % 5):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                found.append(waiting.result().body)
                await waiting.result().ack()
            elif len(found) % 5 == 0:
                delivery = await take_one(subscription)
                found.append(delivery.body)
                await delivery.ack()
    assert found == [b"%d" % number for number in range(20)]


async def test_an_acknowledgement_counts_even_if_nobody_waits_for_its_end(rig: Rig) -> None:
    broker = await rig.open()
    subscription = await broker.subscribe(WORK, prefetch=30)
    await broker.publish(WORK, [b"%d" % number for number in range(31)])
    acknowledging = [asyncio.create_task((await take_one(subscription)).ack()) for _ in range(30)]
    await asyncio.sleep(0)
    for task in acknowledging:
        task.cancel()
    await asyncio.wait(acknowledging)
    assert (await take_one(subscription)).body == b"30"
    await broker.close()
    subscription = await (await rig.open()).subscribe(WORK, prefetch=30)
    assert (await take_one(subscription)).body == b"30"
    assert await nothing_comes(subscription)


async def test_a_closed_broker_refuses_everything(rig: Rig) -> None:
    broker = await rig.open()
    await broker.declare(WORK)
    await broker.close()
    await broker.close()
    for refused in (broker.declare(WORK), broker.publish(WORK, [b"a"]), broker.publish(BELL, [b"a"])):
        with pytest.raises(BrokerUnavailable):
            await refused
    with pytest.raises(BrokerUnavailable):
        await broker.subscribe(WORK)
    with pytest.raises(UnknownCount):
        await broker.depth(WORK)


async def test_prefixes_keep_farms_apart(rig: Rig) -> None:
    ours = await rig.open()
    await ours.declare(WORK)
    await ours.publish(WORK, [b"ours"])
    other = Rig(rig.kind, rig.url + "-other")
    try:
        theirs = await other.open()
        subscription = await theirs.subscribe(WORK)
        assert await nothing_comes(subscription)
        assert (await theirs.depth(WORK)).ready == 0
    finally:
        await other.close()
