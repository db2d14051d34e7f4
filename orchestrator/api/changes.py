"""What people change while builds wait: pausing and resuming pools, a build's priority."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from buildyard.contracts.api import BuildStatus, PoolView
from buildyard.contracts.changing import PauseRequest, PoolEventList, PriorityRequest
from buildyard.errors import NotFound
from orchestrator.api import examples
from orchestrator.api.documented import PAUSE_BODY, PRIORITY_BODY, answers
from orchestrator.api.json_body import JsonRoute
from orchestrator.api.parts import ApiParts, BuildId, Parts

router = APIRouter(prefix="/api/v1", route_class=JsonRoute)

PoolPath = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="The pool's name.", examples=["linux"])]


@router.post(
    "/pools/{name}/pause",
    operation_id="pause_pool",
    tags=["agents"],
    summary="Pause a pool's intake",
    responses=answers(200, examples.paused_pool, 400, 404, 413, 415, 422, 503),
    openapi_extra=PAUSE_BODY,
)
async def pause_pool(name: PoolPath, parts: Parts, request: PauseRequest | None = None) -> PoolView:
    """Its agents finish what they have and get nothing more; new builds are accepted and wait. Again is fine."""
    await parts.service.set_intake(
        name, paused=True, reason=request.reason if request else "", requester=parts.requester
    )
    return await _pool(parts, name)


@router.post(
    "/pools/{name}/resume",
    operation_id="resume_pool",
    tags=["agents"],
    summary="Resume a pool's intake",
    responses=answers(200, examples.pools.pools[0], 400, 404, 413, 415, 422, 503),
    openapi_extra=PAUSE_BODY,
)
async def resume_pool(name: PoolPath, parts: Parts, request: PauseRequest | None = None) -> PoolView:
    """Its agents get what waits. Again is fine."""
    await parts.service.set_intake(
        name, paused=False, reason=request.reason if request else "", requester=parts.requester
    )
    return await _pool(parts, name)


@router.get(
    "/pools/{name}/events",
    operation_id="list_pool_events",
    tags=["agents"],
    summary="When and why a pool was paused and resumed",
    responses=answers(200, examples.pool_events, 404, 503),
)
async def list_pool_events(name: PoolPath, parts: Parts) -> PoolEventList:
    """The newest 200 changes of its intake, newest first."""
    await _pool(parts, name)
    return await parts.views.pool_events(name)


@router.post(
    "/builds/{build_id}/priority",
    operation_id="set_priority",
    tags=["builds"],
    summary="Change a build's priority",
    responses=answers(200, examples.build, 400, 404, 409, 410, 413, 415, 422, 503),
    openapi_extra=PRIORITY_BODY,
)
async def set_priority(build_id: BuildId, request: PriorityRequest, parts: Parts) -> BuildStatus:
    """Let a build go before or after others from now on; what an agent has in hand goes on. 409: it has ended."""
    await parts.service.set_priority(build_id, request.priority, requester=parts.requester)
    return await parts.views.build(build_id)


async def _pool(parts: ApiParts, name: str) -> PoolView:
    found = next((pool for pool in (await parts.views.pools()).pools if pool.name == name), None)
    if found is None:
        raise NotFound(f"There is no pool {name}.", remedy="`GET /api/v1/pools` lists them.")
    return found
