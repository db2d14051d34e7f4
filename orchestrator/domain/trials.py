"""Whether a worker that starts now may take jobs that nobody takes, by what the newest ones of its pool have; pure.

Nobody knows what a worker has before it joins: a tool may be installed by now, or the next machine be a larger one. So
a worker is tried for jobs that no agent suits, but not again and again: what the newest agents of a pool lack, the
next one most likely lacks too.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

from buildyard.contracts.agents import Capabilities
from buildyard.contracts.scaling import NeedsKind, PoolSuiting
from orchestrator.domain.records import Agent
from orchestrator.domain.suiting import NeedsOfPool, ReadyJobs, in_words, meets, never_met

TRIAL_AGAIN = timedelta(minutes=5)
"""An agent that lacks something speaks for the next ones of its pool for so long after it joined."""
MOST_TRIALS = 5
"""So many that joined within that time speak for all jobs, also for those that came after them."""
_MOST_KINDS = 20


def suiting(pool: NeedsOfPool, busy: Collection[str], declared: Capabilities, now: datetime) -> PoolSuiting:
    """Who suits which ready jobs of a pool.

    Args:
        pool: the needs of its ready jobs, and its agents.
        busy: names of agents that hold a job.
        declared: what each agent of the pool has at least.
        now: the store's time.
    """
    idle = [agent for agent in pool.here if agent.name not in busy]
    working = [agent for agent in pool.here if agent.name in busy]
    for_idle = held = on_trial = tried = 0
    kinds: list[NeedsKind] = []
    for text, jobs in sorted(pool.ready.items(), key=lambda kind: (kind[1].oldest_ready_at, kind[0])):
        kind = NeedsKind(
            needs=in_words(text),
            ready=jobs.count,
            idle=sum(meets(agent.capabilities, text) for agent in idle),
            busy=sum(meets(agent.capabilities, text) for agent in working),
            next=next_worker(text, jobs, pool.known, declared, now),
        )
        kinds.append(kind)
        if kind.idle:
            for_idle += jobs.count
        elif not pool.takers or any(meets(agent.capabilities, text) for agent in pool.takers):
            held += jobs.count if kind.next == "tried" else 0
        elif kind.next == "tried":
            tried += jobs.count
        else:
            on_trial += jobs.count
    return PoolSuiting(
        ready_for_idle=for_idle,
        idle=len(idle),
        idle_for_ready=sum(any(meets(agent.capabilities, text) for text in pool.ready) for agent in idle),
        held=held,
        on_trial=on_trial,
        tried=tried,
        kinds=tuple(kinds[:_MOST_KINDS]),
    )


def next_worker(
    needs: str, jobs: ReadyJobs, known: Collection[Agent], declared: Capabilities, now: datetime
) -> Literal["suits", "trial", "tried"]:
    """What a worker that starts now would be to these jobs.

    It suits them where the pool declares what they need, or the newest agent has it. Else it is worth a trial, unless
    the declared system or processor is another one, or agents that lack it joined within `TRIAL_AGAIN`: one since the
    jobs are ready, or `MOST_TRIALS` at all.
    """
    newest = max(known, key=lambda agent: (agent.joined_at, agent.name), default=None)
    if meets(declared, needs) or (newest is not None and meets(newest.capabilities, needs)):
        return "suits"
    if never_met(declared, needs):
        return "tried"
    lately = [
        agent.joined_at
        for agent in known
        if now - agent.joined_at < TRIAL_AGAIN and not meets(agent.capabilities, needs)
    ]
    since = any(joined_at >= jobs.oldest_ready_at for joined_at in lately)
    return "tried" if since or len(lately) >= MOST_TRIALS else "trial"
