"""Estimates on a real database: learned from what was built, shown in answers and of builds that wait or run."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from buildyard.contracts.api import BuildRequest
from buildyard.contracts.builds import BuildProperties, Outcome, ReasonCode
from orchestrator.store import schema as t
from orchestrator.views import Views
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import an_upload, claim, ended, finished, join, submit


async def built(yard: Yard, seconds: float, *, project: str = "demo", failed: bool = False) -> None:
    """A build that took so long."""
    request = BuildRequest(job=BuildProperties(project_name=project))
    await yard.service.submit(request, an_upload(), requester="local")
    spec = await claim(yard)
    assert spec is not None
    report = ended(spec, Outcome.FAILED, ReasonCode.COMMAND_FAILED, "No.") if failed else finished(spec)
    await yard.service.record(report)
    async with yard.store.begin() as tx:
        end = await tx.now()
        times = {"started_at": end - timedelta(seconds=seconds), "ended_at": end}
        await tx._db.execute(update(t.builds).where(t.builds.c.id == spec.build_id).values(times))
        await tx._db.execute(update(t.attempts).where(t.attempts.c.build_id == spec.build_id).values(times))


def about(moment: datetime | None, seconds: float, now: datetime) -> bool:
    return moment is not None and abs((moment - now).total_seconds() - seconds) < 30  # a machine may stall


async def store_now(yard: Yard) -> datetime:
    async with yard.store.read() as queries:
        return await queries.now()


async def test_a_farm_without_a_past_only_tells_the_next_in_line_when_it_begins(yard: Yard) -> None:
    first = await yard.service.submit(BuildRequest(job=BuildProperties()), an_upload(), requester="local")
    second = await yard.service.submit(BuildRequest(job=BuildProperties()), an_upload(), requester="local")

    assert about(first.estimated_start_time, 0, await store_now(yard))
    assert (first.estimated_duration, second.estimated_start_time, second.estimated_duration) == (None, None, None)
    assert (await yard.views.build(second.execution_id)).estimated_start_time is None


async def test_answers_and_waiting_builds_tell_what_was_learned(yard: Yard) -> None:
    await join(yard)
    for seconds in (50, 60, 70):
        await built(yard, seconds)
    await built(yard, 900, failed=True)
    await built(yard, 20, project="other")
    ids = [await submit(yard) for _ in range(2)]
    running = await claim(yard)
    assert running is not None

    accepted = await yard.service.submit(
        BuildRequest(job=BuildProperties(project_name="demo")), an_upload(), requester="local"
    )
    new = await yard.service.submit(
        BuildRequest(job=BuildProperties(project_name="new")), an_upload(), requester="local"
    )

    assert accepted.estimated_duration == pytest.approx(60)
    assert (await yard.views.build(new.execution_id)).estimated_duration == pytest.approx(55), "as the farm's successes"
    shown = await yard.views.build(accepted.execution_id)
    assert (shown.queue_position, shown.estimated_duration) == (1, pytest.approx(60))
    # One job runs, which takes 220 s on average of all attempts, and one waits before it.
    assert about(shown.estimated_start_time, 440, await store_now(yard))
    begun = await yard.views.build(running.build_id)
    assert (begun.estimated_start_time, begun.estimated_duration) == (None, pytest.approx(60))
    await yard.service.record(finished(running))
    over = await yard.views.build(running.build_id)
    assert (over.estimated_start_time, over.estimated_duration) == (None, None)
    assert running.build_id == ids[0]


async def test_idle_agents_take_what_waits_at_once(yard: Yard) -> None:
    for name in ("linux-1-1", "linux-2-1", "linux-3-1"):
        await join(yard, name)
    await built(yard, 100)
    ids = [await submit(yard) for _ in range(4)]

    starts = [(await yard.views.build(build_id)).estimated_start_time for build_id in ids]

    now = await store_now(yard)
    assert [about(start, seconds, now) for start, seconds in zip(starts, (0, 0, 0, 100), strict=True)] == [True] * 4


async def test_a_paused_pool_starts_nobody_knows_when(yard: Yard) -> None:
    await join(yard)
    await built(yard, 60)
    build_id = await submit(yard)
    await yard.service.set_intake("linux", paused=True, reason="", requester="ann")

    shown = await yard.views.build(build_id)

    assert (shown.queue_position, shown.estimated_start_time, shown.estimated_duration) == (0, None, pytest.approx(60))


async def test_a_pool_tells_what_a_job_takes_and_asks_for_it_only_now_and_then(yard: Yard) -> None:
    await join(yard)
    before = await yard.views.pools()
    for seconds in (50, 60, 900):
        await built(yard, seconds)
    await built(yard, 70, failed=True)
    lost = await submit(yard)
    spec = await claim(yard)
    assert spec is not None
    await yard.service.record(ended(spec, Outcome.HANDED_BACK, ReasonCode.HANDED_BACK, "Its agent was stopped."))

    at_once = await yard.views.pools()
    later = await Views(yard.store, yard.views._pools, timedelta(seconds=30)).pools()

    assert {pool.job_seconds for pool in before.pools} == {None}
    assert {pool.job_seconds for pool in at_once.pools} == {None}, "what was learned holds for a while"
    usual = {pool.name: pool.job_seconds for pool in later.pools}
    assert usual["linux"] == pytest.approx(65), "of jobs that came to an end of their own"
    assert (await yard.views.build(lost)).status != "Succeeded"
