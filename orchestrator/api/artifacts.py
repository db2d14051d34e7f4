"""Artifacts: what a build hands back, listed and downloaded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from buildyard.contracts.api import ArtifactList
from buildyard.contracts.builds import ArtifactRecord
from buildyard.errors import InvalidRequest
from buildyard.ports import ObjectStore
from orchestrator.api import examples
from orchestrator.api.documented import answers
from orchestrator.api.json_body import JsonRoute
from orchestrator.api.parts import ArtifactId, BuildId, Parts
from orchestrator.api.problems import response_of
from orchestrator.api.ranges import Part, disposition, names_tag, part_of, plain_type
from orchestrator.api.streams import Primed, Streamed

router = APIRouter(prefix="/api/v1", tags=["artifacts"], route_class=JsonRoute)
_DOWNLOAD = "/artifacts/{artifact_id}/download"


@router.get(
    "/builds/{build_id}/artifacts",
    operation_id="list_artifacts",
    summary="List a build's artifacts",
    responses=answers(200, examples.artifacts, 404, 410, 503),
)
async def list_artifacts(build_id: BuildId, parts: Parts) -> ArtifactList:
    """Every file the build handed back, with its size, its SHA-256 and where to download it."""
    return await parts.views.artifacts(build_id)


@router.head(_DOWNLOAD, include_in_schema=False)
@router.get(
    _DOWNLOAD,
    operation_id="download_artifact",
    summary="Download an artifact",
    response_class=Response,
    responses={
        **answers(200, "(the file's bytes)", 404, 410, 416, 503, kind="application/octet-stream"),
        206: {"description": "The part that `Range` asks for."},
        304: {"description": "The file is the one that `If-None-Match` names."},
    },
)
async def download_artifact(
    artifact_id: ArtifactId,
    parts: Parts,
    wanted: Annotated[str | None, Header(alias="Range", description="One range of bytes.")] = None,
    known: Annotated[str | None, Header(alias="If-None-Match")] = None,
    unchanged: Annotated[str | None, Header(alias="If-Range")] = None,
) -> Response:
    """The file's bytes; the ETag is its SHA-256."""
    record = await parts.views.artifact(artifact_id)
    headers = _headers_of(record)
    if names_tag(known, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    try:
        part = part_of(wanted if unchanged in {None, headers["ETag"]} else None, record.size_bytes)
    except InvalidRequest as error:
        refused = response_of(error, f"/api/v1/artifacts/{artifact_id}/download")
        refused.headers["Content-Range"] = f"bytes */{record.size_bytes}"
        return refused
    status = 200
    if part is not None:
        status = 206
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{record.size_bytes}"
    part = part or Part(0, record.size_bytes)
    headers["Content-Length"] = str(part.end - part.start)
    content = await Primed.begin(_bytes_of(parts.objects, record.key, part))
    return Streamed(content, media_type=plain_type(record.content_type), status=status, headers=headers)


async def _bytes_of(objects: ObjectStore, key: str, part: Part) -> AsyncGenerator[bytes]:
    async for chunk in await objects.open(key, part.start, part.end):
        yield chunk


def _headers_of(record: ArtifactRecord) -> dict[str, str]:
    return {
        "ETag": f'"{record.sha256}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": disposition(record.name),
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
    }
