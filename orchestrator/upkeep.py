"""Upkeep: what nobody needs any more goes: uploads, sources, agents, keys of requests and what broken uploads left.

How ended builds go, and what they stored, tells `orchestrator/retiring.py`.

An upload's object is removed after the commit that says so: a crash between leaves it to the next round, and whoever
would build it again meanwhile is told that it is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from buildyard.ports import ObjectStore
from buildyard.telemetry import logger
from orchestrator.domain.once import KEY_KEPT
from orchestrator.domain.retention import TOMBSTONES_KEPT, Keep, aged, releasable
from orchestrator.store import Store
from orchestrator.views import AGENTS_KEPT

_log = logger("upkeep")
_AT_ONCE = 200
_UPLOADS = "uploads/"
_QUARANTINE = "quarantine/"
_ANY_CLOCK = timedelta(days=10_000)
_READERS_KEPT = timedelta(hours=1)
"""A producer that went without a word noted nothing for so long."""


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
            await tx.drop_tombstones_before(now - TOMBSTONES_KEPT)
            await tx.drop_readers("", now - _READERS_KEPT)
        if keys:
            await self._objects.delete(keys)

    async def drop_old_objects(self) -> None:
        """Remove what crashed uploads left, and the sources of builds that ended long ago."""
        async with self._store.read() as queries:
            now = await queries.now()
        await self._drop_torn(now)
        async for page in self._pages(_UPLOADS, now):
            ids = aged(page, now, self._keep.unbuilt)
            for start in range(0, len(ids), _AT_ONCE):
                await self._let_go(ids[start : start + _AT_ONCE])

    async def _drop_torn(self, now: datetime) -> None:
        """An upload is in quarantine only while its request lasts."""
        count = await self._objects.drop_torn(_QUARANTINE, self._keep.unbuilt.total_seconds())
        async for page in self._pages(_QUARANTINE, now):
            torn = aged(page, now, self._keep.unbuilt)
            await self._objects.delete([_QUARANTINE + one for one in torn])
            count += len(torn)
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

    async def _pages(self, prefix: str, now: datetime) -> AsyncIterator[list[str]]:
        """The names below a prefix, page by page: their ids tell their age, also where the store's clock is another."""
        async for page in self._objects.pages(prefix, now + _ANY_CLOCK):
            yield [info.key.removeprefix(prefix) for info in page]
