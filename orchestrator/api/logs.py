"""The log of a build: whole, a range of lines, the tail, or followed until the build ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import PlainTextResponse, Response

from buildyard.contracts.builds import StageName
from buildyard.errors import InvalidRequest
from orchestrator.api import examples
from orchestrator.api.documented import answers
from orchestrator.api.events import event_number
from orchestrator.api.log_lines import Wanted, as_event, as_json, as_text
from orchestrator.api.log_streams import Question, followed_log, stored_log
from orchestrator.api.parts import ApiParts, BuildId, Parts
from orchestrator.api.streams import Primed, Streamed
from orchestrator.domain.records import LogSegment

router = APIRouter(prefix="/api/v1/builds", tags=["builds"])

_KINDS = {"text": "text/plain; charset=utf-8", "jsonl": "application/jsonl", "sse": "text/event-stream"}
_RENDERERS = {"text": as_text, "jsonl": as_json, "sse": as_event}
_LOG_END = format_sse_event(event="end", data_str="{}")
Format = Literal["text", "jsonl", "sse"]


async def _question(
    from_: Annotated[
        int, Query(alias="from", ge=1, description="First line, counted from 1 over the whole build.")
    ] = 1,
    to: Annotated[int | None, Query(ge=1, description="Last line.")] = None,
    tail: Annotated[int | None, Query(ge=1, le=10_000_000, description="Only the last so many lines.")] = None,
    stage: Annotated[
        str | None, Query(max_length=20, description="Only this stage's lines.", examples=["Test"])
    ] = None,
    form: Annotated[
        Format, Query(alias="format", description="Text, one JSON object a line, or server-sent events.")
    ] = "text",
    last_event_id: Annotated[
        str | None, Header(description="With `format=sse`: the last line that was seen; browsers send it.")
    ] = None,
) -> Question:
    if tail is not None and (from_ != 1 or to is not None):
        raise InvalidRequest("Ask for `tail` or for `from` and `to`, not for both.", field="tail")
    if to is not None and to < from_:
        raise InvalidRequest("The range ends before it begins.", field="to")
    if form == "sse":
        seen = event_number(last_event_id)
        first, tail = (seen + 1, None) if seen else (from_, tail)
        return Question(Wanted(first, to, _stage(stage)), tail, as_event, beat=KEEPALIVE_COMMENT, end=_LOG_END)
    return Question(Wanted(from_, to, _stage(stage)), tail, _RENDERERS[form])


def _stage(word: str | None) -> str | None:
    if word is None:
        return None
    try:
        return StageName(word).value
    except ValueError as error:
        known = ", ".join(stage.wire for stage in StageName)
        raise InvalidRequest(f"The stage must be one of {known}.", field="stage") from error


@router.get(
    "/{build_id}/logs",
    operation_id="get_log",
    summary="Read or follow a build's log",
    response_class=PlainTextResponse,
    responses={
        **answers(200, examples.log_text, 404, 410, 422, 503, kind="text/plain"),
        204: {"description": "With `format=sse`: the build has ended and every line was seen: do not connect again."},
    },
)
async def get_log(
    build_id: BuildId,
    parts: Parts,
    question: Annotated[Question, Depends(_question)],
    follow: Annotated[bool, Query(description="Go on until the build has ended.")] = False,  # noqa: FBT002 - a query parameter
    form: Annotated[Format, Query(alias="format")] = "text",
) -> Response:
    """The log as plain text, a line of it a line; with `format=jsonl` with number, time, stage, job and attempt.

    With `format=sse` each line is a server-sent event whose `id` is its number; an event `end` follows the last one.
    Followed lines that are not stored yet are numbered on in the order they come.
    """
    of_one_stage = question.wanted.stage is not None  # then nobody knows in which segments its last lines lie
    segments = await parts.views.log_segments(build_id, None if follow or of_one_stage else question.tail)
    if form == "sse" and question.wanted.first > 1 and await _all_seen(parts, build_id, question, segments):
        return Response(status_code=204)
    if follow:
        return Streamed(followed_log(parts, build_id, question), media_type=_KINDS[form], headers=_UNBUFFERED)
    content = await Primed.begin(stored_log(parts.objects, segments, question))
    return Streamed(content, media_type=_KINDS[form])


async def _all_seen(parts: ApiParts, build_id: str, question: Question, segments: Sequence[LogSegment]) -> bool:
    last = segments[-1].build_last if segments else 0
    return question.wanted.first > last and await parts.views.build_ended(build_id)


_UNBUFFERED = {"X-Accel-Buffering": "no"}
