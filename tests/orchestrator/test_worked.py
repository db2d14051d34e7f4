"""How many jobs each agent has worked off, counted anew now and then and otherwise only as far as they are new."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.builds import Outcome, ReasonCode
from orchestrator.store.worked import AgentTally, Worked
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import claim, ended, finished, join, submit
from tests.tui import samples as s

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def work(yard: Yard, agent: str, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    await submit(yard)
    spec = await claim(yard, agent)
    assert spec is not None
    well = outcome is Outcome.SUCCEEDED
    await yard.service.record(
        (finished(spec) if well else ended(spec, outcome, ReasonCode.COMMAND_FAILED, "It failed.")).model_copy(
            update={"agent": agent}
        )
    )


async def counts(yard: Yard) -> dict[str, tuple[int | None, int | None]]:
    return {one.name: (one.jobs_done, one.jobs_failed) for one in (await yard.views.agents()).agents}


async def test_jobs_are_counted_by_the_agent_that_worked_them_off_and_by_how_they_ended(yard: Yard) -> None:
    await join(yard, "linux-1-1")
    await join(yard, "linux-2-1")
    assert await counts(yard) == {"linux-1-1": (0, 0), "linux-2-1": (0, 0)}
    await work(yard, "linux-1-1")
    await work(yard, "linux-1-1")
    await work(yard, "linux-1-1", Outcome.FAILED)
    await work(yard, "linux-2-1", Outcome.HANDED_BACK)
    assert await counts(yard) == {"linux-1-1": (2, 1), "linux-2-1": (0, 0)}
    assert (await yard.views.agent("linux-1-1")).jobs_done is None, "unknown, and not 0"


async def test_nothing_is_counted_twice_and_nothing_left_out_as_time_goes_on(yard: Yard) -> None:
    await join(yard, "linux-1-1")
    for number in range(1, 6):
        await work(yard, "linux-1-1")
        seen = await asyncio.gather(counts(yard), counts(yard))
        assert [one["linux-1-1"] for one in seen] == [(number, 0)] * 2
        yard.clock.ahead += timedelta(minutes=4)
        await join(yard, "linux-1-1")
        assert (await counts(yard))["linux-1-1"] == (number, 0)


class Questions(Worked):
    """Attempts by the seconds at which they ended; how much was asked for is kept."""

    def __init__(self, ended: list[int]) -> None:
        self.ended = ended
        self.asked: list[float] = []

    async def ended_by_agent(self, since: datetime, until: datetime | None) -> Counter[tuple[str, str]]:
        self.asked.append(((until or NOW + timedelta(days=9)) - since).total_seconds())
        found = [
            one
            for one in self.ended
            if since <= NOW + timedelta(seconds=one) < (until or datetime.max.replace(tzinfo=UTC))
        ]
        return Counter({("a", "succeeded"): len(found)} if found else {})


@given(st.lists(st.integers(-90_000, 90_000), max_size=30), st.lists(st.integers(0, 9_000), max_size=20))
async def test_counts_are_those_of_the_last_day_whenever_one_asks(ended: list[int], pauses: list[int]) -> None:
    tally, agent, at = AgentTally(timedelta(days=1)), s.agent("a"), 0
    for pause in [0, *pauses]:
        at += pause
        questions = Questions([one for one in ended if one <= at])
        (seen,) = await tally.noted(questions, NOW + timedelta(seconds=at), [agent])
        surely = sum(at - 86_400 + 600 < one <= at for one in ended)
        at_most = sum(at - 86_400 - 900 <= one <= at for one in ended)
        assert surely <= (seen.jobs_done or 0) <= at_most
