"""Builds: asking for one, listing them, looking at one, cancelling it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from buildyard.contracts.api import BuildAccepted, BuildList, BuildRequest, BuildStatus, CancelAccepted, Trace
from buildyard.contracts.builds import BuildState
from buildyard.contracts.changing import RetryRequest
from buildyard.errors import InvalidRequest
from orchestrator.api import examples
from orchestrator.api.admitted import ADMITTED
from orchestrator.api.documented import BUILD_BODY, RETRY_BODY, answers
from orchestrator.api.json_body import JsonRoute
from orchestrator.api.once import NewBuildId
from orchestrator.api.parts import BuildId, Parts

router = APIRouter(prefix="/api/v1/builds", tags=["builds"], route_class=JsonRoute)

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"


async def _status(
    status: Annotated[
        str | None, Query(max_length=20, description="Only builds of this status.", examples=["Running"])
    ] = None,
) -> BuildState | None:
    if status is None:
        return None
    try:
        return BuildState(status)
    except ValueError as error:
        known = ", ".join(state.wire for state in BuildState)
        raise InvalidRequest(f"The status must be one of {known}.", field="status") from error


@router.post(
    "",
    operation_id="submit_build",
    dependencies=ADMITTED,
    summary="Build a repository",
    status_code=202,
    response_description="The build is durable from here on.",
    responses=answers(202, examples.accepted, 400, 403, 413, 415, 422, 429, 503),
    openapi_extra=BUILD_BODY,
)
async def submit_build(request: BuildRequest, response: Response, parts: Parts, new_id: NewBuildId) -> BuildAccepted:
    """Build a git repository on an allowed host. Two shapes of the body are read, the full and the short one."""
    if request.job.repository_url is None:
        raise InvalidRequest(
            "The request names no repository.",
            remedy="Add repositoryUrl, or upload the sources with POST /upload.",
            field="job.repositoryUrl",
        )
    accepted = await parts.service.submit_git(request, requester=parts.requester, build_id=new_id)
    response.headers["Location"] = accepted.links.self_
    return accepted


@router.get(
    "",
    operation_id="list_builds",
    summary="List builds, newest first",
    responses=answers(200, examples.builds, 422, 503),
)
async def list_builds(
    parts: Parts,
    status: Annotated[BuildState | None, Depends(_status)],
    project: Annotated[
        str | None, Query(max_length=100, pattern=_PRINTABLE, description="Only builds of this project.")
    ] = None,
    pool: Annotated[
        str | None, Query(max_length=40, pattern=_PRINTABLE, description="Only builds in this pool.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Builds a page.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=500, pattern=_PRINTABLE, description="`nextCursor` of the page before.")
    ] = None,
) -> BuildList:
    """A page of builds; `nextCursor` leads to the next one and is null on the last."""
    return await parts.views.builds(
        status=status, project=project, pool=pool.lower() if pool else pool, cursor=cursor, limit=limit
    )


@router.get(
    "/{build_id}",
    operation_id="get_build",
    summary="Look at a build",
    responses=answers(200, examples.build, 404, 410, 503),
)
async def get_build(build_id: BuildId, parts: Parts) -> BuildStatus:
    """Where the build stands: its stages, tests, rows, attempts, and why it ended."""
    return await parts.views.build(build_id)


@router.get(
    "/{build_id}/trace",
    operation_id="get_trace",
    summary="Where a build's time went",
    responses=answers(200, examples.trace, 404, 410, 503),
)
async def get_trace(build_id: BuildId, parts: Parts) -> Trace:
    """The build's way as spans, oldest first: waiting, each attempt, each stage."""
    return await parts.views.trace(build_id)


@router.post(
    "/{build_id}/retry",
    operation_id="retry_build",
    dependencies=ADMITTED,
    summary="Build an ended build again",
    status_code=202,
    response_description="A new build, whose `retryOf` names the old one, is durable from here on.",
    responses=answers(202, examples.accepted, 400, 403, 404, 409, 410, 413, 415, 422, 429, 503),
    openapi_extra=RETRY_BODY,
)
async def retry_build(
    build_id: BuildId, response: Response, parts: Parts, new_id: NewBuildId, request: RetryRequest | None = None
) -> BuildAccepted:
    """The same sources and request as a new build; of a batch that did not succeed, only rows without a good result.

    `failedOnly` true refuses (409 `no_failed_part`) where nothing can be taken over, false builds all of it anew. A
    dead letter is settled by it. 409 tells as well that the build has not ended.
    """
    failed_only = request.failed_only if request else None
    accepted = await parts.service.retry(build_id, requester=parts.requester, new_id=new_id, failed_only=failed_only)
    response.headers["Location"] = accepted.links.self_
    return accepted


@router.post(
    "/{build_id}/cancel",
    operation_id="cancel_build",
    summary="Cancel a build",
    responses=answers(200, examples.cancelled, 404, 409, 410, 503),
)
async def cancel_build(build_id: BuildId, parts: Parts) -> CancelAccepted:
    """Cancel; again is fine, and 409 tells that the build had ended otherwise."""
    return await parts.service.cancel(build_id, requester=parts.requester)
