"""How long the workers of a pool take to join, learned from those that did; pure.

The executor says how old a worker is, the producer's registry when it joined and what time it was there when it was
asked: so no two clocks are compared. It is a fold over looks, and what it has forgotten, after a restart of the scaler
say, the workers that are present tell again.
"""

from __future__ import annotations

from typing import NamedTuple

from buildyard.contracts.agents import AgentState
from buildyard.contracts.scaling import LearnedStart
from scaler.readings import Seen

LEARNED_STARTS = 20
"""So many of the newest workers count: machines and images change."""


class Joined(NamedTuple):
    """A worker that joined: its name, what it took, and when it was first seen to have joined, monotonic."""

    name: str
    seconds: float
    at: float


def joined(previous: tuple[Joined, ...], pool: str, seen: Seen, now: float) -> tuple[Joined, ...]:
    """Those of a pool known before and those that joined since, the newest last; `LEARNED_STARTS` at most.

    `previous` is what the look before came to, `now` is monotonic. Where a part did not answer, nothing is learned.
    """
    pools, agents, workers = seen.pools.value, seen.agents.value, seen.workers.value
    if pools is None or agents is None or workers is None:
        return previous
    known = {one.name for one in previous}
    joined_at = {agent.name: agent.joined_at for agent in agents.agents if AgentState(agent.state.lower()).present}
    found = [
        Joined(info.name, max(0.0, info.age_seconds - (pools.at - joined_at[info.name]).total_seconds()), now)
        for info in workers
        if info.pool == pool and info.name in joined_at and info.name not in known
    ]
    return (*previous, *sorted(found))[-LEARNED_STARTS:]


def learned_start(starts: tuple[Joined, ...], now: float) -> LearnedStart | None:
    """The median of what they took; None without any."""
    if not starts:
        return None
    seconds = sorted(one.seconds for one in starts)
    age = max(0.0, now - max(one.at for one in starts))
    return LearnedStart(seconds=round(seconds[len(seconds) // 2], 3), workers=len(starts), age_seconds=round(age, 3))
