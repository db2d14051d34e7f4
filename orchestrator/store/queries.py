"""The reading side: what the API shows and what the sweeper looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from buildyard.clock import Clock
from buildyard.contracts.builds import BuildState, JobState, ReasonCode, RowResult
from buildyard.contracts.events import BuildEvent
from buildyard.errors import NotFound
from orchestrator.domain.changing import PoolChange
from orchestrator.domain.pools import PoolCounts
from orchestrator.domain.records import (
    Agent,
    Attempt,
    Build,
    DeadLetter,
    Job,
    LogSegment,
    Refusal,
    StoredArtifact,
    StoredStage,
)
from orchestrator.store import codec, standing
from orchestrator.store import schema as t
from orchestrator.store.annotations import Annotated
from orchestrator.store.by_needs import ByNeeds
from orchestrator.store.diagnosed import STAGE_COLUMNS, Diagnosed
from orchestrator.store.facts import store_time
from orchestrator.store.line import LineReader
from orchestrator.store.past import PastReader
from orchestrator.store.tombstones import SHOWN, not_removed, why_not_there
from orchestrator.store.worked import Worked

_OPEN = [state.value for state in BuildState if not state.terminal]


@dataclass(frozen=True)
class BuildFilter:
    """Which builds a list wants; `before` is the id the page begins below, newest first."""

    state: BuildState | None = None
    project: str | None = None
    pool: str | None = None
    before: str | None = None
    limit: int = 50


@dataclass(frozen=True)
class DeadFilter:
    """Which dead letters a list wants; `before` is the build's id the page begins below, newest first."""

    project: str | None = None
    pool: str | None = None
    code: ReasonCode | None = None
    since: datetime | None = None
    before: str | None = None
    settled_too: bool = False
    limit: int = 50


