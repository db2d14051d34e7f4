"""The way of a job through the store: what a claim or a report reads, and what comes of it.

Every job pays for these, so they are few, each is put together once, and nothing is written that did not change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Row, ScalarSelect, Select, Table, and_, bindparam, func, insert, select, true, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from buildyard.clock import Clock
from buildyard.contracts.builds import JobKind, JobState, Priority
from orchestrator.domain.changing import PoolChange
from orchestrator.domain.records import Agent, Attempt, Build, Job, JobCounts
from orchestrator.domain.retention import Kept
from orchestrator.store import codec
from orchestrator.store import schema as t
from orchestrator.store.removing import Removing
from orchestrator.store.tombstones import why_not_there

_NOW = func.clock_timestamp().label("store_now")
MOST_NEEDS = 50
"""A claim looks at jobs of so many different needs at most: a query has so many parts, and no more."""
_OPEN = (JobState.WAITING.value, JobState.READY.value, JobState.RUNNING.value)


@dataclass(frozen=True)
class Claimant:
    """Who claims: the agent, the attempt that the same claim began before, and how its pool's intake stands."""

    agent: Agent
    again: Attempt | None
    pool_change: PoolChange | None


class Attempts(Removing):
    """The part of a transaction that follows jobs."""

    def __init__(self, connection: AsyncConnection, clock: Clock) -> None:
        super().__init__(connection, clock)
        self._held: dict[str, Build] = {}

    @property
    def held_build(self) -> str | None:
        """A build that this transaction holds; None while it holds none."""
        return next(iter(self._held), None)

    # ------------------------------------------------------------------ reading what a decision needs

    async def lock_build(self, build_id: str) -> Build:
        """The build, held against other transactions until this one ends.

        Raises:
            NotFound: there is no such build, or it is being removed.
        """
        if build_id not in self._held:
            await self._hold(_LOCK_ONE, {"build": build_id})
        if build_id not in self._held:
            raise await why_not_there(self._db, "build", build_id, "`GET /api/v1/builds` lists them.")
        return self._held[build_id]

    async def lock_builds(self, build_ids: Collection[str]) -> frozenset[str]:
        """Hold those of several builds that nobody else holds, and tell which: of the others nothing may be asked.

        A transaction that holds something has its place in the line of all events, so it must not wait: what it told
        after the wait would stand before what was told meanwhile. And who waits for nobody is in no ring.
        """
        if len(build_ids) <= 1:  # one alone is held when it is first asked for: who holds nothing may wait
            return frozenset(build_ids)
        return await self._hold(_LOCK_MANY, {"builds": list(build_ids)})

    async def lock_line_of_retries(self, build_id: str) -> None:
        """Hold a build and all those that it is a retry of, in the order of their ids: none is removed meanwhile."""
        await self._hold(_LOCK_LINE, {"build": build_id})

    async def job(self, job_id: str) -> Job | None:
        """A job by id."""
        row = (await self._db.execute(_JOB, {"job": job_id})).mappings().first()
        return codec.job_from(row) if row else None

    async def attempt(self, job_id: str, number: int) -> Attempt | None:
        """An attempt by its fencing token."""
        row = (await self._db.execute(_ATTEMPT, {"job": job_id, "number": number})).mappings().first()
        return codec.attempt_from(row) if row else None

    async def attempt_and_job(self, job_id: str, number: int) -> tuple[Attempt, Job] | None:
        """An attempt by its fencing token, and its job. Hold the build before, else both may be old already."""
        row = (await self._db.execute(_ATTEMPT_AND_JOB, {"job": job_id, "number": number})).first()
        if row is None:
            return None
        return codec.attempt_from(_record(row, t.attempts)), codec.job_from(_record(row, t.jobs, len(t.attempts.c)))

    async def live_attempts(self, build_id: str) -> tuple[Attempt, ...]:
        """The attempts of a build that have not ended."""
        where = and_(t.attempts.c.build_id == build_id, t.attempts.c.ended_at.is_(None))
        rows = (await self._db.execute(select(t.attempts).where(where))).mappings()
        return tuple(codec.attempt_from(row) for row in rows)

    async def counts_beside(self, job: Job, max_attempts: int) -> JobCounts:
        """The other jobs of the job's build; `max_attempts` is from when on a job is given up.

        Of open and running jobs one at most is counted: whether there is any is all that is asked.
        """
        asked = {"build": job.build_id, "job": job.id, "most": max_attempts}
        open_rows, running, given_up = (await self._db.execute(_COUNTS_BESIDE, asked)).one()
        return JobCounts(open_rows=int(open_rows), running=int(running), given_up=int(given_up))

    async def claimant(self, agent: str, pool: str, claim_id: str) -> Claimant | None:
        """An agent that claims; None when nobody knows it."""
        asked = {"agent": agent, "pool": pool, "claim": claim_id}
        row = await self._first(_CLAIMANT, asked)
        if row is None:
            return None
        agents, attempts = len(t.agents.c), len(t.attempts.c)
        change, again = _record(row, t.pool_changes, agents + attempts), _record(row, t.attempts, agents)
        return Claimant(
            agent=codec.agent_from(_record(row, t.agents)),
            again=None if again["job_id"] is None else codec.attempt_from(again),
            pool_change=None if change["seq"] is None else PoolChange(**change),
        )

    async def best_ready(
        self, pool: str, needs: Sequence[str] = ("",), *, of_build: str | None = None
    ) -> tuple[Build, Job] | None:
        """The pool's best ready job among those with these needs, priority first, then age, and its build: both held.

        `needs` are texts of `Needs.text`, at most MOST_NEEDS. `of_build`: None also when the best job is of another
        build. Somebody else may have taken the job while it was waited for: look at its state.
        """
        asked = {"pool": pool, **{f"needs{number}": text for number, text in enumerate(needs)}}
        if of_build is None:
            row = (await self._db.execute(_best(len(needs)), asked)).first()
        else:
            row = (await self._db.execute(_best_of_build(len(needs)), {**asked, "build": of_build})).first()
        if row is None:
            return None
        build = codec.build_from(_record(row, t.builds))
        self._held[build.id] = build
        return build, codec.job_from(_record(row, t.jobs, len(t.builds.c)))

    # ------------------------------------------------------------------ writing what it decided

    async def _save_build(self, build: Build) -> None:
        """Write what is not in the store yet."""
        values, before = codec.build_state(build), self._held.get(build.id)
        if before is not None:
            stored = codec.build_state(before)
            values = {name: value for name, value in values.items() if value != stored[name]}
        if values:
            await self._db.execute(_SAVE_BUILD, {"which": build.id, **values})
        self._held[build.id] = build

    async def _save_job(self, job: Job) -> None:
        await self._db.execute(_SAVE_JOB, {"which": job.id, **codec.job_state(job)})

    async def _save_attempt(self, attempt: Attempt) -> None:
        """Begin an attempt that is live, or end one that is over."""
        values = codec.attempt_values(attempt)
        if attempt.ended_at is None:
            await self._db.execute(_BEGIN_ATTEMPT, values)
            return
        changed = {name: values[name] for name in _ENDS}
        await self._db.execute(_END_ATTEMPT, {"which": attempt.job_id, "which_number": attempt.number, **changed})

    # ------------------------------------------------------------------ inside

    async def _hold(self, query: Select[Any], asked: Mapping[str, Any]) -> frozenset[str]:
        found = [codec.build_from(_record(row, t.builds)) for row in await self._db.execute(query, dict(asked))]
        self._held |= {build.id: build for build in found if build.kept is not Kept.NOTHING}
        return frozenset(build.id for build in found)

    async def _first(self, query: Mapping[str, Select[Any]], asked: Mapping[str, Any]) -> Row[Any] | None:
        return next(iter(await self._asked(query, asked)), None)

    async def _asked(self, query: Mapping[str, Select[Any]], asked: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """The rows, and with them the store's time where it has a clock of its own.

        Not for queries that wait for others' transactions: what they tell is the time before the wait.
        """
        rows: Sequence[Row[Any]] = (await self._db.execute(query[self._db.dialect.name], dict(asked))).all()
        if rows and self._own_clock:
            self._note_time(rows[0][-1])
        return rows


def _record(row: Row[Any], table: Table, begin: int = 0) -> dict[str, Any]:
    """The part of a row that is a record of a table."""
    return dict(zip(table.c.keys(), row[begin : begin + len(table.c)], strict=True))


def _with_time(query: Select[Any]) -> Mapping[str, Select[Any]]:
    """A query for each kind of store: PostgreSQL tells its time on the same way."""
    return {"sqlite": query, "postgresql": query.add_columns(_NOW)}


def _next_job(kinds: int) -> ScalarSelect[str]:
    """The id of the pool's best ready job: the oldest of each need and priority by the index, the best of these few."""
    oldest = [
        select(t.jobs.c.id, t.jobs.c.priority, t.jobs.c.ready_at)
        .where(
            t.READY,
            t.jobs.c.needs == bindparam(f"needs{number}"),
            t.jobs.c.pool == bindparam("pool"),
            t.jobs.c.priority == priority.rank,
        )
        .order_by(t.jobs.c.ready_at, t.jobs.c.id)
        .limit(1)
        .subquery()
        for number in range(kinds)
        for priority in Priority
    ]
    few = union_all(*(select(one) for one in oldest)).subquery()
    best = select(few.c.id).order_by(few.c.priority.desc(), few.c.ready_at, few.c.id)
    return best.limit(1).scalar_subquery()


@cache
def _best(kinds: int) -> Select[Any]:
    """The best ready job of so many different needs, with its build, both held."""
    return (
        select(t.builds, t.jobs)
        .join(t.jobs, t.jobs.c.build_id == t.builds.c.id)
        .where(t.jobs.c.id == _next_job(kinds))
        .with_for_update(of=[t.builds, t.jobs])
    )


@cache
def _best_of_build(kinds: int) -> Select[Any]:
    return _best(kinds).where(t.builds.c.id == bindparam("build"))


def _counts_beside() -> Select[Any]:
    others = and_(t.jobs.c.build_id == bindparam("build"), t.jobs.c.id != bindparam("job"))
    rows = and_(others, t.jobs.c.kind == JobKind.ROWS.value)
    spent = t.jobs.c.crashes + t.jobs.c.failures >= bindparam("most")
    found = [
        select(t.jobs.c.id).where(rows, t.jobs.c.state.in_(_OPEN)).limit(1),  # a batch has thousands, and all ask
        select(t.jobs.c.id).where(others, t.jobs.c.state == JobState.RUNNING.value).limit(1),
        select(t.jobs.c.id).where(rows, t.jobs.c.state == JobState.FAILED.value, spent),
    ]
    return select(*(select(func.count()).select_from(one.subquery()).scalar_subquery() for one in found))


def _line_of_retries() -> Select[Any]:
    """The ids of a build, of the one that it is a retry of, of the one that that is a retry of, and so on."""
    first = select(t.builds.c.id, t.builds.c.retry_of).where(t.builds.c.id == bindparam("build")).cte(recursive=True)
    before = t.builds.alias("before")
    line = first.union(select(before.c.id, before.c.retry_of).where(before.c.id == first.c.retry_of))
    return select(line.c.id)


def _claimant() -> Select[Any]:
    changes = t.pool_changes.c
    newest = (
        select(t.pool_changes).where(changes.pool == bindparam("pool")).order_by(changes.seq.desc()).limit(1).subquery()
    )
    joined = t.agents.outerjoin(t.attempts, t.attempts.c.claim_id == bindparam("claim")).outerjoin(newest, true())
    agent = t.agents.c.name == bindparam("agent")
    return select(t.agents, t.attempts, newest).select_from(joined).where(agent)


_ENDS = ("lease_until", "ended_at", "outcome", "reason_code", "reason")
_JOB = select(t.jobs).where(t.jobs.c.id == bindparam("job"))
_ATTEMPT = select(t.attempts).where(t.attempts.c.job_id == bindparam("job"), t.attempts.c.number == bindparam("number"))
_ATTEMPT_AND_JOB = (
    select(t.attempts, t.jobs)
    .join(t.jobs, t.jobs.c.id == t.attempts.c.job_id)
    .where(t.attempts.c.job_id == bindparam("job"), t.attempts.c.number == bindparam("number"))
)
_COUNTS_BESIDE = _counts_beside()
_LOCK_ONE = select(t.builds).where(t.builds.c.id == bindparam("build")).with_for_update()
_LOCK_MANY = (
    select(t.builds)
    .where(t.builds.c.id.in_(bindparam("builds", expanding=True)))
    .order_by(t.builds.c.id)
    .with_for_update(skip_locked=True)
)
_LOCK_LINE = select(t.builds).where(t.builds.c.id.in_(_line_of_retries())).order_by(t.builds.c.id).with_for_update()
_CLAIMANT = _with_time(_claimant())
_BEGIN_ATTEMPT = insert(t.attempts)
_END_ATTEMPT = update(t.attempts).where(
    t.attempts.c.job_id == bindparam("which"), t.attempts.c.number == bindparam("which_number")
)
_SAVE_JOB = update(t.jobs).where(t.jobs.c.id == bindparam("which"))
_SAVE_BUILD = update(t.builds).where(t.builds.c.id == bindparam("which"))
