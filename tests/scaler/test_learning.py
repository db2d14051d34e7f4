"""How long workers take to join is learned from those that did, and by `elastic` counts against what is started."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from buildyard.contracts.agents import AgentState
from buildyard.contracts.api import AgentList, PoolList, WorkerInfo
from buildyard.contracts.scaling import DecisionCode, LearnedStart, ScalingPolicy, WorkerState
from scaler.decide import decide
from scaler.learning import LEARNED_STARTS, Joined, joined, learned_start
from scaler.readings import Answer, Seen
from tests.scaler.fakes import START, agent_view
from tests.scaler.observing import crowd, observed, worker
from tests.scaler.test_loop import Farm

PENDING, IDLE, BUSY = WorkerState.PENDING, WorkerState.IDLE, WorkerState.BUSY
ELASTIC = ScalingPolicy(name="elastic", max_workers=50, burst_size=50, drain_seconds=60)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path, ELASTIC)
    yield made
    made.record.close()


def look(age: float, joined_seconds_ago: float, name: str = "linux-1-1", pool: str = "linux") -> Seen:
    """A worker of that age that joined so long ago, by the store's clock."""
    agent = agent_view(name, AgentState.BUSY).model_copy(
        update={"joined_at": START - timedelta(seconds=joined_seconds_ago)}
    )
    return Seen(
        pools=Answer(PoolList(pools=(), at=START)),
        agents=Answer(AgentList(agents=(agent,))),
        depths=Answer(None),
        workers=Answer((WorkerInfo(name=name, pool=pool, state="Running", age_seconds=age),)),
    )


def test_a_start_took_the_age_of_a_worker_less_the_time_since_it_joined() -> None:
    assert joined((), "linux", look(100, 37.5), 9) == (Joined("linux-1-1", 62.5, 9),)
    assert joined((), "docker", look(100, 37.5), 9) == ()


def test_a_worker_counts_once_and_a_registry_that_is_ahead_gives_no_time_below_zero() -> None:
    first = joined((), "linux", look(5, 6), 1)

    assert joined(first, "linux", look(50, 20), 2) == first == (Joined("linux-1-1", 0, 1),)


SILENT = (
    replace(look(9, 1), pools=Answer(None, cause="It is away.")),
    replace(look(9, 1), agents=Answer(None, cause="It is away.")),
    replace(look(9, 1), workers=Answer(None, cause="It is away.")),
)


@pytest.mark.parametrize("seen", SILENT)
def test_while_a_part_is_silent_nothing_is_learned_and_nothing_forgotten(seen: Seen) -> None:
    known = (Joined("linux-7-1", 3, 0),)

    assert joined(known, "linux", seen, 1) == known


def test_the_median_of_the_newest_starts_counts_and_without_any_none() -> None:
    starts: tuple[Joined, ...] = ()
    for number in range(LEARNED_STARTS + 5):
        starts = joined(starts, "linux", look(1000 - number, 900, f"linux-{number}-1"), number)

    found = learned_start(starts, 30)

    assert learned_start((), 30) is None
    assert found is not None
    assert (found.workers, found.seconds, found.age_seconds) == (LEARNED_STARTS, 86, 30 - LEARNED_STARTS - 4)


async def test_what_a_start_takes_is_in_the_record_with_its_source(farm: Farm) -> None:
    await farm.staffed(AgentState.BUSY)
    before = await farm.tick(0)
    farm.clock.seconds += 4
    after = await farm.tick(0)

    assert before.observed.learned_start is not None
    assert after.observed.learned_start is not None
    assert (before.observed.learned_start.source, after.observed.learned_start.age_seconds) == (
        "executor and registry",
        4,
    )


def test_workers_start_only_for_work_that_outlasts_a_start() -> None:
    """Five that are busy begin ten jobs of 30 s within 80 s and more; the same farm with quick nodes starts some."""
    seen = observed(ready=12, leases=5, workers=crowd(*[BUSY] * 5), job_seconds=30, policy=ELASTIC)

    slow, quick = decide(seen.model_copy(update={"learned_start": learned(80)})), decide(seen)

    assert (slow.start, slow.code) == ((), DecisionCode.STEADY)
    assert len(quick.start) == 3


def learned(seconds: float) -> LearnedStart | None:
    return learned_start((Joined("linux-1-1", seconds, 0),), 0)


def test_what_comes_soon_counts_for_more_than_what_was_just_started() -> None:
    def starts(age: float) -> int:
        coming = tuple(worker(slot, PENDING, age=age) for slot in range(1, 6))
        return len(decide(observed(ready=12, workers=coming, job_seconds=60, start_seconds=80, policy=ELASTIC)).start)

    assert [starts(0), starts(30), starts(80)] == [7, 2, 0]


def test_a_job_that_has_waited_for_longer_than_a_start_and_the_drain_time_gets_one_more() -> None:
    def code(oldest: float) -> DecisionCode:
        busy = crowd(*[BUSY] * 5)
        seen = observed(ready=1, leases=5, workers=busy, job_seconds=9, start_seconds=80, policy=ELASTIC, oldest=oldest)
        return decide(seen).code

    assert code(139) is DecisionCode.STEADY
    assert code(140) is DecisionCode.WAITED_TOO_LONG
