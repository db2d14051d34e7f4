"""Annotations: pinning words to a build, and reading them."""

from __future__ import annotations

from fastapi import APIRouter

from buildyard.contracts.annotations import Annotation, AnnotationList, AnnotationRequest
from orchestrator.api import examples
from orchestrator.api.documented import ANNOTATION_BODY, answers
from orchestrator.api.json_body import JsonRoute
from orchestrator.api.parts import BuildId, Parts

router = APIRouter(prefix="/api/v1/builds", tags=["builds"], route_class=JsonRoute)


@router.post(
    "/{build_id}/annotations",
    operation_id="annotate_build",
    summary="Pin words to a build",
    responses=answers(200, examples.annotation, 400, 404, 409, 410, 413, 415, 422, 503),
    openapi_extra=ANNOTATION_BODY,
)
async def annotate_build(build_id: BuildId, request: AnnotationRequest, parts: Parts) -> Annotation:
    """Plain text with a style; that of the same context is replaced. A build takes 100, also after its end."""
    return await parts.service.annotate(build_id, request, requester=parts.requester)


@router.get(
    "/{build_id}/annotations",
    operation_id="list_annotations",
    summary="Read what is pinned to a build",
    responses=answers(200, examples.annotation_list, 404, 410, 503),
)
async def list_annotations(build_id: BuildId, parts: Parts) -> AnnotationList:
    """All annotations, by context, each with who pinned it and when."""
    return await parts.views.annotations(build_id)
