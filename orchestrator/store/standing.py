"""Statements that a farm at rest asks again and again: each is put together once, which costs more than to run it."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from buildyard.contracts.builds import JobState
from orchestrator.store import schema as t

AGENTS = (
    select(t.agents)
    .where(t.agents.c.seen_at >= bindparam("seen_since", type_=t.agents.c.seen_at.type))
    .order_by(t.agents.c.joined_at.desc(), t.agents.c.name)
)
SLOTS = select(t.slots)
SEEN_AT = select(t.agents.c.pool, func.max(t.agents.c.seen_at)).group_by(t.agents.c.pool)
POOL_CHANGES = select(t.pool_changes).where(
    t.pool_changes.c.seq.in_(select(func.max(t.pool_changes.c.seq)).group_by(t.pool_changes.c.pool))
)
REFUSALS = select(t.refusals)
LIVE_ATTEMPTS = select(t.attempts).where(t.attempts.c.ended_at.is_(None))
POOL_COUNTS = (
    select(t.jobs.c.pool, t.jobs.c.state, func.count(), func.min(t.jobs.c.ready_at))
    .where(t.jobs.c.state.in_([JobState.READY.value, JobState.WAITING.value, JobState.RUNNING.value]))
    .group_by(t.jobs.c.pool, t.jobs.c.state)
)
BACKING_OFF = (
    select(t.jobs)
    .where(t.jobs.c.state == JobState.WAITING.value, t.jobs.c.not_before.is_not(None))
    .order_by(t.jobs.c.not_before)
    .limit(bindparam("at_most"))
)
