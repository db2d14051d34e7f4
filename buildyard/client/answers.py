"""What an answer means: problems as errors of the tree, durations as seconds. Pure, so it is tested as tables."""

from __future__ import annotations

import re

from pydantic import ValidationError

from buildyard import errors
from buildyard.contracts.api import Problem
from buildyard.errors import BuildyardError, TemporaryError


def _tree(root: type[BuildyardError]) -> dict[str, type[BuildyardError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


_BY_CODE = _tree(BuildyardError)
_BY_STATUS: dict[int, type[BuildyardError]] = {
    400: errors.InvalidRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    408: errors.InvalidRequest,
    409: errors.Conflict,
    410: errors.Gone,
    413: errors.TooLarge,
    415: errors.InvalidUpload,
    416: errors.InvalidRequest,
    422: errors.InvalidRequest,
    429: errors.Overloaded,
}
_REFUSED = 4  # the first digit
_DEFAULT_WAIT = 1.0
_LONGEST_WAIT = 3600.0


def error_of_answer(
    status: int, body: bytes, *, retry_after: str, at: str, unreachable: type[TemporaryError]
) -> BuildyardError:
    """The error that an answer with an error status stands for.

    The problem's own code wins over the class's, so that callers can tell `agent_unsuited` from other conflicts.
    """
    problem = _problem(body)
    if problem is None:
        kind = _by_status(status, unreachable)
        return _made(kind, f"The {at} answers with the status {status}.", "", retry_after)
    kind = _BY_CODE.get(problem.code) or _by_status(status, unreachable)
    error = _made(kind, _sentence(problem), problem.remedy, retry_after)
    error.code = problem.code
    if isinstance(error, errors.InvalidRequest) and problem.errors:
        error.field = problem.errors[0].get("field", "")
    return error


def _by_status(status: int, unreachable: type[TemporaryError]) -> type[BuildyardError]:
    """4xx are refusals; everything else means that nobody of ours answers properly."""
    refused = errors.PermanentError if status // 100 == _REFUSED else unreachable
    return _BY_STATUS.get(status, refused)


def _problem(body: bytes) -> Problem | None:
    try:
        return Problem.model_validate_json(body)
    except ValidationError:
        return None


def _sentence(problem: Problem) -> str:
    """The problem's sentence, with up to three fields that are to blame when it does not name them itself."""
    missing = [
        f"{entry.get('field', '')}: {entry.get('message', '')}"
        for entry in problem.errors[:3]
        if entry.get("message", "") not in problem.detail
    ]
    said = problem.detail or problem.title
    return f"{said} ({'; '.join(missing)})" if missing else said


def _made(kind: type[BuildyardError], sentence: str, remedy: str, retry_after: str) -> BuildyardError:
    if issubclass(kind, TemporaryError):
        return kind(sentence, remedy=remedy, retry_after=_wait(retry_after))
    return kind(sentence, remedy=remedy)


def _wait(retry_after: str) -> float:
    return min(float(retry_after), _LONGEST_WAIT) if re.fullmatch(r"\d{1,9}(\.\d+)?", retry_after) else _DEFAULT_WAIT
