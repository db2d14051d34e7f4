"""The past that estimates are learned from, and what runs now. Every question reads a bounded number of rows."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from statistics import fmean, median

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from buildyard.contracts.builds import BuildState, JobKind, Outcome
from orchestrator.domain.estimating import Success
from orchestrator.store import schema as t

_BUILDS = 20
_ATTEMPTS = 200
_RUNNING = 1000
_ATTEMPTS_LOOKED_THROUGH = 500
_JOBS_OF_A_POOL = 50
_OWN_END = [Outcome.SUCCEEDED.value, Outcome.FAILED.value, Outcome.TIMED_OUT.value]


@dataclass(frozen=True)
class Running:
    """A job that an agent has in hand."""

    pool: str
    project: str
    whole_build: bool
    """Whether it is the whole of its build, rather than a part of a batch."""
    started_at: datetime


class PastReader:
    """Questions about what was built."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._db = connection

    async def successes(self, project: str | None) -> tuple[Success, ...]:
        """The newest builds that succeeded, of a project or of all, newest first."""
        b = t.builds.c
        query = select(b.started_at, b.ended_at, b.toolchain, b.properties, b.rows_total)
        query = query.where(b.state == BuildState.SUCCEEDED.value)
        if project is not None:
            query = query.where(b.project == project)
        rows = await self._db.execute(query.order_by(b.id.desc()).limit(_BUILDS))
        return tuple(
            Success((end - start).total_seconds(), toolchain, _configuration(properties), rows_total)
            for start, end, toolchain, properties, rows_total in rows
            if start and end
        )

    async def job_seconds(self) -> dict[str, float]:
        """How long an agent of each pool has a job, on average of the newest attempts that ended."""
        a = t.attempts.c
        newest = select(a.job_id, a.started_at, a.ended_at).where(a.ended_at.is_not(None))
        newest_few = newest.order_by(a.ended_at.desc()).limit(_ATTEMPTS).subquery()
        query = select(t.jobs.c.pool, newest_few.c.started_at, newest_few.c.ended_at)
        taken: defaultdict[str, list[float]] = defaultdict(list)
        for pool, start, end in await self._db.execute(query.join(newest_few, newest_few.c.job_id == t.jobs.c.id)):
            taken[pool].append((end - start).total_seconds())
        return {pool: fmean(seconds) for pool, seconds in taken.items()}

    async def usual_job_seconds(self) -> dict[str, float]:
        """What a job of each pool takes, of batches too: the median of the newest 50 that came to an end of their own.

        A pool of which none is among the newest 500 attempts of the farm is left out.
        """
        a = t.attempts.c
        newest = select(a.job_id, a.started_at, a.ended_at, a.outcome).where(a.ended_at.is_not(None))
        newest_few = newest.order_by(a.ended_at.desc()).limit(_ATTEMPTS_LOOKED_THROUGH).subquery()
        found = newest_few.c
        query = select(t.jobs.c.pool, found.started_at, found.ended_at).join(newest_few, found.job_id == t.jobs.c.id)
        query = query.where(found.outcome.in_(_OWN_END)).order_by(found.ended_at.desc())
        taken: defaultdict[str, list[float]] = defaultdict(list)
        for pool, start, end in await self._db.execute(query):
            taken[pool].append((end - start).total_seconds())
        return {pool: median(islice(seconds, _JOBS_OF_A_POOL)) for pool, seconds in taken.items()}

    async def running(self) -> tuple[Running, ...]:
        """The jobs that agents have in hand, as far as they are not more than a thousand."""
        query = select(t.jobs.c.pool, t.builds.c.project, t.jobs.c.kind, t.attempts.c.started_at)
        query = query.join(t.jobs, t.jobs.c.id == t.attempts.c.job_id)
        query = query.join(t.builds, t.builds.c.id == t.attempts.c.build_id)
        rows = await self._db.execute(query.where(t.attempts.c.ended_at.is_(None)).limit(_RUNNING))
        return tuple(Running(pool, project, kind == JobKind.BUILD.value, at) for pool, project, kind, at in rows)


def _configuration(properties: str) -> str:
    """The configuration of a build's properties, which are kept as JSON."""
    return str(json.loads(properties).get("configuration", ""))
