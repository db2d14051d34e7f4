"""Events of a build as server-sent events: numbered, resumable, and over when the build is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import Response

from buildyard.contracts.events import BuildEvent
from buildyard.contracts.messages import LogLines
from buildyard.errors import TemporaryError
from orchestrator.api import examples
from orchestrator.api.documented import answers
from orchestrator.api.parts import ApiParts, BuildId, Parts
from orchestrator.api.streams import HEARTBEAT_SECONDS, Streamed

router = APIRouter(prefix="/api/v1/builds", tags=["builds"])

_TICK_SECONDS = 1.0
_RECHECK_SECONDS = 5.0
_PAGE = 500
_LAST = "build_ended"


@router.get(
    "/{build_id}/events",
    operation_id="watch_build",
    summary="Watch a build's events",
    response_class=Response,
    responses={
        **answers(200, examples.event_text, 404, 410, 422, 503, kind="text/event-stream"),
        204: {"description": "The build has ended and every event was seen: do not connect again."},
    },
)
async def watch_build(
    build_id: BuildId,
    parts: Parts,
    after: Annotated[
        int | None, Query(ge=0, le=2**31 - 1, description="Number of the last event that was seen.")
    ] = None,
    last_event_id: Annotated[str | None, Header(description="As `after`; browsers send it.")] = None,
) -> Response:
    """Every event of the build from number 1, or from the one after the last seen, up to `build_ended`."""
    seen = after if after is not None else event_number(last_event_id)
    if await parts.views.build_ended(build_id) and not await parts.views.events(build_id, after=seen, limit=1):
        return Response(status_code=204)
    return Streamed(_events(parts, build_id, seen), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def event_number(text: str | None) -> int:
    """A Last-Event-ID of another server, or a broken one, begins from the start."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004 - no build has so many


async def _events(parts: ApiParts, build_id: str, seen: int) -> AsyncGenerator[bytes]:
    async with parts.feed.watch(build_id) as watch:  # watching begins before the store is read
        news = await parts.views.events(build_id, after=seen, limit=_PAGE)
        sent = asked = parts.clock.monotonic()
        while True:
            for event in news:
                yield format_sse_event(data_str=event.encode().decode(), id=str(event.seq))
                seen = event.seq
                if event.type == _LAST:
                    return
            now = parts.clock.monotonic()
            sent = now if news else sent
            if now - sent >= HEARTBEAT_SECONDS:
                yield KEEPALIVE_COMMENT
                sent = now
            if parts.state() == "stopping":
                return
            item = await watch.next_item(_TICK_SECONDS) if len(news) < _PAGE else None
            ask = watch.overflowed or len(news) == _PAGE or now - asked >= _RECHECK_SECONDS
            if not ask and (fresh := _fresh(item, seen)) is not None:
                news = fresh
                continue
            watch.overflowed, asked = False, now
            try:
                ended = await parts.views.build_ended(build_id)
                news = await parts.views.events(build_id, after=seen, limit=_PAGE)
            except TemporaryError:  # the stream outlives an absence of the store
                watch.overflowed, news = True, ()
                await asyncio.sleep(_TICK_SECONDS)
                continue
            if ended and not news:
                return


def _fresh(item: BuildEvent | LogLines | None, seen: int) -> tuple[BuildEvent, ...] | None:
    """The item as the next event to send, nothing when it is none, None when one before it was missed."""
    if not isinstance(item, BuildEvent) or item.seq <= seen:
        return ()
    return (item,) if item.seq == seen + 1 else None
