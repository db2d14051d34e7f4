"""The guards against a RabbitMQ that goes away, each tried twice: it holds, and without it the same check goes red."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import aiormq
import pytest

from buildyard.broker import rabbitmq_link
from buildyard.broker.rabbitmq_consume import Consumption, Work
from buildyard.broker.rabbitmq_link import Link
from buildyard.errors import BrokerUnavailable, DeliveryLost, TemporaryError
from buildyard.ports import Broker, Channel, ChannelKind, Delivery, Subscription
from tests.contract.rigs import PATIENCE, Rig
from tests.guards import holds_only_with

pytestmark = [pytest.mark.parametrize("rabbitmq", ["rabbitmq-3"], indirect=True)]
"""The guards are the client's own; whether every server does what they are for is tested elsewhere."""

WORK = Channel("jobs.linux", ChannelKind.WORK)
DEADLINE = 0.7
"""Seconds for a call, once the fault is there; before it a machine may stall."""
SHORT = 1.5
"""Seconds after which a check gives up whose guard is gone: it would wait for ever."""

patience = PATIENCE
deadline = DEADLINE


@contextmanager
def soon_late() -> Iterator[None]:
    """Calls end soon, for as long as the fault is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rabbitmq_link, "DEADLINE_SECONDS", deadline)
        yield


def be_brief(patch: pytest.MonkeyPatch, seconds: float = SHORT) -> None:
    """Let the check of what cannot come any more end soon."""
    patch.setitem(globals(), "patience", seconds)


async def nobody_keeps(_: Link | Consumption) -> None:
    """Whoever should begin anew does not."""
    await asyncio.Event().wait()


async def takes(broker: Broker) -> bool:
    """Whether the broker takes a message, sooner or later."""
    try:
        async with asyncio.timeout(patience):
            while True:
                try:
                    await broker.publish(WORK, [b"a"])
                except TemporaryError:
                    await asyncio.sleep(0.05)
                else:
                    return True
    except TimeoutError:
        return False


async def next_of(subscription: Subscription) -> Delivery | None:
    """What comes next, if anything does."""
    try:
        async with asyncio.timeout(patience):
            return await anext(aiter(subscription))
    except TimeoutError:
        return None


async def test_after_a_restart_messages_pass_again_because_lost_connections_are_restored(
    rabbitmq: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rabbitmq.proxy is not None
    proxy = rabbitmq.proxy

    async def check() -> list[str]:
        broker = await rabbitmq.open()
        subscription = await broker.subscribe(WORK)
        await proxy.refuse()  # as a server that is killed
        await proxy.emptied()
        await proxy.listen()
        if not await takes(broker):
            return ["it takes nothing any more"]
        delivery = await next_of(subscription)
        if delivery is None:
            return ["a consumer hears of nothing any more"]
        await delivery.ack()
        await broker.close()
        return []

    def guard_out(patch: pytest.MonkeyPatch) -> None:
        be_brief(patch)
        patch.setattr(Link, "_keep", nobody_keeps)

    await holds_only_with(guard_out, check, monkeypatch)


async def test_a_half_open_connection_ends_calls_in_time_because_each_has_a_deadline(
    rabbitmq: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rabbitmq.proxy is not None
    proxy = rabbitmq.proxy

    async def check() -> list[str]:
        broker = await rabbitmq.open()
        await broker.declare(WORK)
        assert await takes(broker)
        proxy.forget()
        with soon_late():
            try:
                async with asyncio.timeout(patience):
                    await broker.publish(WORK, [b"a"])
            except BrokerUnavailable:
                return [] if await takes(broker) else ["it takes nothing over a new connection"]
            except TimeoutError:
                return ["a call waits for ever"]
            finally:
                proxy.thaw()
        return ["something came through"]

    def guard_out(patch: pytest.MonkeyPatch) -> None:
        be_brief(patch)
        patch.setitem(globals(), "deadline", 3600)

    await holds_only_with(guard_out, check, monkeypatch)


async def test_a_worker_on_a_half_open_connection_takes_tickets_again_because_of_heartbeats(
    rabbitmq: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who only waits for tickets makes no call that could fail."""
    assert rabbitmq.proxy is not None
    proxy, beat = rabbitmq.proxy, 1
    monkeypatch.setattr(aiormq.Connection, "HEARTBEAT_GRACE_MULTIPLIER", 1)  # two seconds of silence are enough

    async def check() -> list[str]:
        worker = Rig("quick", f"{rabbitmq.url}&heartbeat={beat}", proxy=proxy)
        subscription = await (await worker.open()).subscribe(WORK)
        proxy.forget()
        producer = await rabbitmq.open()
        try:
            with soon_late():
                if not await takes(producer):
                    return ["nothing was published"]
                delivery = await next_of(subscription)
            if delivery is None:
                return ["the worker hears of nothing any more"]
            await delivery.ack()
        finally:
            proxy.thaw()
            await worker.close()
        return []

    def guard_out(patch: pytest.MonkeyPatch) -> None:
        nonlocal beat
        beat = 0
        be_brief(patch, 4 * SHORT)  # well beyond what the heartbeat needs

    await holds_only_with(guard_out, check, monkeypatch)


async def test_a_ticket_that_the_server_takes_back_comes_again_because_a_lost_channel_is_opened_anew(
    rabbitmq: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer timeout closes the channel as a wrong acknowledgement does: 406, PRECONDITION_FAILED."""

    async def check() -> list[str]:
        broker = await rabbitmq.open()
        subscription = await broker.subscribe(WORK)
        await broker.publish(WORK, [b"a"])
        first = await next_of(subscription)
        assert first is not None
        assert isinstance(subscription, Work)
        assert subscription._session is not None
        await subscription._session.lower.basic_ack(delivery_tag=999)
        again = await next_of(subscription)
        if again is None:
            return ["the worker takes no ticket any more"]
        with pytest.raises(DeliveryLost):
            await first.ack()
        await again.ack()
        await broker.close()
        return []

    def guard_out(patch: pytest.MonkeyPatch) -> None:
        be_brief(patch)
        patch.setattr(Consumption, "_keep", nobody_keeps)

    await holds_only_with(guard_out, check, monkeypatch)
