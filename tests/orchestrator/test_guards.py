"""The producer's guards, each tried twice: it holds, and with the guard taken out the same check goes red."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from buildyard.broker import open_broker
from buildyard.clock import SystemClock
from buildyard.contracts.builds import Outcome, ReasonCode, RowResult
from buildyard.contracts.messages import Heartbeat, RowsDone, StageStarted
from buildyard.errors import BrokerUnavailable
from buildyard.ports import REPORTS, Broker, Channel, Depth, Uncounted, jobs
from orchestrator import hearing
from orchestrator.domain.counting import Believed
from orchestrator.domain.records import Attempt, Job
from orchestrator.hearing import Hearing
from orchestrator.relay import Relay
from orchestrator.reports import Reports
from orchestrator.store import schema
from orchestrator.store.transaction import Transaction
from tests.guards import holds_only_with
from tests.orchestrator.conftest import LIMITS, Yard
from tests.orchestrator.test_background import sweeper
from tests.orchestrator.test_service import claimed, ended, fact, finished, submit
from tests.orchestrator.world import START

LEASE = LIMITS.lease_seconds


class Jumping(SystemClock):
    """The machine's clock, which somebody sets, and seconds moved by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.seconds) + self.ahead

    def monotonic(self) -> float:
        return self.seconds


# ---------------------------------------------------------------- fencing


