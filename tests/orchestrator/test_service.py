"""The service on a real database, SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from buildyard.clock import SystemClock
from buildyard.contracts.agents import AgentHealth, AgentRegistration, Capabilities, ClaimRequest
from buildyard.contracts.api import BuildRequest
from buildyard.contracts.builds import (
    ArtifactRecord,
    BuildProperties,
    JobSpec,
    Outcome,
    Priority,
    ReasonCode,
    StageName,
    StageStatus,
    UploadKind,
    UploadSource,
)
from buildyard.contracts.messages import (
    AgentHeartbeat,
    AgentLeft,
    Heartbeat,
    JobFinished,
    LogStored,
    StageFinished,
    StageStarted,
)
from buildyard.errors import Conflict, Forbidden, InvalidRequest, NotFound
from orchestrator.store import schema
from tests.orchestrator.conftest import Yard
from tests.orchestrator.world import START

CLOCK = SystemClock()


def an_upload() -> UploadSource:
    upload_id = CLOCK.new_id()
    return UploadSource(
        upload_id=upload_id, key=f"uploads/{upload_id}", kind=UploadKind.ZIP, sha256="a" * 64, size_bytes=3
    )


def a_request(**around: Any) -> BuildRequest:
    return BuildRequest(job=BuildProperties(project_name="demo"), **around)


async def submit(yard: Yard, **around: Any) -> str:
    return (await yard.service.submit(a_request(**around), an_upload(), requester="local")).execution_id


async def join(yard: Yard, name: str = "linux-1-1", pool: str = "linux", tools: dict[str, str] | None = None) -> None:
    await yard.service.register(
        AgentRegistration(
            name=name,
            pool=pool,
            hostname="host",
            pid=1,
            version="0",
            capabilities=Capabilities(tools=tools or {}),
            health=AgentHealth(),
        )
    )


async def claim(yard: Yard, agent: str = "linux-1-1") -> JobSpec | None:
    answer = await yard.service.claim(agent, ClaimRequest(claim_id=CLOCK.new_id(), pool="linux"))
    return answer.job


def fact(spec: JobSpec, **more: Any) -> dict[str, Any]:
    whose = {"build_id": spec.build_id, "job_id": spec.job_id, "attempt": spec.attempt, "agent": "linux-1-1"}
    return {**whose, "at": CLOCK.now(), **more}


def finished(spec: JobSpec, outcome: Outcome = Outcome.SUCCEEDED, **more: Any) -> JobFinished:
    return JobFinished(
        **fact(spec, outcome=outcome, reason_code=ReasonCode.SUCCEEDED, reason="All stages succeeded.", **more)
    )


def ended(spec: JobSpec, outcome: Outcome, code: ReasonCode, reason: str, **more: Any) -> JobFinished:
    return JobFinished(**fact(spec, outcome=outcome, reason_code=code, reason=reason, **more))


async def claimed(yard: Yard) -> JobSpec:
    await join(yard)
    await submit(yard)
    spec = await claim(yard)
    assert spec is not None
    return spec


async def waited(yard: Yard) -> None:
    """The waits after failed attempts are over, and the sweeper saw it."""
    async with yard.store.begin() as tx:
        waits = schema.jobs.c.not_before.is_not(None)
        await tx._db.execute(update(schema.jobs).where(waits).values(not_before=START))
    await yard.service.end_waits()


async def test_a_submitted_build_is_queued_and_its_ticket_goes_out(yard: Yard) -> None:
    build_id = await submit(yard)

    status = await yard.views.build(build_id)
    assert (status.status, status.queue_position) == ("Queued", 0)
    assert len(yard.caught.tickets) == 1
    assert [event.type for event in await yard.views.events(build_id, after=0, limit=10)] == [
        "build_received",
        "build_queued",
    ]


async def test_the_answer_says_how_many_are_ahead(yard: Yard) -> None:
    await submit(yard)
    await submit(yard, priority=Priority.LOW)

    accepted = await yard.service.submit(a_request(), an_upload(), requester="local")

    assert accepted.queue_position == 1


async def test_an_unknown_pool_and_a_timeout_above_the_farms_longest_are_refused(yard: Yard) -> None:
    with pytest.raises(InvalidRequest, match="this farm has: linux, mac"):
        await submit(yard, target_pool="Windows")
    request = BuildRequest(job=BuildProperties(timeout_minutes=121))
    with pytest.raises(InvalidRequest, match="longest build of 120 min"):
        await yard.service.submit(request, an_upload(), requester="local")


async def test_a_repository_on_a_foreign_host_is_refused(yard: Yard) -> None:
    request = BuildRequest.model_validate({"project_name": "x", "git_url": "https://evil.example/x.git"})

    with pytest.raises(Forbidden, match=r"evil\.example.* not allowed on this farm"):
        await yard.service.submit_git(request, requester="local")


async def test_critical_is_claimed_before_low_whatever_came_first(yard: Yard) -> None:
    await join(yard)
    low = await submit(yard, priority=Priority.LOW)
    normal = await submit(yard)
    critical = await submit(yard, priority=Priority.CRITICAL)

    specs = [await claim(yard) for _ in range(4)]

    assert [spec.build_id if spec else None for spec in specs] == [critical, normal, low, None]


async def test_the_same_claim_gets_the_same_attempt(yard: Yard) -> None:
    await join(yard)
    await submit(yard)
    await submit(yard)
    request = ClaimRequest(claim_id=CLOCK.new_id(), pool="linux")

    first = await yard.service.claim("linux-1-1", request)
    second = await yard.service.claim("linux-1-1", request)

    assert first.job is not None
    assert second.job is not None
    assert (first.job.job_id, first.job.attempt) == (second.job.job_id, second.job.attempt)


async def test_many_claims_at_once_never_share_a_job(yard: Yard) -> None:
    for number in range(8):
        await join(yard, f"linux-{number + 1}-1")
    builds = {await submit(yard) for _ in range(20)}

    answers = await asyncio.gather(*(claim(yard, f"linux-{number % 8 + 1}-1") for number in range(24)))

    specs = [spec for spec in answers if spec]
    assert {spec.build_id for spec in specs} == builds
    assert len(specs) == 20


async def test_a_build_goes_through_its_stages_to_its_end(yard: Yard) -> None:
    spec = await claimed(yard)
    await yard.service.record(StageStarted(**fact(spec, stage=StageName.FETCH)))
    running = await yard.views.build(spec.build_id)
    await yard.service.record(
        StageFinished(**fact(spec, stage=StageName.FETCH, status=StageStatus.SUCCEEDED, warnings=2))
    )
    artifact = ArtifactRecord(
        name="a.whl",
        path="dist/a.whl",
        size_bytes=5,
        content_type="application/zip",
        sha256="b" * 64,
        key=f"{spec.output_prefix}artifacts/dist/a.whl",
    )
    await yard.service.record(finished(spec, artifacts=(artifact,), toolchain="python"))

    assert (running.status, running.current_stage) == ("Running", "Fetch")
    status = await yard.views.build(spec.build_id)
    assert (status.status, status.reason_code, status.toolchain) == ("Succeeded", "succeeded", "python")
    assert (status.stages[0].status, status.stages[0].warnings_count) == ("Succeeded", 2)
    assert [stage.status for stage in status.stages[1:]] == ["Skipped"] * 5
    assert status.agent is not None
    assert status.agent.hostname == "host"
    [listed] = (await yard.views.artifacts(spec.build_id)).artifacts
    assert (await yard.views.artifact(listed.id)).sha256 == "b" * 64
    assert [build.id for build in yard.caught.ended] == [spec.build_id]
    seqs = [event.seq for event in await yard.views.events(spec.build_id, after=0, limit=100)]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_a_late_report_of_an_attempt_that_is_over_changes_nothing(yard: Yard) -> None:
    spec = await claimed(yard)
    assert await yard.service.record(finished(spec))

    assert not await yard.service.record(finished(spec, Outcome.FAILED))
    assert not await yard.service.record(Heartbeat(**fact(spec)))
    assert (await yard.views.build(spec.build_id)).status == "Succeeded"


async def test_a_report_about_objects_of_others_is_refused(yard: Yard) -> None:
    spec = await claimed(yard)
    artifact = ArtifactRecord(
        name="x", path="x", size_bytes=1, content_type="a/b", sha256="b" * 64, key="uploads/of-somebody-else"
    )

    with pytest.raises(InvalidRequest, match="not its own"):
        await yard.service.record(finished(spec, artifacts=(artifact,)))

    assert (await yard.views.build(spec.build_id)).status == "Running"


async def test_an_expired_lease_sends_the_job_to_another_agent(yard: Yard) -> None:
    spec = await claimed(yard)
    await join(yard, "linux-2-1")
    async with yard.store.begin() as tx:
        attempt = await tx.attempt(spec.job_id, 1)
        assert attempt is not None
        assert not await _expired(yard, spec)
        await tx.renew(attempt, attempt.started_at)

    assert await _expired(yard, spec)

    await waited(yard)
    again = await claim(yard, "linux-2-1")
    assert again is not None
    assert (again.job_id, again.attempt) == (spec.job_id, 2)
    assert not await yard.service.record(finished(spec, Outcome.FAILED)), "the zombie's report is refused"
    assert await yard.service.record(finished(again))
    status = await yard.views.build(spec.build_id)
    assert [attempt.outcome for attempt in status.attempts] == ["Lost", "Succeeded"]


async def _expired(yard: Yard, spec: JobSpec) -> bool:
    async with yard.store.read() as queries:
        attempt = next(one for one in await queries.live_attempts() if one.job_id == spec.job_id)
        now = await queries.now()
        if attempt.lease_until > now:
            return False
    return await yard.service.expire(attempt, now)


async def test_cancelling_a_running_build_tells_its_worker_and_waits_for_it(yard: Yard) -> None:
    spec = await claimed(yard)

    first = await yard.service.cancel(spec.build_id, requester="local")
    second = await yard.service.cancel(spec.build_id, requester="local")
    await yard.service.record(finished(spec, Outcome.CANCELLED))

    assert (first.status, second.status) == ("Cancelling", "Cancelling")
    assert {control.type for control in yard.caught.controls} == {"cancel_job"}
    assert (await yard.service.cancel(spec.build_id, requester="local")).status == "Cancelled"
    done = await yard.views.build(await _finished_build(yard))
    with pytest.raises(Conflict):
        await yard.service.cancel(done.execution_id, requester="local")


async def _finished_build(yard: Yard) -> str:
    await submit(yard)
    spec = await claim(yard)
    assert spec is not None
    await yard.service.record(finished(spec))
    return spec.build_id


async def test_log_segments_are_numbered_on_and_a_repeat_is_not_counted(yard: Yard) -> None:
    spec = await claimed(yard)
    for first, last in ((1, 10), (11, 15), (11, 15)):
        await yard.service.record(
            LogStored(
                **fact(
                    spec,
                    key=f"{spec.output_prefix}log/{first:09d}.jsonl",
                    first=first,
                    last=last,
                    size_bytes=10,
                    stages=(StageName.BUILD,),
                )
            )
        )

    segments = await yard.views.log_segments(spec.build_id)
    assert [(one.build_first, one.build_last) for one in segments] == [(1, 10), (11, 15)]


async def test_an_agent_that_lacks_what_its_pool_declares_may_not_join(yard: Yard) -> None:
    with pytest.raises(Conflict, match="it lacks the tool xcode"):
        await join(yard, "mac-1-1", "mac")
    await join(yard, "mac-1-1", "mac", {"xcode": "15.2"})


async def test_a_draining_agent_gets_nothing_more_and_one_that_left_joins_again(yard: Yard) -> None:
    await join(yard)
    await submit(yard)
    await yard.service.drain("linux-1-1", "The pool is quiet.")

    answer = await yard.service.claim("linux-1-1", ClaimRequest(claim_id=CLOCK.new_id(), pool="linux"))
    assert answer.verdict == "unsuited"
    await yard.service.record(AgentLeft(agent="linux-1-1", at=CLOCK.now(), reason="Drained."))
    with pytest.raises(NotFound):
        await claim(yard)
    assert (await yard.views.agent("linux-1-1")).state == "Left"


async def test_an_agents_heartbeat_is_shown_and_silence_makes_it_lost(yard: Yard) -> None:
    await join(yard)
    beat = AgentHeartbeat(agent="linux-1-1", at=CLOCK.now(), health=AgentHealth(load_1m=0.5))
    assert await yard.service.record(beat)
    assert (await yard.views.agent("linux-1-1")).health.load_1m == 0.5
    assert (await yard.views.agent_health("linux-1-1")).healthy


async def test_pools_count_ready_jobs_leases_and_agents(yard: Yard) -> None:
    await claimed(yard)
    await submit(yard)

    linux, mac = (await yard.views.pools()).pools

    assert (linux.ready, linux.leases, linux.agents, linux.generations) == (1, 1, {"Busy": 1}, {1: 1})
    assert linux.oldest_wait_seconds is not None
    assert (mac.ready, mac.leases, mac.agents) == (0, 0, {})


async def test_an_upload_is_built_once(yard: Yard) -> None:
    upload = an_upload()
    stored = await yard.service.keep_upload(upload, requester="local")

    accepted = await yard.service.start_upload(stored.job_id, a_request(), requester="local")

    assert (await yard.views.build(accepted.execution_id)).status == "Queued"
    with pytest.raises(NotFound):
        await yard.service.start_upload(stored.job_id, a_request(), requester="local")


async def test_lists_are_filtered_and_paged_newest_first(yard: Yard) -> None:
    ids = [await submit(yard) for _ in range(5)]

    first = await yard.views.builds(status=None, project="demo", pool="linux", cursor=None, limit=3)
    second = await yard.views.builds(status=None, project=None, pool=None, cursor=first.next_cursor, limit=3)

    assert [build.execution_id for build in (*first.builds, *second.builds)] == ids[::-1]
    assert second.next_cursor is None


async def test_tickets_stay_in_the_outbox_until_they_are_published(yard: Yard) -> None:
    await submit(yard)
    [ticket] = yard.caught.tickets

    async with yard.store.begin() as tx:
        assert await tx.take_tickets(10, everything=False) == ()
        assert await tx.take_tickets(10, everything=True) == (ticket,)
        await tx.drop_tickets([ticket.ticket_id])
    async with yard.store.begin() as tx:
        assert await tx.take_tickets(10, everything=True) == ()
