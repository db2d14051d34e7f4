"""Accepting builds, admitting their uploads, cancelling them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from buildyard.clock import Clock
from buildyard.contracts.api import BuildAccepted, BuildRequest, CancelAccepted, UploadStored, project_name_of
from buildyard.contracts.builds import BuildState, GitSource, ReasonCode, Source, UploadSource
from buildyard.contracts.messages import CancelJob
from buildyard.contracts.sources import check_git_source
from buildyard.errors import InvalidRequest, NotFound
from buildyard.grouping import Grouped
from buildyard.ports import ObjectStore
from orchestrator.domain import lifecycle
from orchestrator.domain.estimating import Estimate
from orchestrator.domain.planning import first_job, strategy_used
from orchestrator.domain.records import Build, EventDraft, Step
from orchestrator.domain.retrying import is_due
from orchestrator.feed import Feed
from orchestrator.service.core import Core, Farm, Outlets, links_of
from orchestrator.service.outlook import Outlook, forecast
from orchestrator.store import Store

_GROUP_MOST = 64
_WAITING_MOST = 2000
"""Submissions that wait for a slow database; with more, the next ones are told to come again."""


@dataclass(frozen=True)
class _Wanted:
    """A submission that was checked."""

    request: BuildRequest
    source: Source
    requester: str
    build_id: str


class Submitting(Core):
    """Accepting builds, admitting their uploads, cancelling.

    Submissions that come at the same time are committed in one transaction (`buildyard.grouping`).
    """

    def __init__(
        self, store: Store, objects: ObjectStore, feed: Feed, farm: Farm, clock: Clock, outlets: Outlets
    ) -> None:
        super().__init__(store, objects, feed, farm, clock, outlets)
        self._outlook = Outlook(clock)
        self._accepting = Grouped(self._accept_all, most=_GROUP_MOST, waiting_most=_WAITING_MOST)

    async def submit(
        self, request: BuildRequest, source: Source, *, requester: str, build_id: str | None = None
    ) -> BuildAccepted:
        """Accept a build: when this returns, it is durable.

        Raises:
            InvalidRequest: no such pool, or a timeout above the farm's longest build.
            StoreUnavailable: nothing was accepted.
        """
        self._check(request)
        wanted = _Wanted(request, source, requester, build_id or self._clock.new_id())
        return await self._accepting.do(wanted)

    async def submit_git(self, request: BuildRequest, *, requester: str, build_id: str | None = None) -> BuildAccepted:
        """Accept a build of a repository.

        Raises:
            InvalidRequest: no repository is named, or its address or ref is not well formed.
            Forbidden: its host is not among the farm's.
        """
        job = request.job
        if not job.repository_url:
            raise InvalidRequest("The build names no repository.", field="job.repositoryUrl")
        check_git_source(job.repository_url, job.git_ref, self._farm.git_hosts, self._farm.git_local_roots)
        source = GitSource(url=job.repository_url, ref=job.git_ref, submodules=job.submodules)
        return await self.submit(request, source, requester=requester, build_id=build_id)

    async def keep_upload(self, upload: UploadSource, *, requester: str) -> UploadStored:
        """Keep an upload for a build that is asked for later."""
        async with self._store.begin() as tx:
            await tx.add_upload(upload, requester)
            expires = await tx.now() + timedelta(hours=self._farm.upload_keep_hours)
        return UploadStored(
            job_id=upload.upload_id,
            kind=upload.kind,
            filename=upload.filename,
            size_bytes=upload.size_bytes,
            sha256=upload.sha256,
            expires_at=expires,
        )

    async def start_upload(
        self, job_id: str, request: BuildRequest, *, requester: str, build_id: str | None = None
    ) -> BuildAccepted:
        """Build an upload that was kept.

        Raises:
            NotFound: there is no such upload, or it is used or gone.
            InvalidRequest: as `submit`.
        """
        self._check(request)
        async with self._store.begin() as tx:
            source = await tx.use_upload(job_id)
            if source is None:
                raise NotFound(
                    f"There is no unused upload {job_id}.",
                    remedy=f"Upload again: an upload serves one build and is kept {self._farm.upload_keep_hours:g} h.",
                )
            wanted = _Wanted(_named(request, source), source, requester, build_id or self._clock.new_id())
            saved = await tx.create(self._received(self._build_of(wanted, await tx.now()), await tx.now()))
        self._tell(saved)
        return await self._accepted(saved.build)

    async def admit(self, build_id: str) -> None:
        """The upload of a received build is clean."""
        async with self._store.begin() as tx:
            build = await tx.lock_build(build_id)
            if build.state is not BuildState.RECEIVED:
                return
            job = first_job(build, self._clock.new_id())
            saved = await tx.save(lifecycle.admit(build, job, await tx.now()))
        self._tell(saved)

    async def reject_upload(self, build_id: str, code: ReasonCode, reason: str) -> None:
        """The upload of a received build cannot be let in."""
        async with self._store.begin() as tx:
            build = await tx.lock_build(build_id)
            if build.state is not BuildState.RECEIVED:
                return
            saved = await tx.save(lifecycle.end(build, BuildState.REJECTED, code, reason, await tx.now()))
        self._tell(saved)

    async def cancel(self, build_id: str, *, requester: str) -> CancelAccepted:
        """Cancel a build; again is no error.

        Raises:
            NotFound: no such build.
            Conflict: it ended otherwise.
        """
        async with self._store.begin() as tx:
            build = await tx.lock_build(build_id)
            live = await tx.live_attempts(build_id)
            step = lifecycle.cancel(build, live, requester, await tx.now())
            saved = await tx.save(step)
        self._tell(saved)
        self._outlets.controls(step.controls)
        return CancelAccepted(execution_id=build_id, status=saved.build.state.wire)

    async def apply(self, build_id: str, decide: Callable[[Build], Step | None]) -> bool:
        """Apply a sweeping decision to a build as it stands under its lock; False when there is nothing to do."""
        async with self._store.begin() as tx:
            build = await tx.lock_build(build_id)
            live = await tx.live_attempts(build_id)
            step = decide(build)
            if step is None:
                return False
            saved = await tx.save(step)
        self._tell(saved)
        self._outlets.controls(tuple(CancelJob(job_id=attempt.job_id, attempt=attempt.number) for attempt in live))
        return True

    async def reissue(self, pool: str, count: int) -> None:
        """Issue tickets for ready jobs that have none."""
        async with self._store.begin() as tx:
            tickets = await tx.add_tickets(pool, count)
        self._outlets.tickets(tickets)

    async def end_waits(self) -> int:
        """Make every job ready whose wait after a failed attempt is over; tells how many there were."""
        async with self._store.read() as queries:
            now = await queries.now()
            due = [job.id for job in await queries.backing_off() if job.not_before and is_due(job.not_before, now)]
        if not due:
            return 0
        async with self._store.begin() as tx:
            tickets = await tx.end_waits(due)
        self._outlets.tickets(tickets)
        return len(tickets)

    # ------------------------------------------------------------------ inside

    def _check(self, request: BuildRequest) -> None:
        pools = sorted(pool.name for pool in self._farm.pools)
        if request.pool not in pools:
            known = ", ".join(pools)
            raise InvalidRequest(
                f"There is no pool {request.target_pool!r}; this farm has: {known}.", field="targetPool"
            )
        if request.job.timeout_minutes > self._farm.max_build_minutes:
            raise InvalidRequest(
                f"A timeout of {request.job.timeout_minutes:g} min is above this farm's longest build of "
                f"{self._farm.max_build_minutes:g} min.",
                field="job.timeoutMinutes",
            )

    async def _accept_all(self, group: Sequence[_Wanted]) -> list[BuildAccepted]:
        """Make a group of submissions durable, all or none; then their answers."""
        async with self._store.begin() as tx:
            now = await tx.now()
            steps = [self._received(self._build_of(wanted, now), now) for wanted in group]
            builds = [step.build for step in steps]
            queue = await self._outlook.look(tx.queries, builds, now - self._silence, now)
            saved = await tx.create_all(steps)
        for one in saved:
            self._tell(one)
        return [_answer(build, *self._outlook.of(build, queue, builds, now)) for build in builds]

    def _build_of(self, wanted: _Wanted, now: datetime) -> Build:
        request = wanted.request
        used, warnings = strategy_used(request.strategy, asked_for="strategy" in request.model_fields_set)
        return Build(
            id=wanted.build_id,
            project=request.job.project_name,
            pool=request.pool,
            strategy=request.strategy,
            strategy_used=used,
            priority=request.priority,
            force_clean=request.force_clean,
            properties=request.job,
            source=wanted.source,
            requester=wanted.requester,
            created_at=now,
            warnings=warnings,
        )

    def _received(self, build: Build, now: datetime) -> Step:
        """A new build: queued at once, unless its upload must be looked at first."""
        origin = {"retryOf": build.retry_of} if build.retry_of else {}
        received = EventDraft("build_received", {"requester": build.requester, **origin})
        if build.source.type == "upload" and not self._farm.admits_at_once:
            return Step(build, events=(received,))
        step = lifecycle.admit(build, first_job(build, self._clock.new_id()), now)
        return replace(step, events=(received, *step.events))

    async def _accepted(self, build: Build) -> BuildAccepted:
        async with self._store.read() as queries:
            position, guess = await forecast(queries, build, self._silence)
        return _answer(build, position, guess)


def _answer(build: Build, position: int, guess: Estimate) -> BuildAccepted:
    status = build.state if build.state.terminal else BuildState.QUEUED
    return BuildAccepted(
        execution_id=build.id,
        status=status.wire,
        queue_position=position,
        estimated_start_time=guess.start,
        estimated_duration=guess.duration_seconds,
        links=links_of(build.id),
        warnings=build.warnings,
    )


def _named(request: BuildRequest, upload: UploadSource) -> BuildRequest:
    """A build that brings no project name is called after its file."""
    if "project_name" in request.job.model_fields_set:
        return request
    job = request.job.model_copy(update={"project_name": project_name_of(upload.filename)})
    return request.model_copy(update={"job": job})
