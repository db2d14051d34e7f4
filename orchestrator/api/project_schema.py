"""The JSON Schema of `buildyard.toml`, as this producer's workers of the same version read it."""

from __future__ import annotations

from fastapi import APIRouter, Response

from buildyard.project.schema import schema_text
from orchestrator.api.documented import answers

router = APIRouter(tags=["builds"])
_KIND = "application/schema+json"


@router.get(
    "/api/v1/buildyard.schema.json",
    operation_id="get_project_schema",
    summary="The JSON Schema of buildyard.toml",
    response_class=Response,
    responses=answers(200, '{"title": "buildyard.toml", "type": "object", "properties": {}}', kind=_KIND),
)
async def get_project_schema() -> Response:
    """For editors: what may stand in a source's `buildyard.toml`, in the 2020-12 dialect."""
    return Response(schema_text(), media_type=_KIND)
