"""What people change while builds wait: pausing and resuming a pool's intake, a build's priority."""

from __future__ import annotations

from buildyard.contracts.builds import Priority
from buildyard.errors import NotFound
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
