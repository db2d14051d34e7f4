"""Counts that are too dear to be made anew each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from orchestrator.store.queries import Queries

_SETTLED_AFTER = timedelta(minutes=2)
"""By when every transaction that ended a build is committed or gone."""
_RECOUNTED_AFTER = timedelta(minutes=10)
_LEARNED_AFTER = timedelta(seconds=30)


class EndedTally:
    """How many builds ended each way: now and then all are counted, since old ones go, else those that ended since."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._until: datetime | None = None
        self._from: datetime | None = None

    async def count(self, queries: Queries) -> Counter[str]:
        """By state. Builds that ended a moment ago are counted anew each time: their commits may still come."""
        until = await queries.now() - _SETTLED_AFTER
        if self._from is None or abs(until - self._from) > _RECOUNTED_AFTER:
            self._counts, self._until, self._from = Counter(), None, until
        if self._until is None or until > self._until:
            fresh = await queries.ended_by_state(self._until, until)
            self._counts, self._until = self._counts + Counter(fresh), until
        return self._counts + Counter(await queries.ended_by_state(self._until, None))


class JobTimes:
    """What a job of each pool takes, learned anew every 30 s at most; while nothing new ends in a pool, as before."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._asked_at: datetime | None = None

    async def usual(self, queries: Queries) -> Mapping[str, float]:
        """Seconds by pool; a pool in which no job has ended has none."""
        now = await queries.now()
        if self._asked_at is None or abs(now - self._asked_at) >= _LEARNED_AFTER:
            self._asked_at = now
            self._seconds |= await queries.past.usual_job_seconds()
        return self._seconds
