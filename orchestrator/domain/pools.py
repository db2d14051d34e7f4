"""A pool as it is counted and shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from buildyard.contracts.agents import AgentState
from buildyard.contracts.api import PoolView
from buildyard.contracts.scaling import PoolSuiting
from orchestrator.domain.changing import PoolChange
from orchestrator.domain.showing import show_intake
from orchestrator.domain.suiting import Unserved


@dataclass(frozen=True)
class PoolCounts:
    """What a pool's jobs are doing."""

    ready: int = 0
    waiting: int = 0
    leases: int = 0
    oldest_ready_at: datetime | None = None

    def without(self, unserved: Unserved | None) -> PoolCounts:
        """The same, with jobs that none of the pool's agents suits among those that wait: nobody starts for them."""
        if unserved is None:
            return self
        count = min(unserved.count, self.ready)
        return PoolCounts(self.ready - count, self.waiting + count, self.leases, unserved.oldest_served)


def show_pool(
    name: str,
    counts: PoolCounts,
    unserved: Unserved | None,
    suiting: PoolSuiting | None,
    agents: list[AgentState],
    generations: dict[int, int],
    change: PoolChange | None,
    now: datetime,
) -> PoolView:
    """A pool as the API shows it; `agents` are the states of those present, `change` is of its intake."""
    counts = counts.without(unserved)
    states: dict[str, int] = {}
    for state in agents:
        states[state.wire] = states.get(state.wire, 0) + 1
    intake = show_intake(change)
    ready, oldest = (0, None) if intake.paused else (counts.ready, counts.oldest_ready_at)
    return PoolView(
        name=name,
        ready=ready,
        waiting=counts.waiting + counts.ready - ready,
        leases=counts.leases,
        oldest_wait_seconds=max(0.0, (now - oldest).total_seconds()) if oldest else None,
        agents=states,
        generations=generations,
        unserved=unserved.reasons if unserved else (),
        suiting=None if intake.paused else suiting,
        intake=intake,
    )
