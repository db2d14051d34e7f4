"""Who suits which ready jobs, and whether a new worker is worth a trial: bounded, and never for what cannot be."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.agents import Capabilities
from buildyard.contracts.needs import Needs
from orchestrator.domain.records import Agent
from orchestrator.domain.suiting import NeedsOfPool, ReadyJobs, unserved
from orchestrator.domain.trials import MOST_TRIALS, TRIAL_AGAIN, next_worker, suiting
from tests.orchestrator.domain.test_suiting import AGENTS, READY
from tests.orchestrator.world import START, an_agent

GO = Needs(tools={"go": ""}).text()
DOTNET = Needs(tools={"dotnet": ">=8"}).text()
ANY = Capabilities()
NOW = START + timedelta(hours=1)
ONE = ReadyJobs(1, NOW - timedelta(seconds=5))


def agent(name: str, joined_seconds_ago: float, **tools: str) -> Agent:
    joined_at = NOW - timedelta(seconds=joined_seconds_ago)
    return replace(an_agent(name), capabilities=Capabilities(tools=tools), joined_at=joined_at)


def ready(**kinds: int) -> dict[str, ReadyJobs]:
    texts = {"plain": "", "go": GO, "dotnet": DOTNET}
    return {texts[name]: ReadyJobs(number, NOW - timedelta(seconds=5)) for name, number in kinds.items()}


def pool(jobs: dict[str, ReadyJobs], *here: Agent, gone: tuple[Agent, ...] = ()) -> NeedsOfPool:
    return NeedsOfPool(jobs, here, (*here, *gone))


def test_jobs_and_idle_agents_are_counted_by_who_suits_whom() -> None:
    rich, poor = agent("linux-1-1", 900, go="1.22"), agent("linux-2-1", 900)
    of_pool = pool(ready(go=3), rich, poor)

    idle = suiting(of_pool, (), ANY, NOW)
    busy = suiting(of_pool, ["linux-1-1"], ANY, NOW)

    assert (idle.ready_for_idle, idle.idle, idle.idle_for_ready) == (3, 2, 1)
    assert (busy.ready_for_idle, busy.idle, busy.idle_for_ready, busy.held) == (0, 1, 0, 0)
    assert [(kind.needs, kind.ready, kind.idle, kind.busy, kind.next) for kind in busy.kinds] == [
        ("go", 3, 0, 1, "trial")
    ]


def test_jobs_that_nobody_suits_are_worth_one_trial_and_then_wait() -> None:
    old, tried = agent("linux-1-1", 900), agent("linux-2-1", 2)

    before, after = suiting(pool(ready(go=3), old), (), ANY, NOW), suiting(pool(ready(go=3), old, tried), (), ANY, NOW)

    assert (before.on_trial, before.tried) == (3, 0)
    assert (after.on_trial, after.tried) == (0, 3)


def test_jobs_that_only_a_busy_agent_suits_are_held_once_a_newer_one_lacked_what_they_need() -> None:
    of_pool = pool(ready(go=3, plain=2), agent("linux-1-1", 900, go="1.22"), agent("linux-2-1", 2))

    found = suiting(of_pool, ["linux-1-1"], ANY, NOW)

    assert (found.ready_for_idle, found.held, found.idle_for_ready) == (2, 3, 1)


def test_agents_that_were_there_a_moment_ago_stand_for_the_next_where_none_is_there() -> None:
    jobs = ready(go=3)
    gone = suiting(pool(jobs, gone=(replace(agent("linux-1-1", 900), left=True),)), (), ANY, NOW)
    tried = suiting(pool(jobs, gone=(replace(agent("linux-1-1", 2), left=True),)), (), ANY, NOW)
    never = suiting(pool(jobs), (), ANY, NOW)

    assert [(one.on_trial, one.tried) for one in (gone, tried, never)] == [(3, 0), (0, 3), (0, 0)]


@pytest.mark.parametrize(
    ("known", "declared", "expected"),
    [
        ((), ANY, "trial"),
        ((agent("linux-1-1", 20),), ANY, "trial"),
        ((agent("linux-1-1", 2),), ANY, "tried"),
        (tuple(agent(f"linux-{slot}-1", 20) for slot in range(MOST_TRIALS - 1)), ANY, "trial"),
        (tuple(agent(f"linux-{slot}-1", 20) for slot in range(MOST_TRIALS)), ANY, "tried"),
        (tuple(agent(f"linux-{slot}-1", 301) for slot in range(MOST_TRIALS)), ANY, "trial"),
        ((agent("linux-1-1", 20), agent("linux-2-1", 10, go="1.22")), ANY, "suits"),
        ((agent("linux-1-1", 20, go="1.22"), agent("linux-2-1", 2)), ANY, "tried"),
        ((agent("linux-1-1", 2), agent("linux-2-1", 1)), Capabilities(tools={"go": "1.22"}), "suits"),
    ],
)
def test_the_newest_agents_and_what_the_pool_declares_tell_what_the_next_one_has(
    known: tuple[Agent, ...], declared: Capabilities, expected: str
) -> None:
    assert next_worker(GO, ONE, known, declared, NOW) == expected


@pytest.mark.parametrize("needs", [Needs(os="windows"), Needs(arch="aarch64")])
def test_another_system_than_the_pool_declares_is_never_worth_a_trial(needs: Needs) -> None:
    declared = Capabilities(os="Linux", arch="x86_64")

    assert next_worker(needs.text(), ONE, (), declared, NOW) == "tried"
    assert next_worker(needs.text(), ONE, (), ANY, NOW) == "trial"


@given(READY, AGENTS, st.sets(st.integers(0, 3)), st.integers(0, 99))
def test_every_ready_job_is_counted_once_and_unserved_jobs_are_those_on_trial_or_tried(
    jobs: dict[str, ReadyJobs], agents: list[Agent], working: set[int], seconds: int
) -> None:
    named = [replace(one, name=f"linux-{number}-1") for number, one in enumerate(agents)]
    busy = {f"linux-{number}-1" for number in working}
    found = suiting(pool(jobs, *named), busy, ANY, START + timedelta(seconds=seconds))

    assert found.on_trial + found.tried == unserved("linux", jobs, named).count
    assert sum(kind.ready for kind in found.kinds) == sum(one.count for one in jobs.values())
    assert found.ready_for_idle + found.held + found.on_trial + found.tried <= sum(one.count for one in jobs.values())
    assert found.ready_for_idle == sum(kind.ready for kind in found.kinds if kind.idle)
    assert found.idle_for_ready <= found.idle == sum(one.name not in busy for one in named)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=60), st.lists(st.integers(0, 3600), max_size=5))
def test_however_jobs_come_and_go_only_few_workers_are_tried_in_any_time(steps: list[int], arrivals: list[int]) -> None:
    """Whoever cancels and sends anew, each trial that fails counts for the next jobs too."""
    known: list[Agent] = []
    now: datetime = START
    for number, step in enumerate(steps):
        now += timedelta(seconds=step)
        came = [START + timedelta(seconds=at) for at in arrivals]
        since = max((at for at in came if at <= now), default=now)
        if next_worker(GO, ReadyJobs(1, since), known, ANY, now) == "trial":
            known.append(replace(an_agent(f"linux-{number}-1"), joined_at=now))

    joins = [one.joined_at for one in known]
    for first in joins:
        assert sum(first <= one < first + TRIAL_AGAIN for one in joins) <= MOST_TRIALS
