"""Errors as answers: every error becomes an RFC 9457 problem with a sentence that a person understands."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from buildyard.clock import Clock
from buildyard.contracts.api import Problem
from buildyard.errors import BuildyardError, InvalidRequest, InvalidUpload, NotFound
from buildyard.problems import (
    INTERNAL,
    PROBLEM_TYPE,
    headers_of,
    internal_problem,
    problem_of,
    problem_of_status,
    status_of,
)
from buildyard.telemetry import logger
from orchestrator.api.plain_words import plain_errors

_log = logger("api")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_DISCONNECTED = 499  # nobody reads it; the access log does


def unreadable(sentence: str, *, remedy: str = "") -> InvalidRequest:
    """An error for a body that cannot be parsed at all: 400, where a wrong field is 422."""
    error = InvalidRequest(sentence, remedy=remedy)
    error.code = "unreadable_body"
    return error


def too_slow(sentence: str) -> InvalidRequest:
    """An error for a body that stopped coming: 408."""
    error = InvalidRequest(sentence, remedy="Send it again over a better connection.")
    error.code = "too_slow"
    return error


def unsupported(sentence: str, *, remedy: str) -> InvalidUpload:
    """An error for a body of a type that nothing here reads: 415."""
    error = InvalidUpload(sentence, remedy=remedy)
    error.code = "unsupported_type"
    return error


def unsatisfiable(sentence: str) -> InvalidRequest:
    """An error for a range that lies outside: 416."""
    error = InvalidRequest(sentence, remedy="Ask for it without a range.")
    error.code = "range_not_satisfiable"
    return error


def response_of(error: BuildyardError, instance: str) -> Response:
    """The answer to an error of the tree; `instance` is the path of the request."""
    if status_of(error) == INTERNAL:
        return _internal(error, instance, "")
    return _response(problem_of(error, instance), headers_of(error))


def _response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(problem.encode(), problem.status, {**(headers or {}), "Cache-Control": "no-store"}, PROBLEM_TYPE)


def install(app: FastAPI) -> None:
    """Let every error that FastAPI meets become a problem."""
    app.add_exception_handler(BuildyardError, _on_buildyard_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


async def _on_buildyard_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BuildyardError)
    return response_of(error, request.url.path)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(entry["loc"][:1] == ("path",) for entry in found):  # an id of another form is an id that does not exist
        return response_of(NotFound("There is no such thing: its id or name is malformed."), request.url.path)
    return invalid_response(plain_errors(found), request.url.path)


def invalid_response(blamed: tuple[dict[str, str], ...], instance: str) -> Response:
    """The answer 422 that names every wrong field."""
    first = f"{blamed[0]['field']} {blamed[0]['message']}".strip() if blamed else "the request is wrong"
    more = f" ({len(blamed) - 1} more below)" if len(blamed) > 1 else ""
    error = InvalidRequest(f"The request is refused: {first}{more}.", remedy="GET /openapi.json describes every field.")
    return _response(problem_of(error, instance).model_copy(update={"errors": blamed}))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods_here(request))
    return _response(problem_of_status(error.status_code, str(error.detail), request.url.path), headers)


def _methods_here(request: Request) -> list[str]:
    """Every method that some route takes at this path; the framework names those of one route alone."""
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    routes = request.app.routes
    return [name for name, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in routes)]


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    _log.info("client left before its request was complete")
    return Response(status_code=_DISCONNECTED)


def _internal(error: Exception, instance: str, incident: str) -> Response:
    _log.error("request failed", path=instance, incident=incident, exc_info=error)
    return _response(internal_problem(instance, incident))


class ErrorBarrier:
    """Turns what nobody expected into a 500 that tells no internals; the log has them, under an id."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and answer for what breaks."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            _log.info("client left", path=scope["path"])
        except Exception as error:
            response = _internal(error, scope["path"], self._clock.new_id())
            if started:
                raise  # the answer has begun: only breaking the connection tells that it is not whole
            await response(scope, receive, send)
