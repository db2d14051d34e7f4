"""What agents have worked off: how many jobs of each ended well, and how many did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from buildyard.contracts.agents import AgentView
from buildyard.contracts.builds import Outcome
from orchestrator.store import schema as t

_WELL = Outcome.SUCCEEDED.value
_NOT_WELL = frozenset({Outcome.FAILED.value, Outcome.TIMED_OUT.value, Outcome.REJECTED.value})
"""What went to another agent, or was cancelled, was not worked off by this one."""
_SETTLED_AFTER = timedelta(minutes=2)
"""By when every transaction that ended an attempt is committed or gone."""
_RECOUNTED_AFTER = timedelta(minutes=10)

Counts = Counter[tuple[str, str]]
"""(agent, outcome) -> attempts."""


class Worked:
    """Questions about ended attempts."""

    _db: AsyncConnection

    async def ended_by_agent(self, since: datetime, until: datetime | None) -> Counts:
        """How many attempts of each agent ended each way at or after `since` and before `until`; None is no bound."""
        a = t.attempts.c
        bounds: list[ColumnElement[bool]] = [a.ended_at >= since]
        if until is not None:
            bounds.append(a.ended_at < until)
        query = select(a.agent, a.outcome, func.count()).where(*bounds).group_by(a.agent, a.outcome)
        return Counter({(row[0], row[1]): row[2] for row in await self._db.execute(query)})


class AgentTally:
    """How many jobs each agent has worked off: now and then all are counted, since old ones go, else the newest.

    Args:
        kept: attempts that ended longer ago do not count.
    """

    def __init__(self, kept: timedelta) -> None:
        self._kept = kept
        self._counts: Counts = Counter()
        self._from: datetime | None = None
        self._until: datetime | None = None

    async def noted(self, queries: Worked, now: datetime, agents: Iterable[AgentView]) -> tuple[AgentView, ...]:
        """The agents with their counts."""
        counts = await self._count(queries, now)
        well: Counter[str] = Counter()
        badly: Counter[str] = Counter()
        for (agent, outcome), count in counts.items():
            (well if outcome == _WELL else badly)[agent] += count if outcome == _WELL or outcome in _NOT_WELL else 0
        return tuple(
            view.model_copy(update={"jobs_done": well[view.name], "jobs_failed": badly[view.name]}) for view in agents
        )

    async def _count(self, queries: Worked, now: datetime) -> Counts:
        """Attempts that ended a moment ago are counted anew each time: their commits may still come."""
        until = now - _SETTLED_AFTER
        known, begun, reached = self._counts, self._from, self._until
        if begun is None or reached is None or until < reached or until - begun > _RECOUNTED_AFTER:
            known, begun, reached = Counter(), until, now - self._kept
        settled = known + await queries.ended_by_agent(reached, until) if until > reached else known
        reached = max(until, reached)
        # All that was read belongs together: who counts at the same time counts for itself, and nothing twice.
        self._counts, self._from, self._until = settled, begun, reached
        return settled + await queries.ended_by_agent(reached, None)
