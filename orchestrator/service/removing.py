"""Removing ended builds, their logs and artifacts, and what attempts left behind, when their time is over.

Each removal goes in three steps, and any producer takes up what another left: it is marked, so that nobody is shown
what goes; its objects are deleted; its rows are. Two producers that do the same at once do no harm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from buildyard.errors import ObjectsUnavailable
from buildyard.telemetry import logger
from orchestrator.domain.records import EventDraft, Step
from orchestrator.domain.retention import Keep, Kept, Past, build_of, orphaned, still_kept, too_strange
from orchestrator.service.core import Core
from orchestrator.store.removing import Removal
from orchestrator.store.transaction import Saved, Transaction

_log = logger("removing")
_PAGE = 100
_BUILDS = "builds/"
_SAID = {Kept.TIDY: "leftovers", Kept.RECORD: "outputs", Kept.NOTHING: "builds"}


class Removing(Core):
    """What is kept no longer goes."""

    async def mark_old(self, keep: Keep) -> Counter[str]:
        """Mark what is kept no longer, all of it, page by page; how many builds that concerns, by what goes."""
        marked: Counter[str] = Counter()
        for kept in reversed(Kept):
            for more in kept.more:
                after, full = None, True
                while full:
                    page, after, full = await self._mark_page(more, kept, after, keep)
                    marked += page
        return marked

    async def finish_removals(self) -> Counter[str]:
        """Carry out what is marked, by whomever; how many builds that concerned, by what went.

        Raises:
            ObjectsUnavailable: what could not be deleted stays marked; it holds up nothing else.
        """
        done: Counter[str] = Counter()
        while True:
            async with self._store.begin() as tx:
                removals = await tx.removals(_PAGE)
            deleted, failure = await self._delete_all(removals)
            finished: Sequence[Removal] | None = None if deleted else ()
            while finished is None:  # whoever else writes comes between
                async with self._store.begin() as tx:
                    finished = await tx.finish_removals(deleted)
            done += Counter(_SAID[one.kept] for one in finished)
            if failure is not None:
                raise failure
            if len(removals) < _PAGE or not finished:
                return done

    async def _delete_all(self, removals: Sequence[Removal]) -> tuple[list[Removal], ObjectsUnavailable | None]:
        """Delete the objects of each; those that have none left, and the last failure."""
        deleted, failure = [], None
        for one in removals:
            try:
                await self._delete_objects(one)
            except ObjectsUnavailable as error:
                failure = error
            else:
                deleted.append(one)
        return deleted, failure

    async def delete_orphans(self, keep: Keep) -> int:
        """Delete objects of builds that there are not; how many.

        Those of removed builds come from workers that were late. Those of builds that nobody knows may also be another
        farm's, or those of a database that was lost: where they are many, they stay, and the log says so.

        Raises:
            ObjectsUnavailable: the others stay for now.
        """
        gone = await self._objects.drop_torn(_BUILDS, keep.orphans.total_seconds())
        own = strange = 0
        async for keys, removed, unknown in self._orphans(keep):
            await self._objects.delete(removed)
            gone += len(removed)
            own += len(keys) - len(unknown)
            strange += len(unknown)
        if too_strange(strange, own):
            _log.warning("objects of unknown builds stay: is this their database?", objects=strange, known=own)
        elif strange:
            async for _, _, unknown in self._orphans(keep):
                await self._objects.delete(unknown)
                gone += len(unknown)
        return gone

    # ------------------------------------------------------------------ inside

    async def _orphans(self, keep: Keep) -> AsyncIterator[tuple[list[str], list[str], list[str]]]:
        """Page by page old objects, those of them whose build was removed, and those whose build nobody knows."""
        async with self._store.read() as queries:
            old = await queries.now() - keep.orphans
        async for page in self._objects.pages(_BUILDS, old):
            keys = [info.key for info in page]
            builds = sorted({build_of(key) for key in keys})
            async with self._store.begin() as tx:
                there, removed = await tx.builds_there(builds), await tx.builds_removed(builds)
            orphans = orphaned(keys, there)
            unknown = orphaned(orphans, removed)
            yield keys, [key for key in orphans if build_of(key) in removed], unknown

    async def _mark_page(
        self, more: Kept, kept: Kept, after: tuple[datetime, str] | None, keep: Keep
    ) -> tuple[Counter[str], tuple[datetime, str] | None, bool]:
        """Look at one page of builds of which `more` is kept; what was marked, where the next page begins, if any."""
        marked: Counter[str] = Counter()
        async with self._store.begin() as tx:
            now = await tx.now()
            page = await tx.past(more, now - keep.at_least(kept), after, _PAGE)
            due = [one.build_id for one in page if still_kept(one, now, keep) is kept]
            held = await tx.past_held(due) if due else ()
            still = [one for one in held if still_kept(one, now, keep) is kept]
            saved = await self._mark(tx, still, kept)
            marked[_SAID[kept]] += len(still)
        self._feed.publish(event for one in saved for event in one.events)
        last = page[-1] if page else None
        place = (last.ended_at, last.build_id) if last is not None and last.ended_at is not None else None
        return +marked, place, len(page) == _PAGE

    async def _mark(self, tx: Transaction, builds: Sequence[Past], kept: Kept) -> list[Saved]:
        """Mark builds; of one whose outputs go the events tell it."""
        neat = [one.build_id for one in builds if kept is Kept.TIDY and not one.messy]
        rest = [one.build_id for one in builds if one.build_id not in neat]
        if neat:
            await tx.note_tidy(neat)
        if rest:
            await tx.mark(rest, kept)
        if kept is not Kept.RECORD:
            return []
        told = (EventDraft("outputs_removed"),)
        return [await tx.save(Step(build, events=told)) for build in await tx.builds_by_id(rest)]

    async def _delete_objects(self, removal: Removal) -> None:
        """Everything below the build's prefix, but for what is to stay."""
        prefix = f"{_BUILDS}{removal.build_id}/"
        keys = [info.key async for info in self._objects.list(prefix)]
        if removal.kept is Kept.TIDY:
            async with self._store.begin() as tx:
                referenced = await tx.referenced_keys(removal.build_id)
            keys = [key for key in keys if key not in referenced]
        await self._objects.delete(keys)
        await self._objects.drop_torn(prefix, 0)
