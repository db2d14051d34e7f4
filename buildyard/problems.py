"""Errors as answers: one table from the tree of errors to HTTP, and the RFC 9457 problems that every API here sends.

No web framework is named: an API wraps these values in its framework's answers, the guard sends them itself.
"""

from __future__ import annotations

import math
from http import HTTPStatus

from buildyard import errors
from buildyard.contracts.api import Problem
from buildyard.errors import BuildyardError, InvalidRequest, TemporaryError

PROBLEM_TYPE = "application/problem+json"
INTERNAL = 500
"""The status of what is nobody's fault but ours."""

_STATUS_OF_CODE = {
    "unreadable_body": 400,
    "unsupported_type": 415,
    "too_slow": 408,
    "range_not_satisfiable": 416,
}
"""Codes that say more than their class."""
_STATUS_OF_CLASS: tuple[tuple[type[BuildyardError], int], ...] = (
    (errors.InvalidRequest, 422),
    (errors.InvalidUpload, 400),
    (errors.HostileArchive, 400),
    (errors.TooLarge, 413),
    (errors.Gone, 410),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.Forbidden, 403),
    (errors.Unauthorized, 401),
    (errors.Overloaded, 429),
    (errors.TemporaryError, 503),
)
NOWHERE = ("There is nothing at this address.", "GET /openapi.json lists every address.")
_SAID_BY_STATUS = {
    404: NOWHERE,
    405: ("This address does not take this method.", "The header Allow names those it takes."),
}


def status_of(error: BuildyardError) -> int:
    """The HTTP status of an error: by its code, else by its class, else `INTERNAL`."""
    by_code = _STATUS_OF_CODE.get(error.code)
    if by_code is not None:
        return by_code
    return next((status for kind, status in _STATUS_OF_CLASS if isinstance(error, kind)), INTERNAL)


def problem_of(error: BuildyardError, instance: str) -> Problem:
    """The problem that tells an error of the tree; `instance` is the path of the request.

    An error that is nobody's but ours tells nothing of itself: whoever answers with it logs it.
    """
    status = status_of(error)
    if status == INTERNAL:
        return internal_problem(instance)
    field = error.field if isinstance(error, InvalidRequest) else ""
    return Problem(
        title=_phrase(status),
        status=status,
        detail=str(error),
        instance=instance,
        code=error.code,
        remedy=error.remedy,
        errors=({"field": field, "message": str(error)},) if field else (),
    )


def headers_of(error: BuildyardError) -> dict[str, str]:
    """The headers that go with the problem of an error."""
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, TemporaryError):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, errors.Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="buildyard"'
    return headers


def problem_of_status(status: int, detail: str, instance: str) -> Problem:
    """The problem for a status that a framework chose; `detail` is its sentence, used where there is no better one."""
    sentence, remedy = _SAID_BY_STATUS.get(status, (detail, ""))
    phrase = _phrase(status)
    code = phrase.lower().replace(" ", "_")
    return Problem(title=phrase, status=status, detail=sentence, instance=instance, code=code, remedy=remedy)


def internal_problem(instance: str, incident: str = "") -> Problem:
    """The problem that tells no internals; `incident` is the id under which the log has them."""
    where = f" under {incident}" if incident else ""
    return Problem(
        title=_phrase(INTERNAL),
        status=INTERNAL,
        detail=f"The server failed on this request; its log tells more{where}.",
        instance=instance,
        code="internal_error",
        remedy="Try again; when it stays, report it with the log's lines.",
    )


def _phrase(status: int) -> str:
    return next((known.phrase for known in HTTPStatus if known == status), "Error")
