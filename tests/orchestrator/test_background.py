"""Relay, report reader and sweeper on a real broker and a real database."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from buildyard.clock import Clock
from buildyard.contracts.builds import BuildState, UploadSource
from buildyard.contracts.messages import TICKET, Heartbeat, read_message
from buildyard.errors import Conflict, DeliveryLost
from buildyard.objects import open_objects
from buildyard.ports import DEAD, REPORTS, Broker, doorbell, jobs
from orchestrator.admission import Admission
from orchestrator.domain.retention import Keep
from orchestrator.hearing import Hearing, HearingParts
from orchestrator.relay import Relay
from orchestrator.reports import Reports
from orchestrator.scan.none import NoScan
from orchestrator.store.queries import DeadFilter
from orchestrator.sweep import Sweeper, SweepParts
from orchestrator.upkeep import Upkeep
from tests.orchestrator.conftest import LIMITS, Yard
from tests.orchestrator.test_service import CLOCK, a_request, an_upload, claim, claimed, fact, finished, join, submit


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/store.sqlite"


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
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
        raise DeliveryLost("The channel is gone.")

    async def release(self) -> None:
        raise AssertionError

    async def reject(self, reason: str) -> None:
        raise AssertionError(reason)


def sweeper(yard: Yard, broker: Broker, clock: Clock | None = None, name: str = "here:1") -> Sweeper:
    """A sweeper whose checks are all due at each pass, and that has listened for long."""
    clock = clock or _Late()
    reports = Reports(broker, yard.service, yard.feed)
    hearing = Hearing(HearingParts(yard.store, broker, clock, LIMITS.lease_seconds, "linux", reports.recorded, name))
    hearing._since = -100_000.0
    return Sweeper(
        SweepParts(
            store=yard.store,
            service=yard.service,
            hearing=hearing,
            upkeep=Upkeep(yard.store, yard.objects, Keep(timedelta(hours=24), timedelta(hours=168))),
            relay=Relay(yard.store, broker),
            clock=clock,
            limits=LIMITS,
            pools=("linux",),
            sweep_seconds=0.01,
            silence=timedelta(seconds=30),
            settle=lambda: None,
        )
    )


class _Late(type(CLOCK)):  # type: ignore[misc] # the system clock, whose seconds run a minute for each look
    """A clock on which every check is due at each pass."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def monotonic(self) -> float:
        self._seconds += 600
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


async def stored(yard: Yard) -> UploadSource:
    upload = an_upload()
    await yard.objects.put(upload.key, b"abc")
    return upload


async def is_stored(yard: Yard, upload: UploadSource) -> bool:
    return upload.key in [info.key async for info in yard.objects.list("uploads")]


async def kept_up(yard: Yard) -> None:
    upkeep = Upkeep(yard.store, yard.objects, Keep(timedelta(hours=24), timedelta(hours=168)))
    await upkeep.drop_old_rows()
    await upkeep.drop_old_objects()


async def test_an_upload_that_nobody_builds_goes_after_a_day(yard: Yard) -> None:
    upload = await stored(yard)
    await yard.service.keep_upload(upload, requester="local")
    yard.clock.ahead = timedelta(hours=25)

    await kept_up(yard)

    assert not await is_stored(yard, upload)


async def test_the_upload_of_a_dead_letter_stays_until_it_is_settled_and_another_one_goes_after_a_week(
    yard: Yard, broker: Broker
) -> None:
    kept, gone = await stored(yard), await stored(yard)
    await yard.service.submit(a_request(), kept, requester="local")
    cancelled = (await yard.service.submit(a_request(), gone, requester="local")).execution_id
    await yard.service.cancel(cancelled, requester="local")
    yard.clock.ahead = timedelta(hours=25)
    await sweeper(yard, broker)._pass()
    [letter] = (await yard.views.dead_letters(DeadFilter())).dead
    assert letter.reason_code == "queued_too_long"

    yard.clock.ahead = timedelta(hours=100)
    await kept_up(yard)
    assert await is_stored(yard, gone), "it may still be built again"
    yard.clock.ahead = timedelta(hours=200)
    await kept_up(yard)

    assert await is_stored(yard, kept)
    assert not await is_stored(yard, gone)
    with pytest.raises(Conflict, match="kept no more") as told:
        await yard.service.retry(cancelled, requester="local")
    assert told.value.code == "upload_gone"
    again = await yard.service.requeue(letter.execution_id, requester="local")
    await yard.service.cancel(again.execution_id, requester="local")
    yard.clock.ahead = timedelta(hours=400)
    await kept_up(yard)
    assert not await is_stored(yard, kept)


async def test_a_build_whose_upload_somebody_removed_is_not_built_again(yard: Yard) -> None:
    upload = await stored(yard)
    build = (await yard.service.submit(a_request(), upload, requester="local")).execution_id
    await yard.service.cancel(build, requester="local")
    await yard.objects.delete([upload.key])

    with pytest.raises(Conflict, match="kept no more"):
        await yard.service.retry(build, requester="local")


async def test_what_crashed_uploads_left_goes_after_a_day(yard: Yard, broker: Broker, tmp_path: Path) -> None:
    objects = open_objects(f"file://{tmp_path}/objects")
    old, fresh = CLOCK.new_id(), CLOCK.new_id()
    for key in (f"quarantine/{old}", f"uploads/{old}"):
        await objects.put(key, b"abc")
    torn = [tmp_path / f"objects/quarantine/{fresh}#{number}" for number in (1, 2)]
    for path in torn:
        path.write_bytes(b"abc")
    os.utime(torn[0], (0, 0))
    yard.clock.ahead = timedelta(hours=25)

    await Upkeep(yard.store, objects, Keep(timedelta(hours=24), timedelta(hours=168))).drop_old_objects()

    assert [info.key async for info in objects.list("")] == []
    assert [path.exists() for path in torn] == [False, True], "one that is being written stays"


async def test_a_received_build_that_another_producer_left_is_taken_up(store_url: str, yard: Yard) -> None:
    upload = await stored(yard)
    yard.service._farm = replace(yard.service._farm, admits_at_once=False)
    build = (await yard.service.submit(a_request(), upload, requester="local")).execution_id
    admission = Admission(yard.store, yard.objects, NoScan(), yard.service, asyncio.Queue())

    await admission._find(timedelta(seconds=30))
    assert admission._received.empty(), "its own producer has it in hand"
    yard.clock.ahead = timedelta(seconds=31)
    await admission._find(timedelta(seconds=30))
    working = asyncio.create_task(admission._admit_all())

    async def queued() -> bool:
        async with yard.store.read() as queries:
            return (await queries.build(build)).state is BuildState.QUEUED

    await until(queued)
    working.cancel()
