"""An agent's life against the embedded broker and a fake producer."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from buildyard.broker import open_broker
from buildyard.clock import SystemClock
from buildyard.contracts.agents import ClaimAnswer, ClaimRequest
from buildyard.contracts.builds import JobSpec, Outcome, UploadKind
from buildyard.contracts.messages import (
    REPORT,
    AgentHeartbeat,
    AgentLeft,
    CancelJob,
    DrainAgent,
    Heartbeat,
    JobFinished,
    Ticket,
    read_message,
)
from buildyard.errors import BrokerUnavailable, Conflict
from buildyard.objects import open_objects
from buildyard.ports import CONTROL, DEAD, REPORTS, Broker, Delivery, Subscription, jobs
from buildyard.settings import Settings
from tests.worker.fakes import FakeProducer, job_spec, new_id, upload_of, zipped
from worker.app import Agent
from worker.capabilities import Tools
from worker.job_in_hand import Means
from worker.joining import Identity
from worker.leaving import Urgency
from worker.reporting import Reporter
from worker.sandbox import agent_folder

NAME = "linux-1-1"
QUICK = "all:\n\t@echo quick\n"
SLOW = "all:\n\t@echo started; sleep 600\n"


class Farm:
    """One agent, its broker seen from outside, and what it reported."""

    def __init__(self, agent: Agent, broker: Broker, producer: FakeProducer, settings: Settings) -> None:
        self.agent = agent
        self.broker = broker
        self.producer = producer
        self.settings = settings
        self.objects = open_objects(settings.objects)
        self.reports: list[Any] = []
        self.ready = asyncio.Event()
        self.running = asyncio.create_task(agent.run(self.ready.set))

    async def listen(self, subscription: Subscription) -> None:
        async for delivery in subscription:
            self.reports.append(read_message(REPORT, delivery.body))
            with suppress(BrokerUnavailable):  # locked by a test: it acknowledges later, or the report comes again
                await delivery.ack()

    async def give(self, makefile: str, **properties: Any) -> JobSpec:
        """Make a job ready: its upload, its spec and its ticket."""
        content = zipped({"Makefile": makefile})
        source = upload_of(content, UploadKind.ZIP).model_copy(update={"key": f"uploads/{new_id()}"})
        await self.objects.put(source.key, content)
        spec = job_spec(source, **properties)
        self.producer.specs.append(spec)
        await self.ticket()
        return spec

    async def ticket(self) -> None:
        await self.broker.publish(jobs("linux"), [Ticket(ticket_id=new_id(), pool="linux").encode()])

    async def seen(self, kind: type[Any], count: int = 1) -> list[Any]:
        """Wait for reports of a kind."""
        return await self.until(lambda: [one for one in self.reports if isinstance(one, kind)], count)

    async def until(self, look: Callable[[], list[Any]], count: int = 1) -> list[Any]:
        async with asyncio.timeout(60):
            while len(found := look()) < count:
                await asyncio.sleep(0.01)
        return found

    async def depth(self) -> tuple[int, int | None]:
        found = await self.broker.depth(jobs("linux"))
        return found.ready, found.unacked

    async def settled(self, depth: tuple[int, int | None]) -> None:
        async with asyncio.timeout(60):
            while await self.depth() != depth:
                await asyncio.sleep(0.01)

    def started(self) -> list[Path]:
        """Workspaces of jobs that run now."""
        return list((agent_folder(self.settings.data_dir, NAME) / "work").glob("*/src/Makefile"))


@asynccontextmanager
async def farm(
    tmp_path: Path, prepare: Callable[[FakeProducer], None] = lambda _: None, *, wait: bool = True, **more: Any
) -> AsyncIterator[Farm]:
    """An agent that runs; at the end it has left."""
    settings = Settings(data_dir=tmp_path / "data", grace_seconds=0.5, **more)
    settings.data_dir.mkdir()
    inside, outside = open_broker(settings.broker), open_broker(settings.broker)
    await outside.open()
    await outside.declare(jobs("linux"))
    reports = await outside.subscribe(REPORTS, 100)
    clock, producer = SystemClock(), FakeProducer()
    prepare(producer)
    means = Means(
        name=NAME,
        settings=settings,
        broker=inside,
        objects=open_objects(settings.objects),
        producer=producer,
        reporter=Reporter(inside, clock),
        clock=clock,
        environment={"PATH": os.environ["PATH"]},
        tools=Tools({"make": "/usr/bin/make"}, {"make": "4.3"}),
        cores=1,
    )
    here = Farm(Agent(Identity(NAME, "linux", "here", os.getpid()), means), outside, producer, settings)
    listening = asyncio.create_task(here.listen(reports))
    try:
        if wait:
            async with asyncio.timeout(60):
                await here.ready.wait()
        yield here
    finally:
        here.agent.leave(Urgency.AT_ONCE, "The test is over.")
        async with asyncio.timeout(120):
            await here.running
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await outside.close()


async def test_a_ticket_becomes_a_finished_job_and_is_acknowledged(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        spec = await here.give(QUICK)

        (finished,) = await here.seen(JobFinished)
        await here.settled((0, 0))

    assert (finished.job_id, finished.outcome) == (spec.job_id, Outcome.SUCCEEDED), finished.reason
    assert here.producer.registrations[0].capabilities.tools == {"make": "4.3"}
    assert not agent_folder(here.settings.data_dir, NAME).exists(), "nothing is left on the disk"


async def test_a_job_that_ends_before_its_first_heartbeat_is_due_sends_none(tmp_path: Path) -> None:
    def leisurely(producer: FakeProducer) -> None:
        grant = producer.claim

        async def for_long(agent: str, request: ClaimRequest) -> ClaimAnswer:
            answer = await grant(agent, request)
            job = answer.job and answer.job.model_copy(update={"lease_seconds": 1800.0})
            return answer.model_copy(update={"job": job})

        producer.heartbeat_seconds = 600
        producer.claim = for_long  # type: ignore[method-assign] # a lease that a busy machine does not use up

    async with farm(tmp_path, leisurely) as here:
        await here.give(QUICK)
        await here.seen(JobFinished)
        await here.settled((0, 0))

    assert not [report for report in here.reports if isinstance(report, Heartbeat)], "its claim began the lease"


async def test_a_claim_that_took_long_is_followed_by_a_heartbeat_at_once(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        here.producer.away = True
        await here.give(SLOW)
        await here.until(lambda: here.producer.claims, 2)
        here.producer.away = False

        await here.seen(Heartbeat)
        here.agent.leave(Urgency.AT_ONCE, "Enough is seen.")
        await here.seen(JobFinished)


async def test_the_ticket_stays_unacknowledged_while_its_job_runs(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        spec = await here.give(SLOW)
        await here.seen(Heartbeat, 2)

        assert await here.depth() == (0, 1)
        assert len(await here.until(here.started)) == 1
        order = CancelJob(job_id=spec.job_id, attempt=spec.attempt)
        other = CancelJob(job_id=spec.job_id, attempt=spec.attempt + 1)
        await here.broker.publish(CONTROL, [b"not json", other.encode(), order.encode()])
        (finished,) = await here.seen(JobFinished)
        await here.settled((0, 0))

    assert finished.outcome is Outcome.CANCELLED


async def test_a_ticket_without_a_job_is_dropped(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        await here.ticket()
        await here.until(lambda: here.producer.claims)
        await here.settled((0, 0))

    assert here.reports[-1].type != "job_finished"


async def test_a_ticket_nobody_can_read_is_kept_with_its_reason(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        await here.broker.publish(jobs("linux"), [b"{}"])
        dead = aiter(await here.broker.subscribe(DEAD))
        async with asyncio.timeout(60):
            delivery: Delivery = await anext(dead)
        assert "ticketId" in delivery.headers["reason"]
        await delivery.ack()
        await here.settled((0, 0))


async def test_an_unsuited_agent_gives_the_ticket_back_and_says_why(tmp_path: Path) -> None:
    def unsuited(producer: FakeProducer) -> None:
        producer.unsuited = "It lacks a tool."

    async with farm(tmp_path, unsuited) as here:
        await here.ticket()
        await here.until(lambda: here.producer.claims)
        await here.settled((1, 0))


async def test_an_agent_without_room_on_its_disk_gives_the_ticket_back_and_claims_nothing(tmp_path: Path) -> None:
    with capture_logs() as said:
        async with farm(tmp_path, work_disk_bytes=2**62) as here:
            await here.give(QUICK)
            await here.until(lambda: [one for one in said if "BUILDYARD_WORK_DISK_BYTES" in str(one)])
            await here.settled((1, 0))
            (beat, *_) = await here.seen(AgentHeartbeat)

    assert here.producer.claims == []
    assert 0 < beat.health.disk_free_bytes < 2**62


async def test_an_unsuited_agent_that_is_draining_leaves(tmp_path: Path) -> None:
    def draining(producer: FakeProducer) -> None:
        producer.unsuited, producer.state = "The agent is draining.", "Draining"

    async with farm(tmp_path, draining) as here:
        await here.ticket()
        async with asyncio.timeout(60):
            assert await here.running == 0
        await here.settled((1, 0))


async def test_an_agent_the_producer_forgot_joins_again_and_repeats_its_claim(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        here.producer.forgotten = True
        await here.give(QUICK)
        await here.seen(JobFinished)

    assert len(here.producer.registrations) == 2
    assert len({claim.claim_id for claim in here.producer.claims}) == 1


async def test_a_claim_waits_for_the_producer_and_repeats_itself(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        here.producer.away = True
        await here.give(QUICK)
        await here.until(lambda: here.producer.claims, 2)
        here.producer.away = False
        await here.seen(JobFinished)

    assert len({claim.claim_id for claim in here.producer.claims}) == 1


async def test_an_agent_waits_for_its_producer_at_the_start(tmp_path: Path) -> None:
    def away(producer: FakeProducer) -> None:
        producer.away = True

    async with farm(tmp_path, away, wait=False) as here:
        await asyncio.wait({here.running}, timeout=0.3)
        assert not here.running.done()
        here.producer.away = False
        async with asyncio.timeout(60):
            await here.ready.wait()


async def test_an_agent_that_is_told_to_leave_while_it_waits_leaves(tmp_path: Path) -> None:
    def away(producer: FakeProducer) -> None:
        producer.away = True

    async with farm(tmp_path, away, wait=False) as here:
        here.agent.leave(Urgency.TERMINATE, "SIGTERM")
        async with asyncio.timeout(60):
            assert await here.running == 0


async def test_a_refused_agent_leaves_with_4(tmp_path: Path) -> None:
    def refusing(producer: FakeProducer) -> None:
        producer.refusal = Conflict("It lacks the tool dotnet.")

    async with farm(tmp_path, refusing, wait=False) as here:
        async with asyncio.timeout(60):
            assert await here.running == 4
    assert not here.ready.is_set()


async def test_an_idle_agent_tells_that_it_lives_and_says_good_bye(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        beats = await here.seen(AgentHeartbeat, 2)
        here.agent.leave(Urgency.TERMINATE, "SIGTERM")
        assert await here.running == 0
        (left,) = await here.seen(AgentLeft)

    assert beats[0].health.agent_memory_bytes
    assert left.reason == "SIGTERM"


async def test_a_draining_agent_finishes_its_job_takes_no_other_and_leaves(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        gate = tmp_path / "gate"
        await here.give(f"all:\n\t@while [ ! -e {gate} ]; do sleep 0.02; done\n")
        await here.until(here.started)
        await here.broker.publish(CONTROL, [DrainAgent(agent="linux-2-1", reason="other").encode()])
        here.producer.state = "Draining"
        await here.broker.publish(CONTROL, [DrainAgent(agent=NAME, reason="Nothing to do.").encode()])
        await here.give(QUICK)
        gate.touch()

        async with asyncio.timeout(60):
            assert await here.running == 0
        (finished,) = await here.seen(JobFinished)
        (left,) = await here.seen(AgentLeft)
        await here.settled((1, 0))

    assert finished.outcome is Outcome.SUCCEEDED
    assert left.reason == "Nothing to do."


async def test_an_agent_that_is_told_to_leave_while_its_broker_is_away_finishes_its_job(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        gate = tmp_path / "gate"
        await here.give(f"all:\n\t@while [ ! -e {gate} ]; do sleep 0.02; done\n")
        await here.until(here.started)
        writer = sqlite3.connect(tmp_path / "data" / "broker.sqlite", timeout=20, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        here.agent.leave(Urgency.DRAIN, "Nothing to do.")
        await asyncio.wait({here.running}, timeout=4)  # longer than the broker waits for a lock
        assert not here.running.done()
        gate.touch()
        writer.close()

        async with asyncio.timeout(60):
            assert await here.running == 0
        (finished,) = await here.seen(JobFinished)
        await here.settled((0, 0))

    assert finished.outcome is Outcome.SUCCEEDED


async def test_a_terminated_agent_hands_back_what_does_not_end_in_time(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        await here.give(SLOW)
        await here.until(here.started)
        here.agent.leave(Urgency.TERMINATE, "SIGTERM")

        async with asyncio.timeout(60):
            assert await here.running == 0
        (finished,) = await here.seen(JobFinished)
        await here.settled((0, 0))

    assert finished.outcome is Outcome.HANDED_BACK


async def test_a_job_beyond_its_time_limit_ends_timed_out(tmp_path: Path) -> None:
    async with farm(tmp_path) as here:
        await here.give(SLOW, timeout=0.5)
        (finished,) = await here.seen(JobFinished)

    assert finished.outcome is Outcome.TIMED_OUT


async def test_a_process_that_was_frozen_beyond_its_lease_stops_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = iter([0.0, 1.0, 100.0])
    monkeypatch.setattr("worker.job_in_hand._boot_seconds", lambda: next(jumps, 100.0))
    async with farm(tmp_path) as here:
        await here.give(SLOW)
        (finished,) = await here.seen(JobFinished)

    assert finished.outcome is Outcome.HANDED_BACK
    assert "cut off" in finished.reason


async def test_an_agent_cut_off_from_broker_and_producer_stops_and_leaves_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with farm(tmp_path, orphan_grace_seconds=0.3) as here:
        await here.give(SLOW)
        await here.until(here.started)

        async def unavailable(*_: object) -> None:
            raise BrokerUnavailable("The broker is away.")

        monkeypatch.setattr(here.agent._means.broker, "publish", unavailable)
        here.producer.away = True
        async with asyncio.timeout(60):
            assert await here.running == 3
        assert here.started() == []
        await here.settled((1, 0))


async def test_an_agent_that_only_lost_its_broker_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with farm(tmp_path, orphan_grace_seconds=0.3) as here:
        publish = here.agent._means.broker.publish
        away = True

        async def unavailable(*arguments: Any) -> None:
            if away:
                raise BrokerUnavailable("The broker is away.")
            await publish(*arguments)

        monkeypatch.setattr(here.agent._means.broker, "publish", unavailable)
        await here.until(lambda: here.producer.registrations, 3)
        assert not here.running.done()
        away = False
        await here.give(QUICK)
        await here.seen(JobFinished)
