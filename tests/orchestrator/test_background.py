"""Relay, report reader and sweeper on a real broker and a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from buildyard.broker import open_broker
from buildyard.contracts.builds import UploadSource
from buildyard.contracts.messages import TICKET, Heartbeat, read_message
from buildyard.errors import BrokerUnavailable, Conflict
from buildyard.ports import DEAD, REPORTS, Broker, ObjectStore, doorbell, jobs
from orchestrator.relay import Relay
from orchestrator.reports import Reports
from orchestrator.store.queries import DeadFilter
from orchestrator.sweep import Sweeper, SweepParts
from tests.orchestrator.conftest import LIMITS, Yard
from tests.orchestrator.test_service import CLOCK, a_request, an_upload, claim, claimed, fact, finished, join, submit


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/store.sqlite"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = open_broker(f"sqlite:///{tmp_path}/broker.sqlite")
    await broker.open()
    for channel in (REPORTS, DEAD, jobs("linux"), doorbell("linux")):
        await broker.declare(channel)
    yield broker
    await broker.close()


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await what():
            await asyncio.sleep(0.01)


async def test_the_relay_publishes_offered_tickets_and_rings(yard: Yard, broker: Broker) -> None:
    await submit(yard)
    relay = Relay(yard.store, broker)
    bell = await broker.subscribe(doorbell("linux"))
    relay.offer(yard.caught.tickets)

    await relay.finish()

    tickets = await broker.subscribe(jobs("linux"))
    delivery = await anext(aiter(tickets))
    assert read_message(TICKET, delivery.body) == yard.caught.tickets[0]
    await delivery.ack()
    await anext(aiter(bell))
    async with yard.store.read() as queries:
        assert await queries.pending_tickets() == {}
    await tickets.stop()
    await bell.stop()


async def test_tickets_that_a_crash_left_in_the_outbox_are_published_after_a_restart(
    yard: Yard, broker: Broker
) -> None:
    await submit(yard)
    running = asyncio.create_task(Relay(yard.store, broker).run())

    async def published() -> bool:
        return (await broker.depth(jobs("linux"))).ready == 1

    await until(published)
    running.cancel()


async def test_an_unreadable_report_lands_among_the_dead_and_the_next_is_recorded(yard: Yard, broker: Broker) -> None:
    spec = await claimed(yard)
    reading = asyncio.create_task(Reports(broker, yard.service, yard.feed).run())

    await broker.publish(REPORTS, [b"not json", b'{"type":"no_such"}', finished(spec).encode()])

    async def recorded() -> bool:
        return (await yard.views.build(spec.build_id)).status == "Succeeded"

    await until(recorded)
    reading.cancel()
    assert (await broker.depth(DEAD)).ready == 2


async def test_a_report_that_the_broker_lost_hold_of_is_read_again(yard: Yard, broker: Broker) -> None:
    spec = await claimed(yard)
    reports = Reports(broker, yard.service, yard.feed)
    delivery = _Lost(finished(spec).encode())

    await reports._record(delivery)
    await reports._record(delivery)

    assert (await yard.views.build(spec.build_id)).status == "Succeeded"


class _Lost:
    """A delivery whose channel died before the acknowledgement."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.headers: Mapping[str, str] = {}
        self.redelivered = False

    async def ack(self) -> None:
        raise BrokerUnavailable("The channel is gone.")

    async def release(self) -> None:
        raise AssertionError

    async def reject(self, reason: str) -> None:
        raise AssertionError(reason)


class _NoObjects:
    """An object store that only forgets."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def delete(self, keys: list[str]) -> None:
        self.deleted += keys


def sweeper(yard: Yard, broker: Broker, objects: object | None = None) -> Sweeper:
    store_objects: ObjectStore = objects or _NoObjects()  # type: ignore[assignment] # the sweeper only deletes
    return Sweeper(
        SweepParts(
            store=yard.store,
            service=yard.service,
            broker=broker,
            objects=store_objects,
            relay=Relay(yard.store, broker),
            clock=_Late(),
            limits=LIMITS,
            pools=("linux",),
            sweep_seconds=0.01,
            upload_keep=timedelta(hours=24),
            silence=timedelta(seconds=30),
        )
    )


class _Late(type(CLOCK)):  # type: ignore[misc] # the system clock, whose seconds run a minute for each look
    """A clock on which every check is due at each pass."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def monotonic(self) -> float:
        self._seconds += 60
        return self._seconds


