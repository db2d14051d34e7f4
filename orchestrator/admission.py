"""Admission: uploads are looked at before their builds are queued."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from buildyard.contracts.builds import BuildState, ReasonCode, UploadSource
from buildyard.errors import NotFound, TemporaryError, TooLarge
from buildyard.ports import ObjectStore
from buildyard.telemetry import logger
from orchestrator.domain.records import Build
from orchestrator.relay import jittered
from orchestrator.scan import Scanner
from orchestrator.service import Service
from orchestrator.store import Store

_log = logger("admission")
_AT_ONCE = 4
_LONGEST_PAUSE = 30.0
_LOOK_SECONDS = 15.0
_LEFT_AFTER = timedelta(seconds=30)
"""A build that is received for so long may have been left by its producer: to look at it twice does no harm."""
_PAGE = 500


class Admission:
    """Scans the uploads of received builds in the background; a restart takes up those left."""

    def __init__(
        self, store: Store, objects: ObjectStore, scanner: Scanner, service: Service, received: asyncio.Queue[Build]
    ) -> None:
        self._store = store
        self._objects = objects
        self._scanner = scanner
        self._service = service
        self._received = received
        self._in_hand: set[str] = set()

    async def run(self) -> None:
        """Admit until cancelled, a few uploads at once: one that must wait holds up no other for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_up())
            for _ in range(_AT_ONCE):
                group.create_task(self._admit_all())

    async def _take_up(self) -> None:
        """Find received builds that nobody here has in hand: left by a crash, or by another producer that is gone."""
        age = timedelta(0)
        while True:
            try:
                await self._find(age)
                age = _LEFT_AFTER
            except TemporaryError as error:
                _log.warning("cannot look for received builds", reason=str(error))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _find(self, age: timedelta) -> None:
        after, more = "", True
        while more:
            async with self._store.read() as queries:
                before = await queries.now() - age
                builds = await queries.open_builds([BuildState.RECEIVED], before, _PAGE, after)
            for build in builds:
                if build.id not in self._in_hand:
                    self._received.put_nowait(build)
            more = len(builds) == _PAGE
            after = builds[-1].id if builds else ""

    async def _admit_all(self) -> None:
        """Take one build after another; one whose scan fails for now goes behind the others."""
        pause = 1.0
        while True:
            build = await self._received.get()
            if build.id in self._in_hand:
                continue
            self._in_hand.add(build.id)
            try:
                if await self._still_received(build):
                    await self._admit(build)
                pause = 1.0
            except TemporaryError as error:
                _log.warning("waiting", build=build.id, reason=str(error), retry_in=pause)
                await asyncio.sleep(jittered(pause))
                pause = min(_LONGEST_PAUSE, pause * 2)
                if await self._still_received(build):
                    self._received.put_nowait(build)
            finally:
                self._in_hand.discard(build.id)

    async def _still_received(self, build: Build) -> bool:
        try:
            async with self._store.read() as queries:
                return (await queries.build(build.id)).state is BuildState.RECEIVED
        except TemporaryError:
            return True

    async def _admit(self, build: Build) -> None:
        if not isinstance(build.source, UploadSource):
            await self._service.admit(build.id)
            return
        try:
            found = await self._scanner.scan(await self._objects.open(build.source.key))
        except NotFound:
            reason = "The upload is gone from the object store."
            await self._service.reject_upload(build.id, ReasonCode.UPLOAD_GONE, reason)
            return
        except TooLarge as error:
            await self._service.reject_upload(build.id, ReasonCode.UNSCANNABLE, str(error))
            return
        if found is None:
            await self._service.admit(build.id)
            return
        _log.warning("infected", build=build.id, signature=found)
        await self._service.reject_upload(build.id, ReasonCode.INFECTED, f"The upload holds {found}.")
        await self._objects.delete([build.source.key])
