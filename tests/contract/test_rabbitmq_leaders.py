"""A queue with 50 messages whose leader stops or freezes: RabbitMQ says 0 without an error, and it must not count."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from buildyard import ports
from buildyard.broker import open_broker
from buildyard.broker.rabbitmq_management import MANAGEMENT, METRICS
from buildyard.contracts.scaling import Trust
from buildyard.errors import UnknownCount
from buildyard.ports import SLOW_SECONDS, Broker, Depth, Uncounted, jobs
from scaler.decide import decide
from scaler.readings import Answer, observe
from tests.contract.private_rabbitmq import Node, private_nodes
from tests.contract.rigs import PATIENCE
from tests.scaler.test_witnesses import LONG, POOL, seen

WORK = jobs("linux")
MESSAGES = 50


@pytest.fixture(scope="module")
def nodes() -> Iterator[dict[str, Node]]:
    with private_nodes() as started:
        for node in started.values():
            node.show_metrics()
        yield started


@pytest.fixture(params=["rabbitmq3", "rabbitmq4"])
def node(request: pytest.FixtureRequest, nodes: dict[str, Node]) -> Node:
    return nodes[request.param]


@pytest.fixture(autouse=True)
def _slow_is_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "SLOW_SECONDS", SLOW_SECONDS)


@asynccontextmanager
async def filled(node: Node, *, management: bool) -> AsyncIterator[tuple[Broker, str]]:
    """A broker and the name of its queue, which holds the messages."""
    prefix = f"test-{secrets.token_hex(4)}"
    broker = open_broker(f"{node.amqp}?prefix={prefix}", node.management if management else "")
    await broker.open()
    try:
        await broker.declare(WORK)
        await broker.publish(WORK, [b"ticket"] * MESSAGES)
        yield broker, f"{prefix}.{WORK.name}"
    finally:
        await broker.close()


async def all_count(broker: Broker) -> tuple[Depth, ...]:
    """The sources, once each of them counts the messages."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await broker.witnesses(WORK)
            counts = tuple(one for one in found if isinstance(one, Depth) and one.ready == MESSAGES)
            if [one.source for one in counts] == ["amqp passive declare", MANAGEMENT, METRICS]:
                return counts
            await asyncio.sleep(0.2)


def told(depths: tuple[Depth | Uncounted, ...], ready: int = 0) -> tuple[Trust, str, tuple[str, ...]]:
    """Trust and cause of the ready tickets, and who would be drained, beside a producer that counts no lease."""
    look = seen(*depths, still=LONG)
    assert look.pools.value is not None
    view = look.pools.value.pools[0].model_copy(update={"ready": ready})
    pools = look.pools.value.model_copy(update={"pools": (view,)})
    found = observe(POOL, replace(look, pools=Answer(pools, 0.01)))
    plan = decide(found.model_copy(update={"quiet_seconds": LONG}))
    return found.queue_ready.trust, found.queue_ready.cause, plan.drain


async def test_a_frozen_leader_is_a_slow_zero_that_does_not_count(node: Node) -> None:
    async with filled(node, management=False) as (broker, queue):
        node.suspend_leader(queue)
        (found,) = await broker.witnesses(WORK)
        assert isinstance(found, Depth)
        assert (found.ready, found.slow_zero) == (0, True)
        assert told((found,)) == (
            Trust.UNKNOWN,
            "The answer took 0.2 s or more: the queue's leader may be missing.",
            (),
        )
        with pytest.raises(UnknownCount, match="leader"):
            await broker.depth(WORK)


async def test_a_stopped_leader_is_a_quick_zero_that_the_producer_contradicts(node: Node) -> None:
    async with filled(node, management=False) as (broker, queue):
        node.stop_leader(queue)
        answers = [(await broker.witnesses(WORK))[0] for _ in range(5)]
        depths = [one for one in answers if isinstance(one, Depth)]
        found = min(depths, key=lambda one: one.took_seconds)  # the machine may stall in one of them
        assert len(depths) == 5
        assert (found.ready, found.slow_zero) == (0, False)
        trust, cause, drained = told((found,), ready=MESSAGES)
        assert (trust, drained) == (Trust.UNKNOWN, ())
        assert cause == "The broker says 0, but the producer counts 50 ready jobs."


async def test_without_a_leader_no_zero_counts_even_where_the_producer_sees_no_job(nodes: dict[str, Node]) -> None:
    """All at once, since statistics take their time."""
    await asyncio.gather(*(faces(node) for node in nodes.values() for faces in (_faces_a_stop, _faces_a_freeze)))


async def _faces_a_stop(node: Node) -> None:
    async with filled(node, management=True) as (broker, queue):
        async with asyncio.timeout(PATIENCE):
            declared, managed, metrics = await all_count(broker)
            while managed.age_seconds >= 12 or metrics.age_seconds >= 6:  # a stall of the machine makes them older
                declared, managed, metrics = await all_count(broker)
        assert (declared.total, managed.total, metrics.total) == (None, MESSAGES, MESSAGES)
        assert (managed.unacked, metrics.unacked, managed.has_leader) == (0, 0, True)
        await asyncio.to_thread(node.stop_leader, queue)
        await _is_unknown_at_once(broker)
        await asyncio.to_thread(node.start_leader, queue)
        await all_count(broker)


async def _faces_a_freeze(node: Node) -> None:
    async with filled(node, management=True) as (broker, queue):
        await all_count(broker)
        await asyncio.to_thread(node.suspend_leader, queue)
        await _is_unknown_at_once(broker)
        age = 0.0
        async with asyncio.timeout(PATIENCE):  # a living leader's ticks are 0.3 s apart: this age tells that it is none
            while age < 3:
                await asyncio.sleep(0.3)
                witnesses = await broker.witnesses(WORK)
                ages = (one.age_seconds for one in witnesses if isinstance(one, Depth) and one.source == METRICS)
                age = max(ages, default=age)


async def _is_unknown_at_once(broker: Broker) -> None:
    began = time.monotonic()
    found = await broker.witnesses(WORK)
    assert time.monotonic() - began < 20, "nobody waits for a leader that does not answer"
    assert isinstance(found[0], Depth)
    assert found[0].ready == 0
    trust, cause, drained = told(found)
    assert (trust, drained) == (Trust.UNKNOWN, ())
    assert any(words in cause for words in ("no leader", "Of the sources only", "leader may be missing"))
