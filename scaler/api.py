"""The scaler's HTTP API: decisions, workers and their logs, health. It changes nothing."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import buildyard
from buildyard.clock import Clock
from buildyard.contracts.api import DecisionList, Problem, WorkerList
from buildyard.contracts.health import ScalerHealth
from buildyard.contracts.scaling import WhatIf, WhatIfAnswer, WhyList
from buildyard.contracts.wire import AskedMoment, Identifier
from buildyard.errors import BuildyardError, InvalidRequest, NotFound
from buildyard.guard import Guard, GuardRules
from buildyard.problems import (
    INTERNAL,
    PROBLEM_TYPE,
    headers_of,
    internal_problem,
    problem_of,
    problem_of_status,
    status_of,
)
from buildyard.settings import Settings
from buildyard.telemetry import logger
from scaler.browser import Dashboard, routes
from scaler.explaining import Explainer
from scaler.own_use import own_use
from scaler.record import KEPT_DECISIONS, Wanted
from scaler.standby import AskTheLeader, answer_of, check_leads
from scaler.status import ScalerStatus

MOST_TAIL_LINES = 100_000
_OPEN_WITHOUT_TOKEN = ("/healthz", "/livez")
"""Probes of a platform carry no token."""
_SOCKETS = ("/ws",)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_log = logger("api")

WorkerName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,79}$", description="A worker's name: linux-1-1.")]
Limit = Annotated[int, Query(ge=1, le=KEPT_DECISIONS, description="At most so many.")]
Pool = Annotated[str | None, Query(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="Of this pool only.")]
Since = Annotated[int, Query(ge=0, description="Only decisions with a higher number.")]
Changes = Annotated[bool, Query(description="Leave out decisions that only repeat their pool's last one.")]
After = Annotated[AskedMoment | None, Query(description="Only what held at this time or later.")]
Before = Annotated[AskedMoment | None, Query(description="Only what was decided at this time or earlier.")]
Cursor = Annotated[int | None, Query(ge=1, description="`nextCursor` of the page before: go on with older ones.")]
BuildOf = Annotated[Identifier | None, Query(description="Why this build waits, runs or has ended.")]
Tail = Annotated[int | None, Query(ge=0, le=MOST_TAIL_LINES, description="Only the last so many lines.")]
Follow = Annotated[bool, Query(description="Go on until the worker ends.")]
Leading = Annotated[bool, Query(description="Count standing by as not well.")]
_PROBLEM = {"model": Problem, "content": {"application/problem+json": {}}}


def create_app(
    status: ScalerStatus, explainer: Explainer, settings: Settings, clock: Clock, dashboard: Dashboard | None = None
) -> FastAPI:
    """The API over what the loops know and recorded; `clock` gives ids under which the log tells of faults.

    `dashboard` is what browsers see at `/`; without it that is a page of links, which is at `/places` in any case.
    """
    app = FastAPI(
        title="Buildyard scaler", version=buildyard.__version__, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    sockets = _SOCKETS if dashboard is not None else ()
    app.add_middleware(Guard, rules=GuardRules.of(settings, settings.scaler, _OPEN_WITHOUT_TOKEN, sockets))
    app.add_middleware(ErrorBarrier, clock=clock)
    app.add_exception_handler(BuildyardError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(AskTheLeader, _handing_on(settings.token))

    decides = Depends(_while_leading(status, needed=True))
    app.include_router(_decisions(explainer), dependencies=[decides])
    app.include_router(_questions(explainer), dependencies=[decides])
    app.include_router(_workers(status), dependencies=[Depends(_while_leading(status, needed=False))])

    @app.get("/healthz", response_model=ScalerHealth, responses={503: {"model": ScalerHealth}})
    async def read_health(*, leading: Leading = False) -> Response:
        """200 when broker, producer and executor answer and the loops go on; else 503 and which does not.

        A scaler that stands by is well, and hands questions on; with `leading=1` it answers 503.
        """
        leads = status.leadership.leads
        health = ScalerHealth(
            **dict(status.health()), process=own_use(), leads=leads, leader=status.leadership.leader()
        )
        well = health.status == "ok" and (leads or not leading)
        return JSONResponse(health.wire(), 200 if well else 503, {"Cache-Control": "no-store"})

    @app.get("/livez")
    async def read_life() -> Response:
        """200 while this process answers, whoever else does not: to start it again would help nobody."""
        return JSONResponse({"status": "ok"}, 200, {"Cache-Control": "no-store"})

    if dashboard is not None:
        app.include_router(routes(dashboard))

    @app.get("/places", response_class=HTMLResponse, include_in_schema=False)
    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def show_places() -> HTMLResponse:
        return HTMLResponse(_places(settings))

    return app


def _while_leading(status: ScalerStatus, *, needed: bool) -> Callable[[Request], Awaitable[None]]:
    """What is asked about decisions is a question for who makes them, and it knows more of the workers, too."""

    async def check(request: Request) -> None:
        check_leads(status.leadership, request, needed=needed)

    return check


def _handing_on(token: str) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def hand_on(request: Request, asked: Exception) -> Response:
        assert isinstance(asked, AskTheLeader)
        try:
            return await answer_of(asked.url, token, request)
        except BuildyardError as error:
            return _problem(error, request.url.path)

    return hand_on


def _decisions(explainer: Explainer) -> APIRouter:
    router = APIRouter()

    @router.get("/decisions", response_model=DecisionList, responses={422: _PROBLEM})
    async def list_decisions(
        limit: Limit = 100,
        pool: Pool = None,
        since: Since = 0,
        after: After = None,
        before: Before = None,
        cursor: Cursor = None,
        *,
        changes: Changes = False,
    ) -> Response:
        """Decisions, newest first, also those for "nothing"; the last hour tick by tick, older ones folded."""
        wanted = Wanted(pool, since, cursor, after, before, changes)
        found, older = await explainer.page(limit, wanted)
        body = b'{"decisions":[' + b",".join(found) + b'],"nextCursor":%s}' % json.dumps(older).encode()
        return Response(body, media_type="application/json")

    return router


def _questions(explainer: Explainer) -> APIRouter:
    router = APIRouter()

    @router.get("/why", responses={404: _PROBLEM, 422: _PROBLEM, 503: _PROBLEM})
    async def explain(pool: Pool = None, build: BuildOf = None) -> WhyList:
        """Why pools have the workers they have and why none starts now; or why a build waits. In sentences."""
        return await (explainer.why_pools(pool) if build is None else explainer.why_build(build))

    @router.get("/whatif", responses={404: _PROBLEM, 409: _PROBLEM, 422: _PROBLEM}, openapi_extra=_WHAT_IF)
    async def suppose(request: Request) -> WhatIfAnswer:
        """What would be decided with other policy values or readings, now and over the last ticks. It does nothing."""
        try:
            question = WhatIf.model_validate(dict(request.query_params))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = str(first["loc"][0])
            raise InvalidRequest(f"{field} is wrong: {first['msg']}.", field=field) from error
        return await explainer.what_if(question)

    return router


_WHAT_IF = {
    "parameters": [
        {
            "name": field.alias or name,
            "in": "query",
            "required": field.is_required(),
            "schema": WhatIf.model_json_schema()["properties"][field.alias or name],
        }
        for name, field in WhatIf.model_fields.items()
    ]
}


def _workers(status: ScalerStatus) -> APIRouter:
    router = APIRouter()

    @router.get("/agents", responses={503: _PROBLEM})
    async def list_workers() -> WorkerList:
        """The workers of the executors, newest first, and the readings of every pool."""
        return await status.workers()

    @router.get("/agents/{name}/logs", response_class=Response, responses={404: _PROBLEM, 503: _PROBLEM})
    async def read_worker_log(name: WorkerName, *, follow: Follow = False, tail: Tail = None) -> Response:
        """What a worker process wrote, as plain text."""
        executor = await status.executor_of(name)
        return StreamingResponse(
            _clean(executor.logs(name, follow=follow, tail=tail)),
            media_type="text/plain; charset=utf-8",
            headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"},
        )

    return router


async def _clean(pieces: AsyncGenerator[bytes]) -> AsyncIterator[str]:
    """Whole lines without control codes: what is shown in a terminal must not steer it."""
    async with aclosing(pieces):
        async for piece in pieces:
            yield _CONTROLS.sub("", piece.decode("utf-8", errors="replace"))


def _places(settings: Settings) -> str:
    """A page that says where things are."""
    producer = html.escape(settings.api, quote=True)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Buildyard scaler</title></head><body>
<h1>Buildyard scaler {html.escape(buildyard.__version__)}</h1>
<ul>
<li><a href="/decisions">/decisions</a>: what was decided (?limit=, ?pool=, ?after=, ?before=, ?changes=1)</li>
<li><a href="/why">/why</a>: why there are so many workers, in sentences (?pool=, ?build=ID)</li>
<li><a href="/whatif?pool=linux">/whatif?pool=linux</a>: what other values would decide (&amp;burstSize=10)</li>
<li><a href="/agents">/agents</a>: the workers and the readings; /agents/NAME/logs?follow=1: what one writes</li>
<li><a href="/healthz">/healthz</a>: whether all parts answer</li>
<li><a href="{producer}">{producer}</a>: the producer, where builds are</li>
</ul></body></html>
"""


