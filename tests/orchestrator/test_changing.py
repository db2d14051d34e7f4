"""Pausing pools and changing priorities, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.clock import SystemClock
from buildyard.contracts.agents import ClaimRequest
from buildyard.contracts.builds import Priority
from buildyard.errors import Conflict, NotFound
from buildyard.ports import Broker
from orchestrator.domain.changing import PoolChange, alone_since, why_paused
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_background import sweeper
from tests.orchestrator.test_service import claim, claimed, finished, join, submit
from tests.orchestrator.world import START

CLOCK = SystemClock()


async def pause(yard: Yard, *, paused: bool = True, reason: str = "The disks are changed.") -> None:
    await yard.service.set_intake("linux", paused=paused, reason=reason, requester="ann")


async def test_a_paused_pool_hands_out_nothing_says_why_and_goes_on_when_it_is_resumed(yard: Yard) -> None:
    await join(yard)
    build_id = await submit(yard)
    await pause(yard)
    await pause(yard, reason="Again.")

    answer = await yard.service.claim("linux-1-1", ClaimRequest(claim_id=CLOCK.new_id(), pool="linux"))
    assert (answer.verdict, answer.job) == ("unsuited", None)
    assert answer.reason.endswith(": The disks are changed.")
    build = await yard.views.build(build_id)
    assert (build.status, build.reason) == ("Queued", answer.reason)
    linux, mac = (await yard.views.pools()).pools
    assert (linux.ready, linux.waiting, linux.oldest_wait_seconds) == (0, 1, None)
    assert (linux.intake.paused, linux.intake.by, mac.intake.paused) == (True, "ann", False)

    await pause(yard, paused=False, reason="")
    assert (await claim(yard)) is not None
    told = (await yard.views.pool_events("linux")).events
    assert [event.type for event in told] == ["pool_resumed", "pool_paused"]
    assert (await yard.views.pools()).pools[0].intake.paused is False
    with pytest.raises(NotFound, match="no pool nowhere"):
        await yard.service.set_intake("nowhere", paused=True, reason="", requester="ann")


async def test_what_an_agent_has_in_hand_when_its_pool_is_paused_goes_on(yard: Yard) -> None:
    spec = await claimed(yard)
    await pause(yard)

    assert await yard.service.record(finished(spec))
    assert (await yard.views.build(spec.build_id)).status == "Succeeded"


async def test_a_build_whose_priority_is_raised_goes_first(yard: Yard) -> None:
    await join(yard)
    first, second = await submit(yard), await submit(yard)

    await yard.service.set_priority(second, Priority.HIGH, requester="ann")
    await yard.service.set_priority(second, Priority.HIGH, requester="ann")

    assert (await yard.views.build(second)).queue_position == 0
    assert (await yard.views.build(second)).priority == "High"
    taken = await claim(yard)
    assert taken is not None
    assert (taken.build_id, taken.priority) == (second, Priority.HIGH)
    told = [
        event for event in await yard.views.events(second, after=0, limit=99) if event.type == "build_reprioritised"
    ]
    assert [event.data for event in told] == [{"from": "Normal", "to": "High", "requester": "ann"}]
    await yard.service.record(finished(taken))
    with pytest.raises(Conflict, match="has ended already: Succeeded"):
        await yard.service.set_priority(second, Priority.LOW, requester="ann")
    with pytest.raises(NotFound):
        await yard.service.set_priority(first.replace("0", "1"), Priority.LOW, requester="ann")


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)  # no clock of these tests moves that of PostgreSQL
async def test_a_build_in_a_paused_pool_outlives_the_lack_of_agents_and_has_its_time_anew_after_it(
    yard: Yard, broker: Broker
) -> None:
    build_id = await submit(yard)
    await pause(yard)

    async def after(minutes: float) -> str:
        yard.clock.ahead = timedelta(minutes=minutes)
        await sweeper(yard, broker)._pass()
        return (await yard.views.build(build_id)).status

    assert await after(11) == "Queued"
    await pause(yard, paused=False)
    assert await after(20) == "Queued"
    assert await after(22) == "Failed"


moments = st.integers(0, 10_000).map(lambda seconds: START + timedelta(seconds=seconds))


@given(seen=st.none() | moments, at=moments, later=moments, paused=st.booleans())
def test_the_lack_of_agents_counts_only_while_a_pool_hands_out_jobs(
    seen: datetime | None, at: datetime, later: datetime, *, paused: bool
) -> None:
    now = max(at, later)
    change = PoolChange(1, "linux", paused, "", "ann", at)

    since = alone_since(seen, change, now)

    assert since is not None
    assert since >= (now if paused else at)
    assert bool(why_paused(change)) is paused
    assert alone_since(seen, None, now) is seen
