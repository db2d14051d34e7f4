"""The gate before new work: full queues, full disks and hasty requesters are told when to come again."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from buildyard.clock import Clock
from buildyard.errors import Overloaded, TemporaryError
from buildyard.settings import Settings
from orchestrator.domain.backpressure import Allowance, IntakeLimits, IntakeSeen, refusal, spend
from orchestrator.views import Views

_FRESH_SECONDS = 0.5
"""How old counts may be: the gate must cost next to nothing when hundreds of requests come in a second."""
_SHARE = 20
"""Counts that take long are used for so many times as long as they took: counting takes a twentieth of the time."""
_REQUESTERS_KEPT = 10_000


class Gate:
    """Decides about each request for new work."""

    def __init__(self, settings: Settings, views: Views, clock: Clock) -> None:
        self._limits = IntakeLimits(
            open_builds=settings.queue_max_builds,
            unbuilt_bytes=settings.unbuilt_max_bytes,
            free_bytes=settings.disk_reserve_bytes,
            requests_per_minute=settings.requests_per_minute,
        )
        self._folders = _folders_of(settings)
        self._views = views
        self._clock = clock
        self._allowances: OrderedDict[str, Allowance] = OrderedDict()
        self._seen: IntakeSeen | None = None
        self._fresh_until = 0.0
        self._coming = 0
        self._let_in = 0
        self._looking = asyncio.Lock()

    @asynccontextmanager
    async def passed(self, requester: str, coming_bytes: int | None) -> AsyncGenerator[None]:
        """Let a request through; inside the block the bytes that it announced count as on their way.

        Raises what `pass_or_raise` raises.
        """
        await self.pass_or_raise(requester, coming_bytes)
        self._coming += coming_bytes or 0
        try:
            yield
        finally:
            self._coming -= coming_bytes or 0

    async def pass_or_raise(self, requester: str, coming_bytes: int | None) -> None:
        """Let a request through. `coming_bytes` is 0 for an upload that announces no size, None for no upload.

        Raises:
            Overloaded: too many builds or bytes are in hand, or this requester asks too often.
            ObjectsUnavailable: the disk has too little room.
        """
        left, wait = spend(self._allowances.get(requester), self._clock.monotonic(), self._limits)
        if self._limits.requests_per_minute:
            self._remember(requester, left)
        if wait:
            raise Overloaded(
                f"More than {self._limits.requests_per_minute} requests for builds came from you within a minute.",
                remedy=f"Ask more slowly: again in {math.ceil(wait)} s.",
                retry_after=wait,
            )
        seen, free = await self._look(), await asyncio.to_thread(self._least_free)
        if seen.open_builds is not None:
            seen = replace(seen, open_builds=seen.open_builds + self._let_in)
        if seen.unbuilt_bytes is not None:
            seen = replace(seen, unbuilt_bytes=seen.unbuilt_bytes + self._coming)
        error = refusal(replace(seen, free_bytes=free, coming_bytes=coming_bytes), self._limits)
        if error is not None:
            raise error
        self._let_in += 1

    async def check_room(self) -> None:
        """Whether there is room on the disks for what comes in.

        Raises:
            ObjectsUnavailable: the disk has too little room.
        """
        free = await asyncio.to_thread(self._least_free)
        error = refusal(IntakeSeen(free_bytes=free), self._limits)
        if error is not None:
            raise error

    def _least_free(self) -> int | None:
        found = [free for folder in self._folders if (free := _free_bytes(folder)) is not None]
        return min(found, default=None)

    def _remember(self, requester: str, allowance: Allowance) -> None:
        self._allowances[requester] = allowance
        self._allowances.move_to_end(requester)
        while len(self._allowances) > _REQUESTERS_KEPT:
            self._allowances.popitem(last=False)

    async def _look(self) -> IntakeSeen:
        async with self._looking:
            now = self._clock.monotonic()
            if self._seen is None or now > self._fresh_until:
                self._seen, self._let_in = await self._fresh(), 0
                took = self._clock.monotonic() - now
                self._fresh_until = now + max(_FRESH_SECONDS, took * _SHARE)
            return self._seen

    async def _fresh(self) -> IntakeSeen:
        try:
            load = await self._views.load()
        except TemporaryError:
            return IntakeSeen()  # the request itself will say what is wrong with the store
        return IntakeSeen(
            open_builds=load.open_builds,
            oldest_wait_seconds=load.oldest_wait_seconds,
            unbuilt_bytes=load.unbuilt_bytes,
            agents=load.agents,
            past_seconds=load.past_seconds,
        )


def _folders_of(settings: Settings) -> tuple[Path, ...]:
    """Where uploads, state and messages lie, as far as that is on this machine."""
    files = [settings.store.partition("sqlite+aiosqlite:///")[2], settings.broker.partition("sqlite:///")[2]]
    folders = [Path(file.partition("?")[0]).parent for file in files if file]
    objects = settings.objects
    return (*folders, Path(objects.removeprefix("file://"))) if objects.startswith("file://") else tuple(folders)


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
