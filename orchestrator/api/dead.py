"""Dead letters: listing them, looking at one, requeueing one or many, dropping one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from buildyard.contracts.api import BuildAccepted
from buildyard.contracts.builds import ReasonCode
from buildyard.contracts.dead import (
    DeadLetterDetail,
    DeadLetterList,
    DropRequest,
    RequeuedList,
    RequeueRequest,
)
from buildyard.contracts.wire import AskedMoment
from buildyard.errors import Gone
from orchestrator.api import examples
from orchestrator.api.admitted import ADMITTED
from orchestrator.api.documented import DROP_BODY, REQUEUE_BODY, answers
from orchestrator.api.json_body import JsonRoute
from orchestrator.api.log_lines import Wanted, as_text
from orchestrator.api.log_streams import Question, stored_log
from orchestrator.api.once import NewBuildId
from orchestrator.api.parts import ApiParts, BuildId, Parts
from orchestrator.store.queries import DeadFilter

router = APIRouter(prefix="/api/v1/dead", tags=["dead letters"], route_class=JsonRoute)

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
_LAST_LINES = 50


@router.get(
    "",
    operation_id="list_dead_letters",
    summary="List dead letters, the newest build first",
    responses=answers(200, examples.dead_letters, 422, 503),
)
async def list_dead_letters(
    parts: Parts,
    project: Annotated[
        str | None, Query(max_length=100, pattern=_PRINTABLE, description="Only builds of this project.")
    ] = None,
    pool: Annotated[
        str | None, Query(max_length=40, pattern=_PRINTABLE, description="Only builds of this pool.")
    ] = None,
    reason_code: Annotated[
        ReasonCode | None, Query(alias="reasonCode", description="Only builds that ended for this reason.")
    ] = None,
    since: Annotated[AskedMoment | None, Query(description="Only those that died at or after this time.")] = None,
    settled: Annotated[bool, Query(description="Also those that were requeued or dropped.")] = False,  # noqa: FBT002 - a query parameter
    limit: Annotated[int, Query(ge=1, le=200, description="Dead letters a page.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=500, pattern=_PRINTABLE, description="`nextCursor` of the page before.")
    ] = None,
) -> DeadLetterList:
    """Builds that the farm failed and that wait for a person; `nextCursor` is null on the last page."""
    which = DeadFilter(project, _lower(pool), reason_code, since, cursor, settled, limit)
    return await parts.views.dead_letters(which)


@router.post(
    "/requeue",
    operation_id="requeue_dead_letters",
    dependencies=ADMITTED,
    summary="Requeue all dead letters that match",
    responses=answers(200, examples.requeued, 400, 413, 415, 422, 429, 503),
    openapi_extra=REQUEUE_BODY,
)
async def requeue_dead_letters(request: RequeueRequest, parts: Parts) -> RequeuedList:
    """Up to `limit` of them become new builds, the newest first; `nextCursor` leads to the rest."""
    which = DeadFilter(
        project=request.project,
        pool=_lower(request.pool),
        code=request.reason_code,
        since=request.since,
        before=request.cursor,
        limit=request.limit,
    )
    return await parts.service.requeue_matching(which, requester=parts.requester)


@router.get(
    "/{build_id:id}",
    operation_id="get_dead_letter",
    summary="Look at a dead letter",
    responses=answers(200, examples.dead_letter_detail, 404, 410, 503),
)
async def get_dead_letter(build_id: BuildId, parts: Parts) -> DeadLetterDetail:
    """Why it died, its attempts, its newest events and the last 50 lines of its log; also once it is settled."""
    detail = await parts.views.dead_letter(build_id)
    return detail.model_copy(update={"log": await _last_lines(parts, build_id)})


@router.post(
    "/{build_id:id}/requeue",
    operation_id="requeue_dead_letter",
    dependencies=ADMITTED,
    summary="Requeue a dead letter",
    status_code=202,
    response_description="A new build, whose `retryOf` names the dead one, is durable from here on.",
    responses=answers(202, examples.accepted, 403, 404, 409, 410, 422, 429, 503),
)
async def requeue_dead_letter(build_id: BuildId, response: Response, parts: Parts, new_id: NewBuildId) -> BuildAccepted:
    """The same sources and request as a new build; of a batch, only the rows without a good result are run."""
    accepted = await parts.service.requeue(build_id, requester=parts.requester, new_id=new_id)
    response.headers["Location"] = accepted.links.self_
    return accepted


@router.post(
    "/{build_id:id}/drop",
    operation_id="drop_dead_letter",
    summary="Drop a dead letter",
    responses=answers(200, examples.dead_letter_detail, 400, 404, 409, 410, 413, 415, 422, 503),
    openapi_extra=DROP_BODY,
)
async def drop_dead_letter(build_id: BuildId, request: DropRequest, parts: Parts) -> DeadLetterDetail:
    """Give it up, with the reason for whoever asks later. The build itself stays."""
    await parts.service.drop(build_id, request.reason, requester=parts.requester)
    return await parts.views.dead_letter(build_id)


async def _last_lines(parts: ApiParts, build_id: str) -> tuple[str, ...]:
    try:
        segments = await parts.views.log_segments(build_id)
    except Gone:
        return ()
    question = Question(Wanted(1, None, None), _LAST_LINES, as_text)
    text = b"".join([piece async for piece in stored_log(parts.objects, segments, question)])
    return tuple(text.decode("utf-8", "replace").split("\n")[:-1])


def _lower(pool: str | None) -> str | None:
    return pool.lower() if pool else pool
