"""Upkeep: what nobody needs any more goes: uploads, sources, agents, keys of requests and what broken uploads left.

Builds are kept, with their jobs, attempts, events, rows, log segments and artifacts: those tables and their objects
grow with every build.

An upload's object is removed after the commit that says so: a crash between leaves it to the next round, and whoever
would build it again meanwhile is told that it is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from buildyard.ports import ObjectStore
from buildyard.telemetry import logger
from orchestrator.domain.once import KEY_KEPT
from orchestrator.domain.retention import Keep, aged, releasable
from orchestrator.store import Store
from orchestrator.views import AGENTS_KEPT

_log = logger("upkeep")
_AT_ONCE = 200
_UPLOADS = "uploads/"
_QUARANTINE = "quarantine/"


class Upkeep:
    """Drops old things; safe in several producers at once."""

    def __init__(self, store: Store, objects: ObjectStore, keep: Keep) -> None:
        self._store = store
        self._objects = objects
        self._keep = keep

    async def drop_old_rows(self) -> None:
        """Forget uploads that nobody built, agents that went long ago, and keys of old requests."""
        async with self._store.begin() as tx:
            now = await tx.now()
            keys = await tx.drop_uploads_before(now - self._keep.unbuilt)
            await tx.drop_agents_before(now - AGENTS_KEPT)
            await tx.drop_keys_before(now - KEY_KEPT)
        if keys:
            await self._objects.delete(keys)

    async def drop_old_objects(self) -> None:
        """Remove what crashed uploads left, and the sources of builds that ended long ago."""
        async with self._store.read() as queries:
            now = await queries.now()
        await self._drop_torn(now)
        ids = aged(await self._ids(_UPLOADS), now, self._keep.unbuilt)
        for start in range(0, len(ids), _AT_ONCE):
            await self._let_go(ids[start : start + _AT_ONCE])

    async def _drop_torn(self, now: datetime) -> None:
        """An upload is in quarantine only while its request lasts."""
        torn = aged(await self._ids(_QUARANTINE), now, self._keep.unbuilt)
        await self._objects.delete([_QUARANTINE + one for one in torn])
        count = len(torn) + await self._objects.drop_torn(_QUARANTINE, self._keep.unbuilt.total_seconds())
        if count:
            _log.info("removed what broken uploads left", count=count)

    async def _let_go(self, ids: Sequence[str]) -> None:
        async with self._store.begin() as tx:
            uses = await tx.source_uses(ids)
            gone = releasable(ids, uses, await tx.unbuilt_uploads(ids), await tx.now(), self._keep)
            if gone:
                await tx.let_go(gone)
        if gone:
            await self._objects.delete([_UPLOADS + one for one in gone])
            _log.info("uploads let go", count=len(gone))

    async def _ids(self, prefix: str) -> list[str]:
        return [info.key.removeprefix(prefix) async for info in self._objects.list(prefix)]
