"""Who may join a pool, and why nobody did."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.agents import Capabilities
from buildyard.contracts.builds import ReasonCode
from orchestrator.domain.access import lacking, why_nobody
from orchestrator.domain.records import Refusal
from orchestrator.domain.sweeping import overdue
from tests.orchestrator.world import LIMITS, START, World

REFUSAL = Refusal("linux", "linux-1-1", "it lacks the tool xcode", START)


@given(st.none() | st.integers(-1000, 1000))
def test_a_refusal_explains_an_empty_pool_only_while_no_agent_was_seen_after_it(seen: int | None) -> None:
    seen_at = None if seen is None else START + timedelta(seconds=seen)

    why = why_nobody(REFUSAL, seen_at)

    assert bool(why) == (seen is None or seen <= 0)
    assert why_nobody(None, seen_at) == ""


def test_what_an_agent_lacks_is_named() -> None:
    declared = Capabilities(os="linux", cores=4, tools={"python": "3.11", "xcode": ""})
    present = Capabilities(os="Linux", cores=2, tools={"python": "3.9.1"})

    assert lacking(declared, present) == (
        "it has 2 cores where the pool declares 4; its python is 3.9.1, the pool declares 3.11; it lacks the tool xcode"
    )


def test_a_build_that_nobody_could_take_names_what_the_last_agent_lacked() -> None:
    for waited, code in ((601, ReasonCode.NO_AGENT), (86_401, ReasonCode.QUEUED_TOO_LONG)):
        world = World.admitted()
        world.wait(waited)

        step = overdue(world.build, None, LIMITS, world.now, why_nobody(REFUSAL, None))

        assert step is not None
        assert step.build.reason_code is code
        assert "pool linux" in step.build.reason
        assert step.build.reason.endswith(
            "linux-1-1 asked to join the pool linux and was refused: it lacks the tool xcode."
        )
