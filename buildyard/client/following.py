"""Streams that outlive a connection: logs and events are taken up again where they stopped, without gap or double."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import NamedTuple

from buildyard.client.sse import events_of
from buildyard.client.transport import QUIET_STREAM_SECONDS, Transport
from buildyard.contracts.events import BuildEvent
from buildyard.errors import ProducerUnavailable

PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.5

HasEnded = Callable[[], Awaitable[bool]]


class LogEntry(NamedTuple):
    """A line of a build's log with all that is known of it; `n` counts from 1 over the whole build."""

    n: int
    at: str
    """RFC 3339; "" where it is not known."""
    stage: str
    text: str
    job: str
    attempt: int


async def log_entries(http: Transport, path: str, params: Mapping[str, object]) -> AsyncGenerator[tuple[LogEntry, ...]]:
    """The lines of a followed log over one connection, as they arrive; the caller takes it up again after `n`."""
    asked = {**params, "follow": True, "format": "jsonl"}
    async with http.open("GET", path, params=asked, quiet_seconds=None) as answer:
        async for lines in answer.batches():
            yield tuple(_entry(line) for line in lines)


def _entry(line: str) -> LogEntry:
    try:
        f = json.loads(line)
        job, attempt = str(f.get("job", "")), int(f.get("attempt", 0))
        return LogEntry(int(f["n"]), str(f["at"]), str(f["stage"]), str(f["text"]), job, attempt)
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # it broke off there
        raise ProducerUnavailable("The producer sent a line of a log that cannot be read.") from error


class Patience:
    """How long a stream that breaks is taken up again: 30 s without progress, and not at all before the first answer.

    An answer alone is no progress: a server may break off every stream it begins.
    """

    def __init__(self) -> None:
        self.tried = False
        self._waited = 0.0

    def answered(self) -> None:
        """Somebody answers."""
        self.tried = True

    def progressed(self) -> None:
        """Something new came."""
        self.tried = True
        self._waited = 0.0

    async def wait(self, error: ProducerUnavailable) -> None:
        """Wait before another try. Raises `error` when that makes no sense any more."""
        if not self.tried or self._waited >= PATIENCE_SECONDS:
            raise error
        self._waited += error.retry_after
        await asyncio.sleep(error.retry_after)


async def followed_log(
    http: Transport, path: str, params: Mapping[str, object], has_ended: HasEnded
) -> AsyncGenerator[LogEntry]:
    """The lines of a log until the build has ended.

    A stream may also end because the producer stops; so it counts as the last one only when the build was known to
    have ended before it began.
    """
    given = dict(params)
    patience = Patience()
    while True:
        try:
            ended = patience.tried and await has_ended()
            async with aclosing(_log_once(http, path, given, patience)) as lines:
                async for entry in lines:
                    patience.progressed()
                    given |= {"tail": None, "from": entry.n + 1}
                    yield entry
            if ended:
                return
            await asyncio.sleep(0 if await has_ended() else _PAUSE_SECONDS)
        except ProducerUnavailable as error:
            await patience.wait(error)


async def _log_once(
    http: Transport, path: str, params: Mapping[str, object], patience: Patience
) -> AsyncGenerator[LogEntry]:
    asked = {**params, "follow": True, "format": "jsonl"}
    async with http.open("GET", path, params=asked, quiet_seconds=None) as answer:
        patience.answered()
        async for line in answer.lines():
            yield _entry(line)


async def stored_log(http: Transport, path: str, params: Mapping[str, object]) -> AsyncGenerator[LogEntry]:
    """The lines of a log as far as it is there."""
    asked = {**params, "format": "jsonl"}
    async with http.open("GET", path, params=asked, quiet_seconds=QUIET_STREAM_SECONDS) as answer:
        async for line in answer.lines():
            yield _entry(line)


async def followed_events(http: Transport, path: str, after: int, has_ended: HasEnded) -> AsyncGenerator[BuildEvent]:
    """The events after number `after` until `build_ended`."""
    patience = Patience()
    while True:
        try:
            async with aclosing(_events_once(http, path, after, patience)) as events:
                async for event in events:
                    patience.progressed()
                    if event.seq > after:
                        after = event.seq
                        yield event
                    if event.type == "build_ended":
                        return
            if await has_ended():
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        except ProducerUnavailable as error:
            await patience.wait(error)


async def _events_once(http: Transport, path: str, after: int, patience: Patience) -> AsyncGenerator[BuildEvent]:
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(after)} if after else {})}
    async with http.open("GET", path, headers=headers, quiet_seconds=QUIET_STREAM_SECONDS) as answer:
        patience.answered()
        async for event in events_of(answer.lines()):
            yield event
