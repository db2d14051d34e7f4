"""Uploads: one that is built at once, one that is kept for later, and the start of a kept one."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from buildyard.contracts.api import BuildAccepted, BuildRequest, UploadStored
from buildyard.errors import InvalidRequest, PermanentError
from orchestrator.api import examples
from orchestrator.api.admitted import ADMITTED
from orchestrator.api.documented import START_BODY, UPLOAD_BODY, answers
from orchestrator.api.forms import build_request_of, flat_errors, refuse_repository
from orchestrator.api.intake import Received, received_upload
from orchestrator.api.json_body import JsonRoute
from orchestrator.api.once import NewBuildId, identified, new_build_id
from orchestrator.api.parts import Parts, UploadId

router = APIRouter(tags=["uploads"], route_class=JsonRoute)


@router.post(
    "/upload",
    operation_id="upload",
    dependencies=ADMITTED,
    summary="Upload an archive or a CSV and build it",
    status_code=202,
    response_description="The build is durable from here on.",
    responses=answers(202, examples.accepted, 400, 408, 413, 415, 422, 429, 503),
    openapi_extra=UPLOAD_BODY,
)
async def upload(request: Request, response: Response, parts: Parts) -> BuildAccepted:
    """Stream a .zip, .tar.gz, .tar.zst or .csv in; the form's other fields say how to build it.

    Fields have the names of a build request, flat and in either spelling (`projectName` or `project_name`); the
    field `request` takes a whole request as JSON.
    """
    upload_id = parts.clock.new_id()
    async with received_upload(request, parts.objects, upload_id, parts.settings.upload_max_bytes) as received:
        wanted = _request_of(received)
        await identified(request, received.sha256, received.filename, repr(received.fields))
        source = await received.keep(parts.objects)
    try:
        accepted = await parts.service.submit(
            wanted, source, requester=parts.requester, build_id=await new_build_id(request)
        )
    except PermanentError:
        await parts.objects.delete([source.key])
        raise
    response.headers["Location"] = accepted.links.self_
    return accepted


@router.post(
    "/api/v1/jobs",
    operation_id="store_upload",
    dependencies=ADMITTED,
    summary="Upload an archive or a CSV and build it later",
    status_code=201,
    response_description="The upload is durable until it expires.",
    responses=answers(201, examples.stored, 400, 408, 413, 415, 422, 429, 503),
    openapi_extra=UPLOAD_BODY,
)
async def store_upload(request: Request, response: Response, parts: Parts) -> UploadStored:
    """Stream an upload in without starting a build; the form takes no other field than `file`."""
    upload_id = parts.clock.new_id()
    async with received_upload(request, parts.objects, upload_id, parts.settings.upload_max_bytes) as received:
        if received.fields:
            name = received.fields[0][0][:60]
            raise InvalidRequest(
                f"The field {name!r} belongs to the start of the build.",
                remedy="Send it to POST /api/v1/jobs/{id}/build.",
                field=name,
            )
        await identified(request, received.sha256, received.filename)
        source = await received.keep(parts.objects)
    try:
        stored = await parts.service.keep_upload(source, requester=parts.requester)
    except PermanentError:
        await parts.objects.delete([source.key])
        raise
    response.headers["Location"] = f"/api/v1/jobs/{stored.job_id}/build"
    return stored


@router.post(
    "/api/v1/jobs/{job_id}/build",
    operation_id="start_upload",
    dependencies=ADMITTED,
    summary="Build an upload that was kept",
    status_code=202,
    response_description="The build is durable from here on.",
    responses=answers(202, examples.accepted, 400, 404, 409, 413, 415, 422, 429, 503),
    openapi_extra=START_BODY,
)
async def start_upload(
    job_id: UploadId, request: BuildRequest, response: Response, parts: Parts, new_id: NewBuildId
) -> BuildAccepted:
    """Start the build of a kept upload; the body is that of a build without its repository."""
    refuse_repository(request)
    accepted = await parts.service.start_upload(job_id, request, requester=parts.requester, build_id=new_id)
    response.headers["Location"] = accepted.links.self_
    return accepted


def _request_of(received: Received) -> BuildRequest:
    try:
        return build_request_of(received.fields, received.filename)
    except ValidationError as error:
        raise RequestValidationError(flat_errors(error)) from error
