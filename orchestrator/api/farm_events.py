"""Events of all builds as server-sent events: in one order, filtered as asked, resumable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.sse import format_sse_event
from starlette.responses import Response

from buildyard.connections import writer_of_answer
from buildyard.contracts.events import EventType, FarmEvent, StreamReset
from buildyard.contracts.wire import AskedMoment
from buildyard.errors import TemporaryError
from orchestrator.api import examples
from orchestrator.api.documented import answers
from orchestrator.api.parts import ApiParts, Parts
from orchestrator.api.streams import HEARTBEAT_SECONDS, Primed, Streamed
from orchestrator.tail import Standing, Tail, told_to

router = APIRouter(prefix="/api/v1", tags=["builds"])

_MOST_DIGITS = 19
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
_AWAY_SECONDS = 1.0


@dataclass(frozen=True)
class _Which:
    """Which events a reader wants."""

    project: str | None
    types: frozenset[EventType]
    since: datetime | None

    def takes(self, event: FarmEvent) -> bool:
        """Whether this is one of them."""
        return (
            (self.project is None or event.project == self.project)
            and (not self.types or event.type in self.types)
            and (self.since is None or event.at >= self.since)
        )


@router.get(
    "/events",
    operation_id="watch_farm",
    summary="Watch the events of all builds",
    response_class=Response,
    responses=answers(200, examples.farm_event_text, 422, 503, kind="text/event-stream"),
)
async def watch_farm(
    parts: Parts,
    project: Annotated[
        str | None, Query(max_length=100, pattern=_PRINTABLE, description="Only events of this project's builds.")
    ] = None,
    types: Annotated[
        list[EventType] | None, Query(alias="type", max_length=40, description="Only events of these types.")
    ] = None,
    since: Annotated[
        AskedMoment | None, Query(description="Begin with the first event at or after this time, not with the next.")
    ] = None,
    after: Annotated[
        str | None, Query(max_length=64, description="`id` of the last event that was seen; 0 begins with the first.")
    ] = None,
    last_event_id: Annotated[str | None, Header(description="As `after`, and before it; browsers send it.")] = None,
) -> Response:
    """Every event of every build, in one order that never changes, from now on or from where a reader stopped.

    The stream has no end. An id that this server never gave is answered by an event `reset`, then by what is new.
    """
    which = _Which(project, frozenset(types or ()), since)
    seen, reset = await _place(parts, last_event_id if last_event_id is not None else after, since)
    content = await Primed.begin(_events(parts, which, seen, reset))
    return Streamed(content, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def written_out(event: FarmEvent) -> bytes:
    """An event as it is sent."""
    return format_sse_event(data_str=event.encode().decode(), id=event.id)


async def _place(parts: ApiParts, known: str | None, since: datetime | None) -> tuple[int, str]:
    """After which position a reader goes on, and why that is not where it asked to, if so."""
    newest = await parts.tail.newest()
    if known is not None:
        if not (known.isascii() and known.isdigit() and len(known) <= _MOST_DIGITS):
            return newest, f"{known[:64]!r} is no id of an event."
        if int(known) > newest:
            return newest, f"The newest event has the id {newest}; {known} was not given here."
        return int(known), ""
    return (newest if since is None else await parts.tail.place_since(since)), ""


async def _events(parts: ApiParts, which: _Which, seen: int, reset: str) -> AsyncGenerator[bytes]:
    tail, clock = parts.tail, parts.clock
    write_now, sent = writer_of_answer(), clock.monotonic()

    def write(text: bytes) -> bool:
        nonlocal sent
        if write_now is None or not write_now(text):
            return False
        sent = clock.monotonic()
        return True

    async with tail.follow():
        if reset:
            yield format_sse_event(event="reset", data_str=StreamReset(reason=reset).encode().decode(), id=str(seen))
        else:
            yield _mark("from here", seen)
        sent, reader = clock.monotonic(), Standing(seen, which, write)
        while not tail.stopping():
            try:
                told, news = await tail.after(reader.seen)
            except TemporaryError:  # the stream outlives an absence of the store
                told, news = [], None
            if told:
                if text := told_to(told, which, reader.seen):
                    yield text
                    sent = clock.monotonic()
                reader.seen = told[-1].position
            elif news is None:
                await asyncio.sleep(_AWAY_SECONDS)
            else:
                await _wait(tail, reader if write_now else news, sent + HEARTBEAT_SECONDS - clock.monotonic())
            if clock.monotonic() - sent >= HEARTBEAT_SECONDS:
                yield _mark("ping", reader.seen)
                sent = clock.monotonic()


async def _wait(tail: Tail, waiting: Standing | asyncio.Future[None], seconds: float) -> None:
    """Until there is more to read, or so many seconds; a reader that stands is written to meanwhile."""
    if isinstance(waiting, Standing):
        await tail.stand(waiting, max(0.0, seconds))
    else:
        await asyncio.wait({waiting}, timeout=max(0.0, seconds))


def _mark(comment: str, seen: int) -> bytes:
    """A comment that moves a reader's Last-Event-ID on, past events that it did not ask for."""
    return format_sse_event(comment=comment, id=str(seen))
