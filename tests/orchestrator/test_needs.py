"""A job that needs something goes to an agent that has it; the others take what suits them, and nobody starves."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sqlalchemy import update

from buildyard.contracts.agents import ClaimAnswer, ClaimRequest
from buildyard.contracts.api import BuildRequest
from buildyard.contracts.builds import BuildProperties, BuildState, Outcome, Priority, ReasonCode
from buildyard.contracts.needs import Needs
from buildyard.contracts.suiting import unmet
from buildyard.ports import Broker, jobs
from orchestrator.domain.records import Agent
from orchestrator.store import schema
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_background import sweeper
from tests.orchestrator.test_service import CLOCK, an_upload, claim, ended, finished, join
from tests.orchestrator.world import START, a_batch

NEW_DOTNET = Needs(tools={"dotnet": ">=8"})
OLD = {"dotnet": "3.1.102", "python": "3.11.2"}
NEW = {"dotnet": "8.0.100"}


async def submit(yard: Yard, needs: Needs | None = None, **around: Any) -> str:
    job = BuildProperties(project_name="demo", needs=needs)
    accepted = await yard.service.submit(BuildRequest(job=job, **around), an_upload(), requester="local")
    return accepted.execution_id


async def ask(yard: Yard, agent: str) -> ClaimAnswer:
    return await yard.service.claim(agent, ClaimRequest(claim_id=CLOCK.new_id(), pool="linux"))


async def test_an_agent_passes_over_what_it_lacks_and_another_takes_it(yard: Yard) -> None:
    await join(yard, "linux-1-1", tools=OLD)
    await join(yard, "linux-2-1", tools=NEW)
    needy = await submit(yard, NEW_DOTNET, priority=Priority.CRITICAL)
    plain = await submit(yard)

    first = await claim(yard, "linux-1-1")
    second = await claim(yard, "linux-2-1")

    assert first is not None
    assert second is not None
    assert (first.build_id, second.build_id) == (plain, needy)


async def test_an_unsuited_agent_gives_its_ticket_back_and_hears_what_it_lacks(yard: Yard) -> None:
    await join(yard, tools=OLD)
    build = await submit(yard, NEW_DOTNET)

    answer = await ask(yard, "linux-1-1")

    lacks = "No agent of the pool linux has dotnet >=8 (linux-1-1 has 3.1.102)."
    reason = "The pool's next job needs dotnet >=8 (linux-1-1 has 3.1.102)."
    assert (answer.verdict, answer.reason) == ("unsuited", reason)
    assert (await yard.views.build(build)).reason == lacks
    pool = (await yard.views.pools()).pools[0]
    assert (pool.ready, pool.waiting, pool.oldest_wait_seconds, pool.unserved) == (0, 1, None, (lacks,))


async def test_a_pool_without_agents_counts_its_needy_jobs_so_that_one_is_started(yard: Yard) -> None:
    await submit(yard, NEW_DOTNET)

    pool = (await yard.views.pools()).pools[0]

    assert (pool.ready, pool.unserved) == (1, ())


async def test_a_pool_tells_whether_a_worker_is_worth_a_trial_and_who_suits_its_jobs(yard: Yard) -> None:
    await join(yard, tools=OLD)
    assert (await yard.views.pools()).pools[0].suiting is None
    await submit(yard, NEW_DOTNET)
    told = []
    for name, tools in (("linux-2-1", OLD), ("linux-3-1", NEW)):
        told.append((await yard.views.pools()).pools[0])
        await join(yard, name, tools=tools)
    told.append((await yard.views.pools()).pools[0])
    await claim(yard, "linux-3-1")
    await submit(yard, NEW_DOTNET)
    told.append((await yard.views.pools()).pools[0])

    counts = [(pool.ready, one.ready_for_idle, one.on_trial, one.tried) for pool in told if (one := pool.suiting)]
    assert counts == [(0, 0, 1, 0), (0, 0, 0, 1), (1, 1, 0, 0), (1, 0, 0, 0)]
    assert told[-1].suiting is not None
    assert (told[-1].suiting.idle, told[-1].suiting.idle_for_ready) == (2, 0)
    assert [(kind.needs, kind.busy, kind.next) for kind in told[-1].suiting.kinds] == [("dotnet >=8", 1, "suits")]


async def test_in_a_paused_pool_nobody_is_worth_a_trial(yard: Yard) -> None:
    await join(yard, tools=OLD)
    await submit(yard, NEW_DOTNET)
    await yard.service.set_intake("linux", paused=True, reason="maintenance", requester="me")

    assert (await yard.views.pools()).pools[0].suiting is None


async def test_a_need_that_came_this_moment_is_known_to_the_next_claim(yard: Yard) -> None:
    await join(yard, tools=NEW)
    assert (await ask(yard, "linux-1-1")).verdict == "none"
    build = await submit(yard, NEW_DOTNET)

    spec = await claim(yard)

    assert spec is not None
    assert spec.build_id == build


AGENTS = {"linux-1-1": {}, "linux-2-1": OLD, "linux-3-1": NEW, "linux-4-1": {**NEW, "go": "1.22", "python": "3.12"}}
KINDS = (None, NEW_DOTNET, Needs(tools={"python": ">=3.11,<4"}), Needs(tools={"go": ""}), Needs(os="beos"))


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_claim_gets_the_best_of_what_its_agent_suits(yard: Yard, seed: int) -> None:
    chance = random.Random(seed)
    for name, tools in AGENTS.items():
        await join(yard, name, tools=tools)
    waiting: list[tuple[int, int, str, Needs | None]] = []
    for number in range(24):
        needs, priority = chance.choice(KINDS), chance.choice(list(Priority))
        waiting.append((-priority.rank, number, await submit(yard, needs, priority=priority), needs))
    async with yard.store.read() as queries:
        known = {agent.name: agent for agent in await queries.agents(START)}

    for _ in range(30):
        name = chance.choice(list(AGENTS))
        best = min((job for job in waiting if _suits(known[name], job[3])), default=None)
        answer = await ask(yard, name)
        if best is None:
            assert answer.verdict == ("unsuited" if waiting else "none")
            continue
        assert answer.job is not None
        assert answer.job.build_id == best[2]
        waiting.remove(best)
        await yard.service.record(finished(answer.job).model_copy(update={"agent": name}))


def _suits(agent: Agent, needs: Needs | None) -> bool:
    return needs is None or not unmet(needs, agent.capabilities)


async def test_what_a_source_is_found_to_need_sends_its_job_on_without_an_attempt_counted(yard: Yard) -> None:
    await join(yard, "linux-1-1", tools=OLD)
    await join(yard, "linux-2-1", tools=NEW)
    build = await submit(yard)
    spec = await claim(yard, "linux-1-1")
    assert spec is not None
    report = ended(spec, Outcome.HANDED_BACK, ReasonCode.HANDED_BACK, "It needs dotnet >=8.", needs=NEW_DOTNET)
    yard.caught.tickets.clear()

    await yard.service.record(report)

    assert len(yard.caught.tickets) == 1
    assert (await ask(yard, "linux-1-1")).verdict == "unsuited"
    again = await claim(yard, "linux-2-1")
    assert again is not None
    assert (again.build_id, again.attempt) == (build, 2)
    async with yard.store.read() as queries:
        [job] = await queries.jobs_but_rows(build)
    assert (job.tries, job.needs) == (0, NEW_DOTNET.text())


async def test_a_job_that_is_handed_on_twice_for_the_same_needs_fails(yard: Yard) -> None:
    await join(yard, tools=NEW)
    build = await submit(yard, NEW_DOTNET)
    spec = await claim(yard)
    assert spec is not None

    await yard.service.record(ended(spec, Outcome.HANDED_BACK, ReasonCode.HANDED_BACK, "No.", needs=NEW_DOTNET))

    status = await yard.views.build(build)
    assert (status.status, status.reason_code) == ("Failed", "tool_missing")


async def test_a_cancelled_build_is_not_handed_on(yard: Yard) -> None:
    await join(yard, tools=NEW)
    build = await submit(yard, NEW_DOTNET)
    spec = await claim(yard)
    assert spec is not None
    await yard.service.cancel(build, requester="me")

    await yard.service.record(ended(spec, Outcome.HANDED_BACK, ReasonCode.HANDED_BACK, "No.", needs=NEW_DOTNET))

    assert (await yard.views.build(build)).status == "Cancelled"


async def test_the_rows_of_a_batch_need_what_its_first_job_needed(yard: Yard) -> None:
    await join(yard, "linux-1-1", tools=OLD)
    await join(yard, "linux-2-1", tools=NEW)
    await submit(yard, NEW_DOTNET)
    spec = await claim(yard, "linux-2-1")
    assert spec is not None
    found = a_batch(2).model_copy(update={"rows_key": f"{spec.output_prefix}rows.jsonl"})
    await yard.service.record(finished(spec, found=found).model_copy(update={"agent": "linux-2-1"}))

    assert (await ask(yard, "linux-1-1")).verdict == "unsuited"
    assert (await ask(yard, "linux-2-1")).verdict == "job"


async def _grown_old(yard: Yard) -> None:
    async with yard.store.begin() as tx:
        await tx._db.execute(update(schema.jobs).values(ready_at=START))


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_build_that_no_agent_suits_for_too_long_fails_and_says_what_they_lack(
    yard: Yard, broker: Broker
) -> None:
    await join(yard, tools=OLD)
    build, plain = await submit(yard, NEW_DOTNET), await submit(yard)
    sweeping = sweeper(yard, broker)
    await sweeping._end_unsuited()
    assert (await yard.views.build(build)).status == "Queued"
    await _grown_old(yard)

    await sweeping._end_unsuited()

    status = await yard.views.build(build)
    assert (status.status, status.reason_code) == ("Failed", "no_agent")
    assert status.reason.endswith("No agent of the pool linux has dotnet >=8 (linux-1-1 has 3.1.102).")
    assert (await yard.views.build(plain)).status == "Queued"


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_build_waits_on_while_a_suited_agent_is_busy_or_its_pool_is_paused(yard: Yard, broker: Broker) -> None:
    await join(yard, "linux-1-1", tools=NEW)
    await submit(yard)
    assert await claim(yard, "linux-1-1")
    build, other = await submit(yard, NEW_DOTNET), await submit(yard, Needs(tools={"go": ""}))
    await yard.service.set_intake("linux", paused=True, reason="maintenance", requester="me")
    await _grown_old(yard)

    await sweeper(yard, broker)._end_unsuited()
    assert (await yard.views.build(other)).status == "Queued"
    await yard.service.set_intake("linux", paused=False, reason="", requester="me")
    await sweeper(yard, broker)._end_unsuited()

    assert (await yard.views.build(build)).status == "Queued"


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_jobs_that_nobody_suits_get_no_tickets_anew(yard: Yard, broker: Broker) -> None:
    await join(yard, tools=OLD)
    await submit(yard, NEW_DOTNET)
    sweeping = sweeper(yard, broker)
    async with yard.store.begin() as tx:  # they were published, and went as surplus
        await tx.drop_tickets([ticket.ticket_id for ticket in yard.caught.tickets])
    yard.caught.tickets.clear()

    for _ in range(3):
        await sweeping._reissue("linux")
    assert yard.caught.tickets == []
    await join(yard, "linux-2-1", tools=NEW)
    for _ in range(3):
        await sweeping._reissue("linux")

    assert len(yard.caught.tickets) == 1
    assert (await broker.depth(jobs("linux"))).ready == 0
    async with yard.store.read() as queries:
        assert len(await queries.open_builds([BuildState.QUEUED])) == 1
