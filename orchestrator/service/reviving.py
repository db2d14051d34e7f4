"""Ended builds once more, and dead letters settled."""

from __future__ import annotations

from buildyard.contracts.api import BuildAccepted, BuildRequest
from buildyard.contracts.builds import GitSource, Source, UploadSource
from buildyard.contracts.dead import NotRequeued, Requeued, RequeuedList
from buildyard.contracts.sources import check_git_source
from buildyard.errors import NotFound, PermanentError
from orchestrator.domain import dead_letters
from orchestrator.domain.records import Build
from orchestrator.service.submitting import Submitting
from orchestrator.store.queries import DeadFilter


class Reviving(Submitting):
    """Retrying builds, requeueing and dropping dead letters."""

    async def retry(
        self, build_id: str, *, requester: str, new_id: str | None = None, failed_only: bool | None = None
    ) -> BuildAccepted:
        """Build an ended build's request again; if it is a dead letter, that settles it.

        `failed_only` true wants only what failed of it, false all of it anew, None what can be had.

        Raises:
            NotFound: no such build.
            Conflict: it has not ended, or its upload was infected or is kept no more; or nothing can be taken over,
                though that is wanted.
            InvalidRequest: the farm has its pool no more, or allows no such timeout.
            Forbidden: its repository's host is not among the farm's.
        """
        return await self._accepted(
            await self._again(build_id, requester, only_dead=False, new_id=new_id, failed_only=failed_only)
        )

    async def requeue(self, build_id: str, *, requester: str, new_id: str | None = None) -> BuildAccepted:
        """Build a dead letter again; raises as `retry` does, and Conflict when it is none, or settled."""
        return await self._accepted(await self._again(build_id, requester, only_dead=True, new_id=new_id))

    async def requeue_matching(self, which: DeadFilter, *, requester: str) -> RequeuedList:
        """Build the dead letters again that a filter finds, `which.limit` at most."""
        async with self._store.read() as queries:
            found = await queries.dead_letters(which)
        requeued: list[Requeued] = []
        refused: list[NotRequeued] = []
        for build, _ in found:
            try:
                new = await self._again(build.id, requester, only_dead=True)
                requeued.append(Requeued(execution_id=new.id, retry_of=build.id))
            except PermanentError as error:
                refused.append(NotRequeued(execution_id=build.id, reason=str(error)))
        more = found[-1][0].id if len(found) == which.limit else None
        return RequeuedList(requeued=tuple(requeued), refused=tuple(refused), next_cursor=more)

    async def drop(self, build_id: str, reason: str, *, requester: str) -> None:
        """Settle a dead letter without another try.

        Raises:
            NotFound: no such build.
            Conflict: it is no dead letter, or settled.
        """
        async with self._store.begin() as tx:
            build = await tx.lock_build(build_id)
            letter = await tx.dead_letter(build_id)
            saved = await tx.save(dead_letters.drop(build, letter, reason, requester, await tx.now()))
        self._tell(saved)

    # ------------------------------------------------------------------ inside

    async def _again(
        self,
        build_id: str,
        requester: str,
        *,
        only_dead: bool,
        new_id: str | None = None,
        failed_only: bool | None = None,
    ) -> Build:
        async with self._store.read() as queries:
            source = (await queries.build(build_id)).source
        there = await self._is_there(source)
        async with self._store.begin() as tx:
            await tx.lock_line_of_retries(build_id)
            old = await tx.lock_build(build_id)
            letter = await tx.dead_letter(build_id)
            if only_dead:
                dead_letters.waiting_letter(letter)
            id_ = new_id or self._clock.new_id()
            new = dead_letters.again(old, id_, requester, await tx.now(), failed_only=failed_only)
            if not there:
                raise dead_letters.upload_gone()
            self._check_build(new)
            noted = await tx.save(dead_letters.requeue(old, letter, new))
            saved = await tx.create(self._received(new, await tx.now()))
        self._feed.publish(noted.events)
        self._tell(saved)
        return saved.build

    async def _is_there(self, source: Source) -> bool:
        """Whether a source can still be fetched as far as the farm keeps it itself."""
        if not isinstance(source, UploadSource):
            return True
        try:
            await self._objects.head(source.key)
        except NotFound:
            return False
        return True

    def _check_build(self, build: Build) -> None:
        """The farm may have changed since the request was let in first."""
        self._check(BuildRequest(job=build.properties, target_pool=build.pool))
        if isinstance(build.source, GitSource):
            check_git_source(build.source.url, build.source.ref, self._farm.git_hosts, self._farm.git_local_roots)
