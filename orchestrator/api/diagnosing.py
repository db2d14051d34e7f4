"""What the compilers of a build said."""

from __future__ import annotations

from fastapi import APIRouter

from buildyard.contracts.diagnostics import DiagnosticList
from orchestrator.api import examples
from orchestrator.api.documented import answers
from orchestrator.api.json_body import JsonRoute
from orchestrator.api.parts import BuildId, Parts

router = APIRouter(prefix="/api/v1/builds", tags=["builds"], route_class=JsonRoute)


@router.get(
    "/{build_id}/diagnostics",
    operation_id="list_diagnostics",
    summary="Warnings and errors with their places",
    responses=answers(200, examples.diagnostics, 404, 410, 503),
)
async def list_diagnostics(build_id: BuildId, parts: Parts) -> DiagnosticList:
    """What compilers said in the newest attempts, each once, errors first: at most 50 a stage; the stages count all."""
    return await parts.views.diagnostics(build_id)