async def test_a_late_attempt_changes_nothing_because_of_the_fence(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> list[str]:
        spec = await claimed(yard)
        async with yard.store.begin() as tx:
            attempt = await tx.attempt(spec.job_id, 1)
            assert attempt is not None
            await tx.renew(attempt, START)
        assert await yard.service.expire(attempt, START)
        before = await yard.views.build(spec.build_id)
        for late in (
            StageStarted(**fact(spec, stage="build")),
            RowsDone(**fact(spec, rows=(RowResult(row=1, ok=True),))),
            ended(spec, Outcome.FAILED, ReasonCode.COMMAND_FAILED, "Said by a zombie."),
        ):
            with suppress(Exception):  # what it breaks may break the recording too
                await yard.service.record(late)
        after = await yard.views.build(spec.build_id)
        changed = [
            name for name in ("status", "stages", "rows", "attempts") if getattr(before, name) != getattr(after, name)
        ]
        return [f"a zombie changed its build's {name}" for name in changed]

    known = Transaction.attempt_and_job

    async def unfenced(self: Transaction, job_id: str, number: int) -> tuple[Attempt, Job] | None:
        found = await known(self, job_id, number)
        return (replace(found[0], ended_at=None, outcome=None), found[1]) if found else None

    await holds_only_with(lambda patch: patch.setattr(Transaction, "attempt_and_job", unfenced), check, monkeypatch)


# ---------------------------------------------------------------- leases


async def _over(yard: Yard) -> str:
    """A claimed build whose lease is over by the store's clock."""
    spec = await claimed(yard)
    async with yard.store.begin() as tx:
        await tx._db.execute(update(schema.attempts).values(lease_until=START))
    return spec.build_id


async def lost(yard: Yard, build_id: str) -> list[str]:
    [attempt] = (await yard.views.build(build_id)).attempts
    return [] if attempt.outcome is None else [f"a living worker's attempt was {attempt.outcome}"]


async def test_a_lease_waits_for_reports_that_nobody_read(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> list[str]:
        build_id = await _over(yard)
        await broker.publish(REPORTS, [b"what a worker said"])
        await sweeper(yard, broker)._expire_leases()
        return await lost(yard, build_id)

    async def never_asked(self: Hearing, now: datetime) -> bool:
        self._empty.append(now)
        return True

    await holds_only_with(lambda patch: patch.setattr(Hearing, "all_read", never_asked), check, monkeypatch)


class _Telling:
    """A broker of which others tell what they like."""

    def __init__(self, broker: Broker, others: Sequence[Depth | Uncounted]) -> None:
        self._broker = broker
        self._others = others
        self.declare, self.publish = broker.declare, broker.publish

    async def depth(self, channel: Channel) -> Depth:
        return await self._broker.depth(channel)

    async def witnesses(self, channel: Channel) -> tuple[Depth | Uncounted, ...]:
        return (replace(await self._broker.depth(channel), ready=0), *self._others)


_SAMPLED = Depth(ready=1, unacked=0, consumers=None, source="statistics", age_seconds=1, total=1, sampled=True)
DOUBTS: dict[str, Depth | Uncounted] = {
    "another counts more": _SAMPLED,
    "no leader": replace(_SAMPLED, ready=0, total=0, has_leader=False),
    "stopped": replace(_SAMPLED, ready=0, total=0, age_seconds=60),
    "silent": Uncounted("statistics", "It answers 404."),
    "slow": replace(_SAMPLED, ready=0, total=0, sampled=False, took_seconds=0.3),
}


def _believe_all(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hearing, "believed", lambda said: Believed(said[0].ready))


@pytest.mark.parametrize("doubt", DOUBTS)
async def test_a_false_zero_of_reports_ends_no_lease(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch, doubt: str
) -> None:
    async def check() -> list[str]:
        build_id = await _over(yard)
        telling = _Telling(broker, [DOUBTS[doubt]])
        await sweeper(yard, telling)._expire_leases()  # type: ignore[arg-type] # what the check uses
        return await lost(yard, build_id)

    await holds_only_with(_believe_all, check, monkeypatch)


@pytest.mark.parametrize("doubt", DOUBTS)
async def test_a_false_zero_of_tickets_issues_none(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch, doubt: str
) -> None:
    async def check() -> list[str]:
        for _ in range(3):
            await submit(yard)
        async with yard.store.begin() as tx:
            await tx.drop_tickets([ticket.ticket_id for ticket in yard.caught.tickets])
        yard.caught.tickets.clear()
        telling = _Telling(broker, [DOUBTS[doubt]])
        sweeping = sweeper(yard, telling, Jumping())  # type: ignore[arg-type] # what the check uses
        for _ in range(3):
            await sweeping._reissue("linux")
        return [f"{len(yard.caught.tickets)} tickets too many"] if yard.caught.tickets else []

    await holds_only_with(_believe_all, check, monkeypatch)


async def test_a_second_source_that_stays_silent_does_not_keep_leases_for_ever(yard: Yard, broker: Broker) -> None:
    build_id = await _over(yard)
    telling = _Telling(broker, [DOUBTS["silent"]])
    sweeping = sweeper(yard, telling)  # type: ignore[arg-type] # what the check uses

    await sweeping._expire_leases()
    assert await lost(yard, build_id) == []
    sweeping._hearing._seen = None  # this clock runs ahead of the store's
    await sweeping._expire_leases()

    assert await lost(yard, build_id) != [], "ten minutes later the broker's own count stands alone"


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_a_report_in_the_hands_of_another_producer_keeps_its_lease(
    yard: Yard, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_broker(f"sqlite:///{tmp_path}/broker.sqlite")
    await other.open()

    async def check() -> list[str]:
        there = sweeper(yard, other, name="there:2")._hearing
        await there.tell()
        spec = await claimed(yard)
        async with yard.store.begin() as tx:
            await tx._db.execute(update(schema.attempts).values(lease_until=START))
        subscription = await other.subscribe(REPORTS, 100)
        await broker.publish(REPORTS, [Heartbeat(**fact(spec)).encode()])
        delivery = await anext(aiter(subscription))

        here = sweeper(yard, broker)
        await here._expire_leases()
        found = await lost(yard, spec.build_id)

        await yard.service.record(Heartbeat(**fact(spec)))
        await delivery.ack()
        await subscription.stop()
        await there.tell()
        return found

    async def alone(self: Hearing) -> datetime | None:
        return self._empty[-1] if self._empty else None

    await holds_only_with(lambda patch: patch.setattr(Hearing, "heard_until", alone), check, monkeypatch)
    await other.close()


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_a_silent_attempt_is_ended_once_all_producers_are_past_it_or_gone(yard: Yard, broker: Broker) -> None:
    build_id = await _over(yard)
    here, there = sweeper(yard, broker), sweeper(yard, broker, name="there:2")
    await there._hearing.tell()
    await here._expire_leases()
    assert await lost(yard, build_id) == [], "the other one may have something in hand"

    await there._hearing.tell()
    here._hearing._seen = None  # this clock runs ahead of the store's
    await here._expire_leases()

    assert await lost(yard, build_id) != []
    await there.leave()
    async with yard.store.read() as queries:
        assert await queries.readers() == {}


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_nobody_waits_for_the_predecessor_of_a_producer_that_starts_anew(yard: Yard, broker: Broker) -> None:
    killed = sweeper(yard, broker, name="here:1")
    await killed._hearing.tell()
    build_id = await _over(yard)

    await sweeper(yard, broker, name="here:1")._expire_leases()

    assert await lost(yard, build_id) != []


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_outages_that_never_cease_do_not_keep_a_dead_attempt_for_ever(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Jumping()
    yard.store._clock = yard.service._clock = machine

    async def check() -> list[str]:
        spec = await claimed(yard)
        sweeping = sweeper(yard, broker, machine)
        sweeping._hearing._since = machine.seconds
        for number in range(40):
            machine.seconds += LEASE / 8
            if number % 6 == 5:  # never a whole lease without a break
                sweeping._hearing.anew("an outage")
            await sweeping._expire_leases()
        return [] if await lost(yard, spec.build_id) else ["a dead worker's attempt lives on"]

    await holds_only_with(lambda patch: patch.setattr(hearing, "had_its_time", lambda *_: False), check, monkeypatch)


# ---------------------------------------------------------------- the outbox


async def test_a_ticket_leaves_the_outbox_only_when_the_broker_has_confirmed_it(
    yard: Yard, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> list[str]:
        before = (await broker.depth(jobs("linux"))).ready
        yard.caught.tickets.clear()
        await submit(yard)
        crashing = Relay(yard.store, _Refusing(broker))  # type: ignore[arg-type] # what a relay uses
        crashing.offer(yard.caught.tickets)
        with pytest.raises(BrokerUnavailable):
            await crashing.flush()
        async with yard.store.begin() as tx:
            left = await tx.take_tickets(10, everything=True)
        successor = Relay(yard.store, broker)
        successor.offer(left)
        await successor.finish()
        count = (await broker.depth(jobs("linux"))).ready - before
        return [] if count == 1 else [f"{count} tickets for one job"]

    publish = Relay._publish_tickets

    async def hasty(self: Relay) -> None:
        async with self._store.begin() as tx:
            await tx.drop_tickets([ticket.ticket_id for ticket in self._tickets])
        await publish(self)

    await holds_only_with(lambda patch: patch.setattr(Relay, "_publish_tickets", hasty), check, monkeypatch)


class _Refusing:
    def __init__(self, broker: Broker) -> None:
        self.declare = broker.declare

    async def publish(self, channel: Channel, bodies: Sequence[bytes]) -> None:
        raise BrokerUnavailable(f"It confirms none of {len(bodies)} for {channel.name}.")


# ---------------------------------------------------------------- acknowledgement


class _Locked:
    """A delivery that can only be acknowledged at the third try."""

    headers: Mapping[str, str] = {}
    redelivered = False

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.tries = 0
        self.acknowledged = asyncio.Event()

    async def ack(self) -> None:
        self.tries += 1
        if self.tries < 3:
            raise BrokerUnavailable("The file is locked.")
        self.acknowledged.set()

    async def release(self) -> None:
        raise AssertionError

    async def reject(self, reason: str) -> None:
        raise AssertionError(reason)


async def test_a_report_that_cannot_be_acknowledged_now_is_so_later_and_holds_up_no_other(
    yard: Yard, broker: Broker
) -> None:
    spec = await claimed(yard)
    reports = Reports(broker, yard.service, yard.feed)
    locked = _Locked(Heartbeat(**fact(spec)).encode())

    await reports._record(locked)
    assert locked.tries == 1
    await reports._record(_Locked(finished(spec).encode()))
    assert (await yard.views.build(spec.build_id)).status == "Succeeded"

    async with asyncio.timeout(60):
        await locked.acknowledged.wait()
