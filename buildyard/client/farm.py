"""The events of all builds: a stream without end that is taken up again where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime

from pydantic import ValidationError

from buildyard.client.following import Patience
from buildyard.client.sse import ServerSent, blocks_of
from buildyard.client.transport import QUIET_STREAM_SECONDS, Transport
from buildyard.contracts.events import EventType, FarmEvent, StreamReset
from buildyard.contracts.wire import rfc3339
from buildyard.errors import ProducerUnavailable

_PATH = "/api/v1/events"
_PAUSE_SECONDS = 0.5


class FarmWide:
    """The part of a client that watches the whole farm."""

    _http: Transport

    async def farm_events(
        self,
        *,
        project: str | None = None,
        types: Iterable[EventType] = (),
        since: datetime | None = None,
        after: str = "",
    ) -> AsyncGenerator[FarmEvent | StreamReset]:
        """The events of all builds without gap or repetition, from now on, from a time, or after an event's `id`.

        The stream has no end; one that breaks is taken up again, for as long as the producer comes back within 30 s.
        A StreamReset says that the producer does not know the place, since its database is another one: read anew
        what you show; the events of what happens from then on follow.
        """
        params: dict[str, object] = {
            "project": project,
            "type": list(types) or None,
            "since": rfc3339(since) if since else None,
        }
        patience = Patience()
        while True:
            try:
                async with aclosing(_once(self._http, params, after, patience)) as blocks:
                    async for block in blocks:
                        after = block.id or after
                        if (told := _read(block)) is not None:
                            patience.progressed()
                            yield told
                await asyncio.sleep(_PAUSE_SECONDS)
            except ProducerUnavailable as error:
                await patience.wait(error)


async def _once(
    http: Transport, params: Mapping[str, object], after: str, patience: Patience
) -> AsyncGenerator[ServerSent]:
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
    async with http.open("GET", _PATH, params=params, headers=headers, quiet_seconds=QUIET_STREAM_SECONDS) as answer:
        patience.answered()
        async for block in blocks_of(answer.lines()):
            yield block


def _read(block: ServerSent) -> FarmEvent | StreamReset | None:
    """What a block tells; None for comments and event types of a newer producer."""
    if not block.data:
        return None
    kind = StreamReset if block.event == "reset" else FarmEvent
    try:
        return kind.model_validate_json(block.data)
    except ValidationError:
        return None
