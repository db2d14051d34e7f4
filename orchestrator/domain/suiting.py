"""Which jobs an agent may take by what it has, and which of a pool's jobs none of its agents can take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from buildyard.contracts.agents import Capabilities
from buildyard.contracts.needs import Needs, wanted
from buildyard.contracts.suiting import unmet
from orchestrator.domain.records import Agent

_MOST_REASONS = 20


@dataclass(frozen=True)
class ReadyJobs:
    """Ready jobs that need the same: how many, and since when the oldest is ready."""

    count: int
    oldest_ready_at: datetime


@dataclass(frozen=True)
class Unserved:
    """Ready jobs of a pool that none of its agents suits, with the reason in a sentence for each need."""

    count: int = 0
    oldest_served: datetime | None = None
    """Since when the oldest of the other ready jobs is ready; None where there are none."""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class NeedsOfPool:
    """What the ready jobs of a pool need, and the agents that may have it.

    Args:
        ready: ready jobs by needs.
        here: agents that are there and take jobs.
        known: those, and all others that were heard of lately.
    """

    ready: Mapping[str, ReadyJobs]
    here: tuple[Agent, ...]
    known: tuple[Agent, ...]

    @property
    def takers(self) -> tuple[Agent, ...]:
        """The agents whose jobs they would be. Where none is there, those that were stand for the next."""
        return self.here or self.known


def suited(needs: Mapping[str, ReadyJobs], capabilities: Capabilities, most: int) -> tuple[str, ...]:
    """Those of these needs that an agent meets, the empty ones first, then by who waits longest; `most` in all."""
    by_age = sorted(needs, key=lambda text: (needs[text].oldest_ready_at, text))
    met = [text for text in by_age if text and meets(capabilities, text)]
    return ("", *met[: most - 1])


def unserved(pool: str, ready: Mapping[str, ReadyJobs], agents: Sequence[Agent]) -> Unserved:
    """The ready jobs of a pool that have to wait for another agent than those it has.

    `ready` is by needs; `agents` are those that are there and take jobs. Where there is none, the next may suit any:
    then nothing is unserved.
    """
    if not agents:
        return Unserved(oldest_served=min((jobs.oldest_ready_at for jobs in ready.values()), default=None))
    lost = {text for text in ready if not any(meets(agent.capabilities, text) for agent in agents)}
    served = [jobs.oldest_ready_at for text, jobs in ready.items() if text not in lost]
    return Unserved(
        count=sum(ready[text].count for text in lost),
        oldest_served=min(served, default=None),
        reasons=tuple(why_unsuited(pool, text, agents) for text in sorted(lost)[:_MOST_REASONS]),
    )


def why_not(needs: str, agent: Agent) -> str:
    """Why one agent gets no job though one is ready, as a sentence; `needs` are those of the pool's best job."""
    lacks = unmet(_read(needs), agent.capabilities, agent.name) if needs else ()
    return f"The pool's next job needs {' and '.join(lacks)}." if lacks else "Another agent was quicker."


def why_unsuited(pool: str, needs: str, agents: Sequence[Agent]) -> str:
    """Why no agent of a pool takes a job, as a sentence; empty when one suits it, or it needs nothing."""
    if not needs:
        return ""
    asked = _read(needs)
    if not agents:
        return f"The build needs {wanted(asked)}, and the pool {pool} has no agent now."
    lacks = min((unmet(asked, agent.capabilities, agent.name) for agent in agents), key=len)
    return f"No agent of the pool {pool} has {' and '.join(lacks)}." if lacks else ""


def meets(capabilities: Capabilities, needs: str) -> bool:
    """Whether an agent with these capabilities has what is needed; empty needs suit any."""
    return not needs or not unmet(_read(needs), capabilities)


def never_met(declared: Capabilities, needs: str) -> bool:
    """Whether no agent that may join a pool with these declared capabilities can have what is needed."""
    if not needs:
        return False
    asked = _read(needs)
    pairs = ((asked.os, declared.os), (asked.arch, declared.arch))
    return any(want and have and want != have.lower() for want, have in pairs)


def in_words(needs: str) -> str:
    """What is needed, in words."""
    return wanted(_read(needs)) if needs else "nothing"


@lru_cache(maxsize=4096)
def _read(text: str) -> Needs:
    return Needs.model_validate_json(text)