class Queries(Annotated, Diagnosed, Worked, ByNeeds):
    """Read-only questions on one consistent view."""

    def __init__(self, connection: AsyncConnection, clock: Clock) -> None:
        self._db = connection
        self._clock = clock

    @property
    def line(self) -> LineReader:
        """The events of all builds in their one order."""
        return LineReader(self._db)

    @property
    def past(self) -> PastReader:
        """What estimates are learned from."""
        return PastReader(self._db)

    async def now(self) -> datetime:
        """The store's time."""
        return await store_time(self._db, self._clock)

    async def build(self, build_id: str) -> Build:
        """One build.

        Raises:
            NotFound: there is no such build.
        """
        row = (await self._db.execute(select(t.builds).where(t.builds.c.id == build_id, SHOWN))).mappings().first()
        if row is None:
            raise await why_not_there(self._db, "build", build_id, "`GET /api/v1/builds` lists them.")
        return codec.build_from(row)

    async def builds(self, which: BuildFilter) -> tuple[Build, ...]:
        """Builds, newest first (ids are UUIDv7: they sort by time)."""
        builds = t.builds.c
        wanted = [
            builds.project == which.project if which.project else None,
            builds.pool == which.pool if which.pool else None,
            builds.id < which.before if which.before else None,
            SHOWN,
        ]
        where = [clause for clause in wanted if clause is not None]
        if which.state is None and not (which.project or which.pool):
            query = select(t.builds).where(*where)
        else:
            states = [which.state] if which.state else list(BuildState)
            query = select(t.builds).where(builds.id.in_(_by_state(states, where, which.limit, newest=True)))
        rows = (await self._db.execute(query.order_by(builds.id.desc()).limit(which.limit))).mappings()
        return tuple(codec.build_from(row) for row in rows)

    async def dead_letters(self, which: DeadFilter) -> tuple[tuple[Build, DeadLetter], ...]:
        """Dead letters with their builds, the newest build first."""
        letters, builds = t.dead_letters.c, t.builds.c
        wanted = [
            letters.resolution.is_(None) if not which.settled_too else None,
            builds.project == which.project if which.project else None,
            builds.pool == which.pool if which.pool else None,
            builds.reason_code == which.code.value if which.code else None,
            letters.dead_at >= which.since if which.since else None,
            letters.build_id < which.before if which.before else None,
            SHOWN,
        ]
        query = select(t.dead_letters, t.builds).join(t.builds, builds.id == letters.build_id)
        query = query.where(*(clause for clause in wanted if clause is not None))
        rows = (await self._db.execute(query.order_by(letters.build_id.desc()).limit(which.limit))).mappings()
        return tuple((codec.build_from(row), codec.dead_letter_from(row)) for row in rows)

    async def dead_letter(self, build_id: str) -> DeadLetter:
        """The dead letter that a build became.

        Raises:
            NotFound: it is none.
        """
        query = select(t.dead_letters).where(t.dead_letters.c.build_id == build_id)
        row = (await self._db.execute(query)).mappings().first()
        if row is None:
            raise await why_not_there(self._db, "dead letter", build_id, "`GET /api/v1/dead` lists them.")
        return codec.dead_letter_from(row)

    async def open_dead_letter_count(self) -> int:
        """How many dead letters wait for a person."""
        query = select(func.count()).select_from(t.dead_letters).where(t.dead_letters.c.resolution.is_(None))
        return int((await self._db.execute(query)).scalar_one())

    async def attempt_counts(self, build_ids: Sequence[str]) -> dict[str, int]:
        """How many attempts the jobs of each build had."""
        query = select(t.attempts.c.build_id, func.count()).where(t.attempts.c.build_id.in_(build_ids))
        return {row[0]: row[1] for row in await self._db.execute(query.group_by(t.attempts.c.build_id))}

    async def open_builds(
        self, states: Sequence[BuildState], created_before: datetime | None = None, limit: int = 500, after: str = ""
    ) -> tuple[Build, ...]:
        """Builds in the given states with an id above `after`, by id, so oldest first."""
        where = [t.builds.c.id > after] if after else []
        if created_before is not None:
            where.append(t.builds.c.created_at < created_before)
        ids = _by_state(states, where, limit, newest=False)
        query = select(t.builds).where(t.builds.c.id.in_(ids)).order_by(t.builds.c.id).limit(limit)
        return tuple(codec.build_from(row) for row in (await self._db.execute(query)).mappings())

    async def jobs_ahead(self, build: Build) -> int:
        """How many ready jobs of the pool go before a queued build, which is as old as its time in the queue."""
        at = build.queued_at or build.created_at
        ready = and_(t.jobs.c.state == JobState.READY.value, t.jobs.c.pool == build.pool, t.jobs.c.build_id != build.id)
        older = or_(t.jobs.c.ready_at < at, and_(t.jobs.c.ready_at == at, t.jobs.c.build_id < build.id))
        rank = build.priority.rank
        before = or_(t.jobs.c.priority > rank, and_(t.jobs.c.priority == rank, older))
        return int((await self._db.execute(select(func.count()).where(and_(ready, before)))).scalar_one())

    async def ready_by_rank(self) -> dict[tuple[str, int], int]:
        """How many jobs are ready, by pool and rank of priority; what has none is left out."""
        query = select(t.jobs.c.pool, t.jobs.c.priority, func.count()).where(t.jobs.c.state == JobState.READY.value)
        rows = await self._db.execute(query.group_by(t.jobs.c.pool, t.jobs.c.priority))
        return {(row[0], row[1]): row[2] for row in rows}

    async def newest_seconds(self, limit: int = 20) -> tuple[float, ...]:
        """Durations of the newest builds of all that ran to their end, well or not, oldest first."""
        ran = _by_state([BuildState.SUCCEEDED, BuildState.FAILED], [], limit, newest=True)
        query = select(t.builds.c.started_at, t.builds.c.ended_at).where(t.builds.c.id.in_(ran))
        pairs = (await self._db.execute(query.order_by(t.builds.c.id.desc()).limit(limit))).all()
        return tuple((end - start).total_seconds() for start, end in reversed(pairs) if start and end)

    async def attempts(self, build_id: str, limit: int = 200) -> tuple[Attempt, ...]:
        """The newest attempts of a build's jobs, oldest first."""
        query = select(t.attempts).where(t.attempts.c.build_id == build_id)
        query = query.order_by(t.attempts.c.started_at.desc(), t.attempts.c.job_id.desc()).limit(limit)
        rows = list((await self._db.execute(query)).mappings())
        return tuple(codec.attempt_from(row) for row in reversed(rows))

    async def jobs_but_rows(self, build_id: str) -> tuple[Job, ...]:
        """The jobs of a build that are not parts of a batch: one, or two."""
        where = and_(t.jobs.c.build_id == build_id, t.jobs.c.kind != "rows")
        rows = (await self._db.execute(select(t.jobs).where(where).order_by(t.jobs.c.id))).mappings()
        return tuple(codec.job_from(row) for row in rows)

    async def rows_times(self, build_id: str) -> tuple[datetime | None, datetime | None]:
        """When the first part of a batch began and, if all are through, when the last one ended."""
        of_rows = select(t.jobs.c.id).where(and_(t.jobs.c.build_id == build_id, t.jobs.c.kind == "rows"))
        query = select(func.min(t.attempts.c.started_at), func.max(t.attempts.c.ended_at))
        first, last = (await self._db.execute(query.where(t.attempts.c.job_id.in_(of_rows)))).one()
        return first, last

    async def stages(self, build_id: str) -> tuple[StoredStage, ...]:
        """All stages of all attempts of a build."""
        rows = (await self._db.execute(select(*STAGE_COLUMNS).where(t.stages.c.build_id == build_id))).mappings()
        return tuple(codec.stage_from(row) for row in rows)

    async def segments(self, build_id: str, first: int = 1) -> tuple[LogSegment, ...]:
        """The log of a build from that line on, in order."""
        whose = and_(t.log_segments.c.build_id == build_id, t.log_segments.c.build_last >= first)
        query = select(t.log_segments).where(whose)
        rows = (await self._db.execute(query.order_by(t.log_segments.c.build_first))).mappings()
        return tuple(codec.segment_from(row) for row in rows)

    async def artifacts(self, build_id: str) -> tuple[StoredArtifact, ...]:
        """The artifacts of a build."""
        query = select(t.artifacts).where(t.artifacts.c.build_id == build_id).order_by(t.artifacts.c.id)
        return tuple(codec.artifact_from(row) for row in (await self._db.execute(query)).mappings())

    async def artifact(self, artifact_id: str) -> StoredArtifact:
        """One artifact.

        Raises:
            NotFound: there is no such artifact.
        """
        query = select(t.artifacts).where(t.artifacts.c.id == artifact_id, not_removed(t.artifacts.c.id))
        row = (await self._db.execute(query)).mappings().first()
        if row is None:
            raise await why_not_there(self._db, "artifact", artifact_id, "The build's artifact list names them.")
        return codec.artifact_from(row)

    async def rows(self, build_id: str, after: int, limit: int, *, failed_only: bool = False) -> tuple[RowResult, ...]:
        """Row results with a number above `after`, in order."""
        where = and_(t.rows.c.build_id == build_id, t.rows.c.row > after)
        if failed_only:
            where = and_(where, t.rows.c.ok.is_(False))
        query = select(t.rows).where(where).order_by(t.rows.c.row).limit(limit)
        return tuple(codec.row_from(row) for row in (await self._db.execute(query)).mappings())

    async def events(self, build_id: str, after: int, limit: int) -> tuple[BuildEvent, ...]:
        """Events with a number above `after`, in order."""
        where = and_(t.events.c.build_id == build_id, t.events.c.seq > after)
        query = select(t.events).where(where).order_by(t.events.c.seq).limit(limit)
        return tuple(codec.event_from(row) for row in (await self._db.execute(query)).mappings())

    async def agents(self, seen_since: datetime) -> tuple[Agent, ...]:
        """The agents heard of since a moment, the newest first."""
        rows = await self._db.execute(standing.AGENTS, {"seen_since": seen_since})
        return tuple(codec.agent_from(row) for row in rows.mappings())

    async def agent(self, name: str) -> Agent:
        """One agent.

        Raises:
            NotFound: there is no such agent.
        """
        row = (await self._db.execute(select(t.agents).where(t.agents.c.name == name))).mappings().first()
        if row is None:
            raise NotFound(f"There is no agent {name}.", remedy="`GET /api/v1/agents` lists them.")
        return codec.agent_from(row)

    async def agents_present(self, pool: str, since: datetime) -> int:
        """How many agents of a pool were heard of since a moment and have not left."""
        here = and_(t.agents.c.pool == pool, t.agents.c.left.is_(False), t.agents.c.seen_at >= since)
        return int((await self._db.execute(select(func.count()).select_from(t.agents).where(here))).scalar_one())

    async def agents_by_pool(self, since: datetime) -> dict[str, int]:
        """How many agents were heard of since a moment and have not left, by pool."""
        here = and_(t.agents.c.left.is_(False), t.agents.c.seen_at >= since)
        rows = await self._db.execute(select(t.agents.c.pool, func.count()).where(here).group_by(t.agents.c.pool))
        return {row[0]: row[1] for row in rows}

    async def generations(self) -> dict[str, dict[int, int]]:
        """Pool -> slot -> the highest generation of an agent that ever joined there."""
        found: dict[str, dict[int, int]] = {}
        for row in await self._db.execute(standing.SLOTS):
            found.setdefault(row[0], {})[row[1]] = row[2]
        return found

    async def pools_seen_at(self) -> dict[str, datetime]:
        """When each pool last heard of any of its agents."""
        return {row[0]: row[1] for row in await self._db.execute(standing.SEEN_AT)}

    async def pool_changes(self) -> dict[str, PoolChange]:
        """The newest change of each pool's intake."""
        return {row["pool"]: PoolChange(**row) for row in (await self._db.execute(standing.POOL_CHANGES)).mappings()}

    async def changes_of_pool(self, pool: str) -> tuple[PoolChange, ...]:
        """All that is kept of a pool's changes, newest first."""
        query = select(t.pool_changes).where(t.pool_changes.c.pool == pool).order_by(t.pool_changes.c.seq.desc())
        return tuple(PoolChange(**row) for row in (await self._db.execute(query)).mappings())

    async def refusals(self) -> dict[str, Refusal]:
        """The newest agent that each pool refused."""
        return {row["pool"]: Refusal(**row) for row in (await self._db.execute(standing.REFUSALS)).mappings()}

    async def live_attempts(self) -> tuple[Attempt, ...]:
        """All attempts that have not ended."""
        rows = (await self._db.execute(standing.LIVE_ATTEMPTS)).mappings()
        return tuple(codec.attempt_from(row) for row in rows)

    async def pool_counts(self) -> dict[str, PoolCounts]:
        """Jobs by pool: ready, waiting for others, under a lease; pools without jobs are left out."""
        found: dict[str, dict[str, tuple[int, datetime | None]]] = {}
        for row in await self._db.execute(standing.POOL_COUNTS):
            found.setdefault(row[0], {})[row[1]] = (row[2], row[3])
        nothing: tuple[int, datetime | None] = (0, None)
        return {
            pool: PoolCounts(
                ready=states.get("ready", nothing)[0],
                waiting=states.get("waiting", nothing)[0],
                leases=states.get("running", nothing)[0],
                oldest_ready_at=states.get("ready", nothing)[1],
            )
            for pool, states in found.items()
        }

    async def backing_off(self, limit: int = 1000) -> tuple[Job, ...]:
        """Jobs that wait after an attempt that went wrong, those first whose time comes first."""
        rows = await self._db.execute(standing.BACKING_OFF, {"at_most": limit})
        return tuple(codec.job_from(row) for row in rows.mappings())

    async def readers(self) -> dict[str, datetime]:
        """By producer, until when it has recorded all reports that it took."""
        return {row[0]: row[1] for row in await self._db.execute(select(t.readers))}

    async def pending_tickets(self) -> dict[str, int]:
        """Tickets in the outbox, by pool."""
        query = select(t.outbox.c.pool, func.count()).group_by(t.outbox.c.pool)
        return {row[0]: row[1] for row in await self._db.execute(query)}

    async def open_by_state(self) -> dict[str, int]:
        """How many builds there are of each state that is no end."""
        query = select(t.builds.c.state, func.count()).where(t.builds.c.state.in_(_OPEN)).group_by(t.builds.c.state)
        return {row[0]: row[1] for row in await self._db.execute(query)}

    async def ended_by_state(self, since: datetime | None, until: datetime | None) -> dict[str, int]:
        """How many builds ended each way at or after `since` and before `until`; None is no bound."""
        at = t.builds.c.ended_at
        bounds: list[ColumnElement[bool]] = [at.is_not(None)]
        if since is not None:
            bounds.append(at >= since)
        if until is not None:
            bounds.append(at < until)
        state = (
            t.builds.c.state + ""
        )  # else SQLite reads all builds from an index by state, to have its groups in order
        query = select(state, func.count()).where(*bounds).group_by(state)
        return {row[0]: row[1] for row in await self._db.execute(query)}

    async def open_build_count(self) -> int:
        """How many builds have not ended."""
        query = select(func.count()).select_from(t.builds)
        return int((await self._db.execute(query.where(t.builds.c.state.in_(_OPEN)))).scalar_one())

    async def unbuilt_bytes(self) -> int:
        """Bytes of uploads not built yet: those of open builds, and those that wait for a build."""
        of_builds = select(func.sum(t.builds.c.source_bytes)).where(t.builds.c.state.in_(_OPEN))
        kept = select(func.sum(t.uploads.c.size_bytes)).where(t.uploads.c.used.is_(False))
        return sum([int((await self._db.execute(one)).scalar_one() or 0) for one in (of_builds, kept)])

    async def check(self) -> None:
        """Ask the database for anything at all."""
        await self._db.execute(select(1))


def _by_state(
    states: Sequence[BuildState], where: Sequence[ColumnElement[bool]], limit: int, *, newest: bool
) -> Select[tuple[str]]:
    """Ids of the first `limit` builds of each state: each state's come in order from an index, so none is sorted."""
    order = t.builds.c.id.desc() if newest else t.builds.c.id
    firsts = [
        select(t.builds.c.id).where(t.builds.c.state == state.value, *where).order_by(order).limit(limit).subquery()
        for state in states
    ]
    return select(union_all(*(select(first.c.id) for first in firsts)).subquery().c.id)
