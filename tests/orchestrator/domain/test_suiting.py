"""Which jobs suit an agent, and which suit none: a job is never both handed out and called unserved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.agents import Capabilities
from buildyard.contracts.needs import Needs
from orchestrator.domain.records import Agent
from orchestrator.domain.suiting import ReadyJobs, suited, unserved, why_not, why_unsuited
from tests.orchestrator.world import START, an_agent

NEEDS = st.sampled_from(
    ["", *(Needs(tools={tool: f">={major}"}).text() for tool in ("dotnet", "go") for major in (1, 3, 8))]
)
TOOLS = st.dictionaries(st.sampled_from(["dotnet", "go"]), st.sampled_from(["1.2", "3.1", "8.0", ""]))
AGENTS = st.lists(TOOLS.map(lambda tools: replace(an_agent(), capabilities=Capabilities(tools=tools))), max_size=4)
READY = st.dictionaries(
    NEEDS, st.builds(ReadyJobs, st.integers(1, 9), st.integers(0, 99).map(lambda s: START + timedelta(seconds=s)))
)


@given(READY, AGENTS)
def test_a_ready_job_suits_an_agent_or_is_unserved_with_a_reason(
    ready: dict[str, ReadyJobs], agents: list[Agent]
) -> None:
    found = unserved("linux", ready, agents)
    takers = [suited(ready, agent.capabilities, 50) for agent in agents]
    nobodys = {text for text in ready if text and agents and not any(text in one for one in takers)}

    assert found.count == sum(ready[text].count for text in nobodys)
    assert len(found.reasons) == len(nobodys)
    assert all(reason.startswith("No agent of the pool linux has ") for reason in found.reasons)
    oldest = [jobs.oldest_ready_at for text, jobs in ready.items() if text not in nobodys]
    assert found.oldest_served == min(oldest, default=None)


@given(READY, TOOLS, st.integers(1, 9))
def test_an_agent_asks_for_what_needs_nothing_first_then_by_age_and_for_no_more_than_it_may(
    ready: dict[str, ReadyJobs], tools: dict[str, str], most: int
) -> None:
    found = suited(ready, Capabilities(tools=tools), most)

    assert found[0] == ""
    assert len(found) == len(set(found)) <= most
    assert set(found[1:]) <= ready.keys()
    ages = [ready[text].oldest_ready_at for text in found[1:]]
    assert ages == sorted(ages)
    left_out = set(suited(ready, Capabilities(tools=tools), 99)) - set(found)
    assert all(ready[text].oldest_ready_at >= ages[-1] for text in left_out if ages)


def test_reasons_name_the_agent_that_lacks_least() -> None:
    needs = Needs(tools={"dotnet": ">=8", "go": ""}).text()
    poor, rich = an_agent(), replace(an_agent("linux-2-1"), capabilities=Capabilities(tools={"go": "1.22"}))

    assert why_unsuited("linux", needs, [poor, rich]) == (
        "No agent of the pool linux has dotnet >=8 (linux-2-1 has none)."
    )
    assert why_unsuited("linux", needs, []) == "The build needs dotnet >=8 and go, and the pool linux has no agent now."
    assert why_unsuited("linux", "", [poor]) == ""
    assert why_not(needs, rich) == "The pool's next job needs dotnet >=8 (linux-2-1 has none)."
    assert why_not("", rich) == "Another agent was quicker."
