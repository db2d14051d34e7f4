"""Whether the producer lives, whether it can work, and its numbers for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from buildyard import __version__
from buildyard.contracts.api import CheckView, HealthAnswer
from buildyard.errors import NotFound, TemporaryError
from buildyard.ports import REPORTS, Depth, jobs
from orchestrator.api import examples
from orchestrator.api.documented import answers
from orchestrator.api.metrics import CONTENT_TYPE
from orchestrator.api.parts import ApiParts, Parts
from orchestrator.views import StoreCounts

router = APIRouter(tags=["health"])
_CHECK_SECONDS = 3.0
_NO_SUCH_OBJECT = "health/probe"
_ANSWERS = {**answers(200, examples.health), 503: {"description": "Some check is not ok.", "model": HealthAnswer}}


@router.get("/api/v1/live", include_in_schema=False)
@router.get(
    "/api/v1/health/live",
    operation_id="get_liveness",
    summary="Whether the process lives",
    responses=answers(200, HealthAnswer(status="ok", version=__version__, checks=())),
)
async def get_liveness(parts: Parts) -> HealthAnswer:
    """Answers as long as the process does; asks nobody else, and needs no token."""
    return HealthAnswer(status=parts.state(), version=__version__, checks=())


@router.get("/api/v1/ready", include_in_schema=False)
@router.get(
    "/api/v1/health/ready",
    operation_id="get_readiness",
    summary="Whether the producer can work",
    response_model=HealthAnswer,
    responses=_ANSWERS,
)
@router.get(
    "/api/v1/health",
    operation_id="get_health",
    summary="How the producer is",
    response_model=HealthAnswer,
    responses=_ANSWERS,
)
async def get_health(parts: Parts) -> Response:
    """Every check by name: 200 when all are ok, else 503 with what is wrong."""
    health = await _health(parts)
    return JSONResponse(health.wire(), 200 if health.status == "ok" else 503, {"Cache-Control": "no-store"})


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses=answers(200, 'builds_total{status="succeeded"} 12.0\n', kind=CONTENT_TYPE),
)
async def get_metrics(parts: Parts) -> Response:
    """Counters of this process, and gauges read from store and broker now; what is not known is absent."""
    health, counts = await asyncio.gather(_health(parts), _counts(parts))
    pools = counts.pools if counts else ()
    depths = await asyncio.gather(*(_depth(parts, pool.name) for pool in pools))
    known = [(pool.name, depth) for pool, depth in zip(pools, depths, strict=True) if depth is not None]
    page = parts.metrics.page(healthy=health.status == "ok", counts=counts, depths=known)
    return Response(page, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


async def _health(parts: ApiParts) -> HealthAnswer:
    checks = await asyncio.gather(
        _check("store", parts.views.check, parts),
        _check("broker", lambda: _ask_broker(parts), parts),
        _check("objects", lambda: _ask_objects(parts), parts),
        _check("disk", parts.gate.check_room, parts),
    )
    state = parts.state()
    well = all(check.ok for check in checks)
    return HealthAnswer(
        status="degraded" if state == "ok" and not well else state, version=__version__, checks=tuple(checks)
    )


async def _check(name: str, ask: Callable[[], Awaitable[None]], parts: ApiParts) -> CheckView:
    begun = parts.clock.monotonic()
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await ask()
    except TimeoutError:
        return CheckView(name=name, ok=False, detail=f"no answer within {_CHECK_SECONDS:g} s")
    except TemporaryError as error:
        return CheckView(name=name, ok=False, detail=str(error))
    took = (parts.clock.monotonic() - begun) * 1000
    return CheckView(name=name, ok=True, detail=f"answered in {took:.0f} ms")


async def _ask_broker(parts: ApiParts) -> None:
    await parts.broker.depth(REPORTS)


async def _ask_objects(parts: ApiParts) -> None:
    try:
        await parts.objects.head(_NO_SUCH_OBJECT)
    except NotFound:
        return


async def _counts(parts: ApiParts) -> StoreCounts | None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await parts.views.metrics()
    except (TemporaryError, TimeoutError):
        return None


async def _depth(parts: ApiParts, pool: str) -> Depth | None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await parts.broker.depth(jobs(pool))
    except (TemporaryError, TimeoutError):
        parts.metrics.reading_unknown(pool)
        return None
