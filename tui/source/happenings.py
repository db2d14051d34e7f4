"""Following what happens to all builds: one stream of events instead of asking for lists again and again.

The stream is taken up again where it stopped. Where there is none, since the producer is older or may not be asked,
lists are polled as `BuildReads` says, and the stream is tried again now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import get_args

from buildyard.client import ProducerClient
from buildyard.contracts.events import EventType, FarmEvent
from buildyard.errors import BuildyardError, TemporaryError
from tui.source.builds import BuildReads
from tui.source.outbox import Outbox
from tui.state.events import BuildChanged

_NOT_SHOWN = frozenset({"log_stored", "outputs_removed", "build_annotated", "job_ready"})
TYPES: tuple[EventType, ...] = tuple(one for one in get_args(EventType) if one not in _NOT_SHOWN)
"""What changes something that a list of builds shows."""
_DEAD = frozenset({"build_dead", "build_requeued", "build_dropped"})
_SETTLED_SECONDS = 2.0
"""A stream that has not failed for so long is one."""
_PAUSE_SECONDS = 1.0
_REFUSED_SECONDS = 30.0


class FarmFollower:
    """All builds' events, from now on.

    Args:
        builds: is told of each event, and whether there is a stream.
        hurry: called when something is to be read at once; with True when dead letters are.
    """

    def __init__(
        self, producer: ProducerClient, outbox: Outbox, builds: BuildReads, hurry: Callable[[bool], None]
    ) -> None:
        self._producer = producer
        self._outbox = outbox
        self._builds = builds
        self._hurry = hurry
        self._after = ""

    async def run(self) -> None:
        """Follow for ever; may be cancelled and called again at any time."""
        while True:
            settled = asyncio.get_running_loop().call_later(_SETTLED_SECONDS, self._settle)
            try:
                await self._follow()
                pause = _PAUSE_SECONDS
            except BuildyardError as error:
                pause = _PAUSE_SECONDS if isinstance(error, TemporaryError) else _REFUSED_SECONDS
            finally:
                settled.cancel()
                self._builds.streamed(on=False)
            await asyncio.sleep(pause)

    def _settle(self) -> None:
        self._builds.streamed(on=True)
        self._hurry(False)  # noqa: FBT003 - a callback's argument

    async def _follow(self) -> None:
        async with aclosing(self._producer.farm_events(types=TYPES, after=self._after)) as events:
            async for told in events:
                if not isinstance(told, FarmEvent):  # the producer's database is another one: everything is read anew
                    self._after = ""
                    self._settle()
                    continue
                self._after = told.id
                await self._outbox.put(BuildChanged(told, told.project, told.pool))
                if self._builds.told(told) or told.type in _DEAD:
                    self._hurry(told.type in _DEAD)