async def test_an_expired_lease_is_found_and_the_job_handed_on(yard: Yard, broker: Broker) -> None:
    spec = await claimed(yard)
    yard.clock.ahead = timedelta(seconds=31)
    await join(yard, "linux-2-1")

    await sweeper(yard, broker)._pass()
    assert await claim(yard, "linux-2-1") is None, "the job waits a second first"
    yard.clock.ahead += timedelta(seconds=1)
    await sweeper(yard, broker)._pass()

    again = await claim(yard, "linux-2-1")
    assert again is not None
    assert (again.job_id, again.attempt) == (spec.job_id, 2)


async def test_no_lease_is_ended_while_reports_wait_to_be_read(yard: Yard, broker: Broker) -> None:
    spec = await claimed(yard)
    await broker.publish(REPORTS, [Heartbeat(**fact(spec)).encode()])
    yard.clock.ahead = timedelta(seconds=31)

    await sweeper(yard, broker)._pass()

    assert (await yard.views.build(spec.build_id)).attempts[0].outcome is None


async def test_a_ready_job_without_a_ticket_gets_one_after_two_looks(yard: Yard, broker: Broker) -> None:
    await submit(yard)
    async with yard.store.begin() as tx:
        await tx.drop_tickets([ticket.ticket_id for ticket in yard.caught.tickets])
    yard.caught.tickets.clear()
    sweeping = sweeper(yard, broker)

    await sweeping._pass()
    assert not yard.caught.tickets
    await sweeping._pass()

    assert len(yard.caught.tickets) == 1


async def test_a_queued_build_in_a_pool_without_agents_ends_and_says_so(yard: Yard, broker: Broker) -> None:
    build_id = await submit(yard)
    yard.clock.ahead = timedelta(minutes=11)

    await sweeper(yard, broker)._pass()

    status = await yard.views.build(build_id)
    assert (status.status, status.reason_code) == ("Failed", "no_agent")
    assert status.reason == "The pool linux had no agent for 10 min."


async def test_a_build_that_no_agent_could_take_says_what_the_last_one_lacked(yard: Yard, broker: Broker) -> None:
    build_id = await submit(yard, target_pool="mac")
    with pytest.raises(Conflict):
        await join(yard, "mac-1-1", "mac")
    yard.clock.ahead = timedelta(minutes=11)

    await sweeper(yard, broker)._pass()

    assert (await yard.views.build(build_id)).reason == (
        "The pool mac had no agent for 10 min. "
        "Agent mac-1-1 asked to join the pool mac and was refused: it lacks the tool xcode."
    )


async def test_a_build_whose_worker_never_ends_it_is_timed_out(yard: Yard, broker: Broker) -> None:
    spec = await claimed(yard)
    async with yard.store.begin() as tx:
        attempt = await tx.attempt(spec.job_id, 1)
        assert attempt is not None
        await tx.renew(attempt, attempt.started_at + timedelta(days=1))
    yard.clock.ahead = timedelta(minutes=62)

    await sweeper(yard, broker)._pass()

    status = await yard.views.build(spec.build_id)
    assert (status.status, status.reason_code) == ("TimedOut", "timed_out")
    assert not await yard.service.record(finished(spec)), "what its worker still reports changes nothing"


async def test_an_upload_that_nobody_builds_goes_after_a_day(yard: Yard, broker: Broker) -> None:
    upload: UploadSource = an_upload()
    await yard.service.keep_upload(upload, requester="local")
    objects = _NoObjects()
    yard.clock.ahead = timedelta(hours=25)

    await sweeper(yard, broker, objects)._pass()

    assert objects.deleted == [upload.key]


async def test_the_upload_of_a_dead_letter_stays_for_its_requeue(yard: Yard, broker: Broker) -> None:
    upload: UploadSource = an_upload()
    await yard.service.keep_upload(upload, requester="local")
    await yard.service.start_upload(upload.upload_id, a_request(), requester="local")
    objects = _NoObjects()
    yard.clock.ahead = timedelta(hours=25)
    await sweeper(yard, broker, objects)._pass()

    [letter] = (await yard.views.dead_letters(DeadFilter())).dead
    assert letter.reason_code == "queued_too_long"
    assert objects.deleted == []
