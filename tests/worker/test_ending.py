"""A worker whose place ends claims nothing that could still run then, and leaves in good time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.messages import AgentLeft, JobFinished
from buildyard.errors import InvalidSettings
from buildyard.settings import Settings, load_settings
from tests.worker.test_agent import QUICK, farm
from worker.ending import MARGIN_SECONDS, seconds_to_claim

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@given(st.floats(0.01, 10_000), st.floats(-100_000, 1_000_000))
def test_a_job_claimed_in_time_ends_before_the_place_does(max_build_minutes: float, place_seconds: float) -> None:
    settings = Settings(max_build_minutes=max_build_minutes, ends_at=NOW + timedelta(seconds=place_seconds))

    left = seconds_to_claim(settings, NOW)

    assert left is not None
    if left > 0:
        assert 60 * max_build_minutes + MARGIN_SECONDS <= place_seconds + 0.001


def test_a_worker_whose_place_stays_may_claim_for_ever() -> None:
    assert seconds_to_claim(Settings(), NOW) is None


def test_the_end_of_a_place_needs_a_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDYARD_ENDS_AT", "2026-11-21T09:00:00")
    with pytest.raises(InvalidSettings, match="BUILDYARD_ENDS_AT is wrong"):
        load_settings()


async def test_an_agent_whose_place_ends_too_soon_gives_its_ticket_back_and_leaves(tmp_path: Path) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=10)
    async with farm(tmp_path, wait=False, ends_at=soon, max_build_minutes=60) as here:
        await here.give(QUICK)

        assert await here.running == 0

        (left,) = await here.seen(AgentLeft)
        assert left.reason.startswith(f"Its place goes at {soon:%Y-%m-%dT%H:%M}")
        assert here.producer.claims == []
        await here.settled((1, 0))


async def test_an_idle_agent_leaves_when_no_job_could_end_any_more(tmp_path: Path) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=MARGIN_SECONDS + 60 * 0.01 + 1)
    async with farm(tmp_path, ends_at=soon, max_build_minutes=0.01) as here:
        assert await here.running == 0
        assert here.producer.claims == []


async def test_an_agent_with_time_left_takes_jobs(tmp_path: Path) -> None:
    later = datetime.now(UTC) + timedelta(hours=3)
    async with farm(tmp_path, ends_at=later, max_build_minutes=60) as here:
        await here.give(QUICK)
        await here.seen(JobFinished)
