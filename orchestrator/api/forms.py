"""The fields of an upload's form as a request for a build. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from buildyard.contracts.api import BuildRequest, project_name_of
from buildyard.errors import InvalidRequest
from orchestrator.api.json_body import parse_json, refuse_unstorable_text

_AROUND = frozenset({"targetPool", "strategy", "priority", "forceClean"})
_OBJECTS = frozenset({"buildProperties", "metadata"})
_SOURCES = frozenset({"repositoryUrl", "gitUrl"})
_OTHER_NAMES = {"branch": "gitRef"}
_REQUEST = "request"


def build_request_of(fields: Iterable[tuple[str, str]], filename: str) -> BuildRequest:
    """Read the fields: each by its flat name in either spelling, and `request` with a whole request as JSON.

    Raises:
        InvalidRequest: a field is given twice, is no JSON where JSON is due, or names a repository.
        ValidationError: pydantic's, for unknown fields and wrong values.
    """
    document: dict[str, Any] = {}
    job: dict[str, Any] = {}
    for name, value in fields:
        refuse_unstorable_text(name + value)
        given = _document(value) if name == _REQUEST else {name: _value(to_camel(name), value)}
        inner = given.pop("job", {})
        if not isinstance(inner, dict):
            raise InvalidRequest("The field `job` must be an object.", field="job")
        for key, part in (*given.items(), *inner.items()):
            _put(document, job, key, part)
    job.setdefault("projectName", project_name_of(filename))
    return BuildRequest.model_validate({**document, "job": job})


def refuse_repository(request: BuildRequest) -> None:
    """An upload is its own source. Raises InvalidRequest when the request names another."""
    if request.job.repository_url is not None:
        raise InvalidRequest(
            "An upload is the source itself, so it takes no repository.",
            remedy="Leave out repositoryUrl, or use POST /api/v1/builds.",
            field="job.repositoryUrl",
        )


def flat_errors(error: ValidationError) -> list[dict[str, Any]]:
    """Pydantic's errors with the places that a form's fields have: `projectName`, not `job.projectName`."""
    found: list[dict[str, Any]] = [dict(entry) for entry in error.errors(include_url=False, include_input=False)]
    for entry in found:
        entry["loc"] = ("body", *(part for part in entry["loc"] if part != "job"))
    return found


def _put(document: dict[str, Any], job: dict[str, Any], name: str, value: Any) -> None:
    key = to_camel(name)
    key = _OTHER_NAMES.get(key, key)
    if key in _SOURCES and value is not None:
        refuse = "An upload is the source itself, so it takes no repository."
        raise InvalidRequest(refuse, remedy=f"Leave out {name}, or use POST /api/v1/builds.", field=name)
    target = document if key in _AROUND else job
    if key in target:
        raise InvalidRequest(f"The field {name[:60]!r} is given twice.", field=name[:60])
    target[key] = value


def _document(text: str) -> dict[str, Any]:
    value = parse_json(text.encode())
    if not isinstance(value, dict):
        raise InvalidRequest("The form's field `request` must hold a JSON object.", field=_REQUEST)
    return value


def _value(key: str, text: str) -> Any:
    """Form values are text: objects are JSON, everything else is converted by its field's type."""
    return parse_json(text.encode()) if key in _OBJECTS else text
