"""What people change beside building: a pool's intake, a build's priority, what is pinned to it."""

from __future__ import annotations

from buildyard.contracts.annotations import Annotation, AnnotationRequest
from buildyard.contracts.builds import Priority
from buildyard.errors import NotFound
from orchestrator.domain.annotating import annotate
from orchestrator.domain.changing import reprioritised
from orchestrator.service.core import Core


class Changing(Core):
    """Pools and builds that wait."""

    async def set_intake(self, pool: str, *, paused: bool, reason: str, requester: str) -> None:
        """Pause or resume a pool; again is no error and changes nothing.

        Raises:
            NotFound: the farm has no such pool.
        """
        if pool not in {known.name for known in self._farm.pools}:
            raise NotFound(f"There is no pool {pool}.", remedy="`GET /api/v1/pools` lists them.")
        async with self._store.begin() as tx:
            newest = await tx.pool_change(pool)
            if (newest is not None and newest.paused) is not paused:
                await tx.add_pool_change(pool, paused=paused, reason=reason, requester=requester)

    async def set_priority(self, build_id: str, priority: Priority, *, requester: str) -> None:
        """Let a build go before or after others from now on.

        Raises:
            NotFound: no such build.
            Conflict: it has ended.
        """
        async with self._store.begin() as tx:
            build = await tx.lock_build(build_id)
            step = reprioritised(build, priority, requester)
            if step is None:
                return
            saved = await tx.save(step)
            await tx.set_priority(build_id, priority)
        self._tell(saved)

    async def annotate(self, build_id: str, request: AnnotationRequest, *, requester: str) -> Annotation:
        """Pin words to a build, also when it has ended.

        Raises:
            NotFound: no such build.
            Conflict: it has as many annotations as it takes.
        """
        async with self._store.begin() as tx:
            build = await tx.lock_build(build_id)
            known = await tx.queries.annotations(build_id)
            pinned, step = annotate(build, known, request, requester, await tx.now())
            if step is None:
                return pinned
            await tx.put_annotation(build_id, pinned)
            saved = await tx.save(step)
        self._feed.publish(saved.events)
        return pinned
