"""Retries on a real database: their waits are held there, SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio

import pytest

from buildyard.contracts.builds import ArtifactRecord, Outcome, ReasonCode
from buildyard.errors import Conflict
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import claim, claimed, ended, finished, join, submit, waited


async def test_a_temporary_failure_waits_in_the_store_and_counts_as_waiting_until_its_time_has_come(yard: Yard) -> None:
    spec = await claimed(yard)
    full = ended(spec, Outcome.FAILED, ReasonCode.DISK_FULL, "The disk is full.")

    assert await yard.service.record(full)
    assert await yard.service.end_waits() == 0

    assert "The disk is full. It is tried again at 20" in (await yard.views.build(spec.build_id)).reason
    [linux, _] = (await yard.views.pools()).pools
    assert (linux.ready, linux.waiting, linux.leases, linux.oldest_wait_seconds) == (0, 1, 0, None)
    assert await claim(yard) is None
    before = len(yard.caught.tickets)
    await asyncio.gather(*(waited(yard) for _ in range(4)))
    assert len(yard.caught.tickets) == before + 1, "producers that look at once issue one ticket"
    again = await claim(yard)
    assert again is not None
    assert again.attempt == 2
    status = await yard.views.build(spec.build_id)
    assert [(one.outcome, one.reason_code) for one in status.attempts] == [("Failed", "disk_full"), (None, None)]


async def test_a_failed_attempts_artifacts_are_not_the_builds(yard: Yard) -> None:
    spec = await claimed(yard)
    artifact = ArtifactRecord(
        name="a", path="a", size_bytes=1, content_type="a/b", sha256="b" * 64, key=f"{spec.output_prefix}artifacts/a"
    )
    await yard.service.record(ended(spec, Outcome.FAILED, ReasonCode.WORKER_ERROR, "Oops.", artifacts=(artifact,)))
    await waited(yard)
    again = await claim(yard)
    assert again is not None
    own = artifact.model_copy(update={"key": f"{again.output_prefix}artifacts/a"})
    await yard.service.record(finished(again, artifacts=(own,)))

    assert len((await yard.views.artifacts(spec.build_id)).artifacts) == 1


async def test_a_queued_build_says_which_capability_the_last_agent_of_its_pool_lacked(yard: Yard) -> None:
    build_id = await submit(yard, target_pool="mac")
    assert (await yard.views.build(build_id)).reason == ""

    for name in ("mac-1-1", "mac-2-1"):
        with pytest.raises(Conflict):
            await join(yard, name, "mac", {"xcode": "14"})

    assert (await yard.views.build(build_id)).reason == (
        "Agent mac-2-1 asked to join the pool mac and was refused: its xcode is 14, the pool declares 15."
    )
    await join(yard, "mac-3-1", "mac", {"xcode": "15"})
    assert (await yard.views.build(build_id)).reason == ""


async def test_a_wait_that_a_cancel_ended_is_not_ended_again_by_a_late_sweeper(yard: Yard) -> None:
    spec = await claimed(yard)
    await yard.service.record(ended(spec, Outcome.FAILED, ReasonCode.DISK_FULL, "The disk is full."))
    await yard.service.cancel(spec.build_id, requester="me")

    async with yard.store.begin() as tx:
        assert await tx.end_waits([spec.job_id]) == ()

    assert await claim(yard) is None
    assert (await yard.views.build(spec.build_id)).status == "Cancelled"