# ------------------------------------------------------------------------------------------------ problems


def _problem(error: BuildyardError, path: str) -> Response:
    if status_of(error) == INTERNAL:
        _log.error("request failed", path=path, exc_info=error)
    return _response(problem_of(error, path), headers_of(error))


def _response(problem: Problem, headers: Mapping[str, str] | None) -> Response:
    return Response(problem.encode(), problem.status, {**(headers or {}), "Cache-Control": "no-store"}, PROBLEM_TYPE)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BuildyardError)
    return _problem(error, request.url.path)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["loc"][0] == "path":
        return _problem(NotFound("There is no worker of that name."), request.url.path)
    field = ".".join(str(part) for part in first["loc"][1:])
    return _problem(InvalidRequest(f"{field} is wrong: {first['msg']}.", field=field), request.url.path)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _response(problem_of_status(error.status_code, str(error.detail), request.url.path), error.headers)


class ErrorBarrier:
    """Turns what nobody expected into a 500 that tells no internals; the log has them, under an id."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and answer for what breaks."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            incident, path = self._clock.new_id(), scope.get("path", "")
            _log.error("request failed", path=path, incident=incident, exc_info=error)
            if started or scope["type"] != "http":
                raise  # the answer has begun: only breaking the connection tells that it is not whole
            await _response(internal_problem(path, incident), None)(scope, receive, send)
