"""The reading side of the API: what the store holds, as people and programs are shown it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from buildyard.contracts.agents import AgentState, AgentView
from buildyard.contracts.annotations import AnnotationList
from buildyard.contracts.api import (
    AgentHealthAnswer,
    AgentList,
    AgentOfBuild,
    ArtifactList,
    BuildList,
    BuildStatus,
    PoolList,
    PoolView,
    RowList,
    SourceView,
    Trace,
)
from buildyard.contracts.builds import ArtifactRecord, BuildState, RowResult, TestSummary
from buildyard.contracts.changing import PoolEventList
from buildyard.contracts.dead import DeadLetterDetail, DeadLetterList
from buildyard.contracts.diagnostics import DiagnosticList
from buildyard.contracts.events import BuildEvent
from buildyard.contracts.scaling import PoolConfig
from buildyard.errors import Gone
from orchestrator.domain import showing
from orchestrator.domain.access import why_nobody
from orchestrator.domain.changing import why_paused
from orchestrator.domain.pools import PoolCounts, show_pool
from orchestrator.domain.records import Attempt, Build, Job, LogSegment, StoredArtifact
from orchestrator.domain.retention import Kept
from orchestrator.domain.retrying import why_it_waits
from orchestrator.domain.trials import suiting
from orchestrator.service.core import links_of
from orchestrator.service.outlook import outlook_of
from orchestrator.store import Store
from orchestrator.store.by_needs import unserved_by_pool
from orchestrator.store.queries import BuildFilter, DeadFilter, Queries
from orchestrator.store.sizes import Sizes
from orchestrator.store.tallies import EndedTally, JobTimes
from orchestrator.store.worked import AgentTally

_PAGE = 1000
_HISTORY = 200
"""How many of its newest events a dead letter shows."""
AGENTS_KEPT = timedelta(days=1)
"""How long an agent is shown after it was last heard of."""


@dataclass(frozen=True)
class StoreCounts:
    """Counts for the metrics page."""

    builds_by_status: dict[str, int]
    active_builds: int
    pools: tuple[PoolView, ...]
    open_dead_letters: int
    sizes: Sizes | None = None


@dataclass(frozen=True)
class Load:
    """How much the farm has in hand, how long its oldest ready job waits, and how fast it works that off.

    `unbuilt_bytes` are those of uploads not built yet; `past_seconds` what the newest builds took, oldest first.
    """

    open_builds: int
    oldest_wait_seconds: float | None
    unbuilt_bytes: int
    agents: int
    past_seconds: tuple[float, ...]


class Views:
    """Questions of the API. All raise StoreUnavailable, and NotFound for ids that nothing has."""

    def __init__(self, store: Store, pools: tuple[PoolConfig, ...], silence: timedelta) -> None:
        self._store = store
        self._pools = pools
        self._silence = silence
        self._ended = EndedTally()
        self._worked = AgentTally(AGENTS_KEPT)
        self._job_times = JobTimes()

    async def build(self, build_id: str) -> BuildStatus:
        """A build with its stages, attempts and reason."""
        async with self._store.read() as queries:
            return await self._status(queries, await queries.build(build_id))

    async def builds(
        self, *, status: BuildState | None, project: str | None, pool: str | None, cursor: str | None, limit: int
    ) -> BuildList:
        """A page of builds, newest first; `cursor` is the last page's `next_cursor`."""
        which = BuildFilter(status, project, pool, cursor, limit + 1)
        async with self._store.read() as queries:
            found = await queries.builds(which)
            now = await queries.now()
        page = found[:limit]
        return BuildList(
            builds=tuple(showing.show_summary(build, now) for build in page),
            next_cursor=page[-1].id if len(found) > limit else None,
        )

    async def dead_letters(self, which: DeadFilter) -> DeadLetterList:
        """A page of dead letters, the newest build first."""
        async with self._store.read() as queries:
            found = await queries.dead_letters(replace(which, limit=which.limit + 1))
            page = found[: which.limit]
            attempts = await queries.attempt_counts([build.id for build, _ in page])
        return DeadLetterList(
            dead=tuple(showing.show_dead(build, letter, attempts.get(build.id, 0)) for build, letter in page),
            next_cursor=page[-1][0].id if len(found) > which.limit else None,
        )

    async def dead_letter(self, build_id: str) -> DeadLetterDetail:
        """A dead letter, settled or not, with its history but without its log, which lies with the objects."""
        async with self._store.read() as queries:
            letter = await queries.dead_letter(build_id)
            build = await queries.build(build_id)
            attempts = await queries.attempt_counts([build_id])
            return DeadLetterDetail(
                letter=showing.show_dead(build, letter, attempts.get(build_id, 0)),
                build=await self._status(queries, build),
                events=await queries.events(build_id, max(0, build.event_seq - _HISTORY), _HISTORY),
                log=(),
            )

    async def build_ended(self, build_id: str) -> bool:
        """Whether a build is over."""
        async with self._store.read() as queries:
            return (await queries.build(build_id)).state.terminal

    async def artifacts(self, build_id: str) -> ArtifactList:
        """The files a build handed back."""
        async with self._store.read() as queries:
            _with_outputs(await queries.build(build_id))
            stored = await queries.artifacts(build_id)
        return ArtifactList(artifacts=tuple(showing.show_artifact(one) for one in stored))

    async def annotations(self, build_id: str) -> AnnotationList:
        """What is pinned to a build."""
        async with self._store.read() as queries:
            await queries.build(build_id)
            return AnnotationList(annotations=await queries.annotations(build_id))

    async def diagnostics(self, build_id: str) -> DiagnosticList:
        """What the compilers of a build said."""
        async with self._store.read() as queries:
            await queries.build(build_id)
            return DiagnosticList(diagnostics=await queries.diagnostics(build_id))

    async def tests(self, build_id: str) -> tuple[TestSummary | None, str]:
        """The counts of a build's tests, and where the list of them lies."""
        async with self._store.read() as queries:
            build = _with_outputs(await queries.build(build_id))
        return build.tests, build.tests_key

    async def stored_artifacts(self, build_id: str) -> tuple[StoredArtifact, ...]:
        """The records of a build's files, with their objects' keys."""
        async with self._store.read() as queries:
            _with_outputs(await queries.build(build_id))
            return tuple(await queries.artifacts(build_id))

    async def artifact(self, artifact_id: str) -> ArtifactRecord:
        """One file's record, with its object's key."""
        async with self._store.read() as queries:
            return (await queries.artifact(artifact_id)).record

    async def rows(self, build_id: str, *, after: int, limit: int, failed_only: bool) -> RowList:
        """A page of row results above row `after`."""
        async with self._store.read() as queries:
            await queries.build(build_id)
            found = await queries.rows(build_id, after, limit + 1, failed_only=failed_only)
        page = found[:limit]
        return RowList(rows=page, next_cursor=str(page[-1].row) if len(found) > limit else None)

    async def all_rows(self, build_id: str) -> AsyncIterator[RowResult]:
        """All row results in order, read page by page."""
        after = 0
        while True:
            async with self._store.read() as queries:
                page = await queries.rows(build_id, after, _PAGE)
            for result in page:
                yield result
            if len(page) < _PAGE:
                return
            after = page[-1].row

    async def events(self, build_id: str, *, after: int, limit: int) -> tuple[BuildEvent, ...]:
        """Events above number `after`."""
        async with self._store.read() as queries:
            return await queries.events(build_id, after, limit)

    async def log_segments(self, build_id: str, tail: int | None = None) -> tuple[LogSegment, ...]:
        """Where a build's log lies; with `tail`, where its last so many lines lie."""
        async with self._store.read() as queries:
            build = _with_outputs(await queries.build(build_id))
            return await queries.segments(build_id, 1 if tail is None else build.log_lines - tail + 1)

    async def trace(self, build_id: str) -> Trace:
        """A build's way as spans."""
        async with self._store.read() as queries:
            build = await queries.build(build_id)
            attempts = await queries.attempts(build_id)
            stages = await queries.stages(build_id)
        return Trace(execution_id=build_id, spans=showing.trace_of(build, attempts, stages))

    async def agents(self) -> AgentList:
        """The agents of the last day, those present first."""
        async with self._store.read() as queries:
            now = await queries.now()
            agents = await queries.agents(now - AGENTS_KEPT)
            live = {attempt.agent: attempt for attempt in await queries.live_attempts()}
            found = [showing.show_agent(agent, live.get(agent.name), now, self._silence) for agent in agents]
            shown = await self._worked.noted(queries, now, found)
        return AgentList(agents=tuple(sorted(shown, key=lambda view: not AgentState(view.state).present)))

    async def agent(self, name: str) -> AgentView:
        """One agent."""
        view, _ = await self._agent(name)
        return view

    async def agent_health(self, name: str) -> AgentHealthAnswer:
        """How an agent is, and why."""
        view, now = await self._agent(name)
        silent = (now - view.seen_at).total_seconds()
        healthy = AgentState(view.state).present
        reason = view.reason
        if AgentState(view.state) is AgentState.LOST:
            reason = f"It was not heard of for {silent:.0f} s."
        return AgentHealthAnswer(agent=view, healthy=healthy, seen_seconds_ago=max(0.0, silent), reason=reason)

    async def pools(self) -> PoolList:
        """The pools with their counts at one moment."""
        async with self._store.read() as queries:
            return await self._pool_list(queries)

    async def pool_events(self, pool: str) -> PoolEventList:
        """When and why a pool was paused and resumed."""
        async with self._store.read() as queries:
            changes = await queries.changes_of_pool(pool)
        return PoolEventList(events=tuple(showing.show_pool_change(change) for change in changes))

    async def metrics(self) -> StoreCounts:
        """Counts for the metrics page."""
        async with self._store.read() as queries:
            states = {**await queries.open_by_state(), **await self._ended.count(queries)}
            dead = await queries.open_dead_letter_count()
            pools = await self._pool_list(queries)
        sizes = await self._store.sizes()
        active = sum(count for state, count in states.items() if not BuildState(state).terminal)
        by_status = {BuildState(state).wire: count for state, count in states.items()}
        return StoreCounts(by_status, active, pools.pools, dead, sizes)

    async def load(self) -> Load:
        """How much the farm has in hand."""
        async with self._store.read() as queries:
            open_builds = await queries.open_build_count()
            oldest = [counts.oldest_ready_at for counts in (await queries.pool_counts()).values()]
            now = await queries.now()
            unbuilt = await queries.unbuilt_bytes()
            agents = sum((await queries.agents_by_pool(now - self._silence)).values())
            past = await queries.newest_seconds()
        waits = [(now - at).total_seconds() for at in oldest if at is not None]
        return Load(open_builds, max(waits, default=None), unbuilt, agents, past)

    async def check(self) -> None:
        """Whether the store answers within 3 s."""
        async with asyncio.timeout(3), self._store.read() as queries:
            await queries.check()

    # ------------------------------------------------------------------ inside

    async def _agent(self, name: str) -> tuple[AgentView, datetime]:
        async with self._store.read() as queries:
            agent = await queries.agent(name)
            live = {attempt.agent: attempt for attempt in await queries.live_attempts()}
            now = await queries.now()
        return showing.show_agent(agent, live.get(name), now, self._silence), now

    async def _pool_list(self, queries: Queries) -> PoolList:
        counts = await queries.pool_counts()
        now = await queries.now()
        present: dict[str, list[AgentState]] = {}
        busy = {attempt.agent: attempt for attempt in await queries.live_attempts()}
        for agent in await queries.agents(now - self._silence):
            state = showing.agent_state(agent, busy.get(agent.name), now, self._silence)
            if state.present:
                present.setdefault(agent.pool, []).append(state)
        generations = await queries.generations()
        changes = await queries.pool_changes()
        seconds = await self._job_times.usual(queries)
        needs = await queries.needs_of_pools(self._silence)
        unserved = unserved_by_pool(needs)
        suited = {
            pool.name: suiting(needs[pool.name], busy.keys(), pool.capabilities, now)
            for pool in self._pools
            if pool.name in needs
        }
        views = [
            show_pool(
                pool.name,
                counts.get(pool.name, PoolCounts()),
                unserved.get(pool.name),
                suited.get(pool.name),
                present.get(pool.name, []),
                generations.get(pool.name, {}),
                changes.get(pool.name),
                now,
            ).model_copy(update={"job_seconds": seconds.get(pool.name)})
            for pool in self._pools
        ]
        return PoolList(pools=tuple(views), at=now)

    async def _status(self, queries: Queries, build: Build) -> BuildStatus:
        now = await queries.now()
        jobs = await queries.jobs_but_rows(build.id)
        stored = await queries.stages(build.id)
        attempts = await queries.attempts(build.id)
        between = await queries.rows_times(build.id) if build.rows_total is not None else (None, None)
        stages = showing.stages_of(build, jobs, attempts, stored, between)
        current = showing.current_stage(build, stages)
        newest = attempts[-1] if attempts else None
        position, guess = await outlook_of(queries, build, self._silence)
        return BuildStatus(
            execution_id=build.id,
            project_name=build.project,
            configuration=build.properties.configuration,
            target_pool=build.pool,
            priority=build.priority.wire,
            strategy=build.strategy.wire,
            strategy_used=build.strategy_used.wire,
            status=build.state.wire,
            current_stage=current.wire if current else None,
            created_at=build.created_at,
            start_time=build.started_at,
            end_time=build.ended_at,
            duration=showing.duration_of(build, now),
            queue_position=position,
            estimated_start_time=guess.start,
            estimated_duration=guess.duration_seconds,
            stages=tuple(showing.show_stage(stage, now) for stage in stages),
            agent=_agent_of(build, newest),
            toolchain=build.toolchain,
            toolchain_why=build.toolchain_why,
            tests=build.tests,
            rows=showing.row_counts(build),
            artifacts_count=len(await queries.artifacts(build.id)),
            reason=build.reason or why_it_waits(jobs, attempts) or await self._why_nobody(queries, build, jobs, now),
            reason_code=build.reason_code.value if build.reason_code else None,
            attempts=tuple(showing.show_attempt(attempt) for attempt in attempts),
            retry_of=build.retry_of,
            source=SourceView.of(build.source),
            metadata=build.properties.metadata,
            warnings=build.warnings,
            outputs_removed=build.kept is Kept.RECORD,
            links=links_of(build.id),
        )

    async def _why_nobody(self, queries: Queries, build: Build, jobs: Sequence[Job], now: datetime) -> str:
        """Why a build finds no agent, where that is known."""
        for job in jobs:
            if job.needs and (why := await queries.why_unsuited(job, self._silence)):
                return why
        if build.state is not BuildState.QUEUED:
            return ""
        if paused := why_paused((await queries.pool_changes()).get(build.pool)):
            return paused
        if await queries.agents_present(build.pool, now - self._silence):
            return ""
        seen = await queries.pools_seen_at()
        return why_nobody((await queries.refusals()).get(build.pool), seen.get(build.pool))


def _with_outputs(build: Build) -> Build:
    """The build, unless its log and artifacts were removed."""
    if build.kept is not Kept.RECORD:
        return build
    raise Gone(
        f"Log and artifacts of the build {build.id} were removed: they were kept as long as this farm keeps such.",
        remedy="`GET /api/v1/builds/{id}` still tells how it ended; docs/retention.md tells how long things are kept.",
    )


def _agent_of(build: Build, newest: Attempt | None) -> AgentOfBuild | None:
    if newest is None:
        return None
    return AgentOfBuild(name=newest.agent, hostname=newest.hostname, target_type=build.pool.capitalize())
