"""The application: its routers, and the layers that every request passes on its way in."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from buildyard import __version__
from buildyard.errors import TemporaryError
from buildyard.guard import Guard, GuardRules
from orchestrator.api import (
    agents,
    annotating,
    artifacts,
    builds,
    bundles,
    changes,
    dead,
    diagnosing,
    documented,
    events,
    farm_events,
    health,
    logs,
    problems,
    project_schema,
    rows,
    testing,
    uploads,
)
from orchestrator.api.body_pace import BodyPace
from orchestrator.api.metrics import RequestTimer
from orchestrator.api.parts import ApiParts

_ROUTERS = (
    uploads.router,
    builds.router,
    logs.router,
    events.router,
    farm_events.router,
    rows.router,
    annotating.router,
    diagnosing.router,
    testing.router,
    artifacts.router,
    bundles.router,
    dead.router,
)
_ROUTERS_OF_THE_FARM = (agents.router, changes.router, project_schema.router, health.router)
_OPEN_WITHOUT_TOKEN = ("/api/v1/health/live", "/api/v1/live")
"""What a probe may ask: whether the process lives, and nothing more."""
_OPEN_WHILE_STARTING = ("/api/v1/health", "/api/v1/live", "/api/v1/ready", "/metrics", "/openapi.json")


def create_app(parts: ApiParts) -> FastAPI:
    """The API over these parts. It opens and closes none of them."""
    rules = GuardRules.of(parts.settings, parts.settings.api, _OPEN_WITHOUT_TOKEN)
    app = FastAPI(
        title="Buildyard producer",
        version=__version__,
        docs_url=None,  # both pages load scripts from a foreign host
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
        middleware=[
            Middleware(RequestTimer, metrics=parts.metrics, clock=parts.clock),
            Middleware(Guard, rules=rules),
            Middleware(problems.ErrorBarrier, clock=parts.clock),
            Middleware(_Opening, parts=parts),
            Middleware(BodyPace, clock=parts.clock),
        ],
    )
    app.state.parts = parts
    problems.install(app)
    for router in (*_ROUTERS, *_ROUTERS_OF_THE_FARM):
        app.include_router(router)
    documented.describe(app)
    return app


class _Opening:
    """Nothing but health is answered before the servers behind the API were reached for the first time."""

    def __init__(self, app: ASGIApp, parts: ApiParts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._parts.state() == "starting":
            path: str = scope["path"]
            if not path.startswith(_OPEN_WHILE_STARTING):
                remedy = "GET /api/v1/health tells what it waits for."
                error = TemporaryError("The producer is starting.", remedy=remedy)
                await problems.response_of(error, path)(scope, receive, send)
                return
        await self._app(scope, receive, send)
