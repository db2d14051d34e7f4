"""How OpenAPI tells the API: an example for every answer, the problems of every operation, both shapes of a request."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from buildyard import __version__
from buildyard.contracts.api import BuildRequest, Problem
from buildyard.contracts.wire import Value
from orchestrator.api import examples

Json = dict[str, Any]

_REFS = "#/components/schemas/"
_DESCRIPTION = (
    "Upload sources or name a repository, follow the build, fetch its logs, results and artifacts. Answers are "
    "camelCase; requests are read in camelCase and snake_case. Every error is an RFC 9457 problem. Without a token "
    "the API answers on loopback only."
)
_PROBLEMS: dict[int, tuple[str, str, str]] = {
    400: ("Bad Request", "unreadable_body", "The body cannot be read."),
    401: ("Unauthorized", "unauthorized", "This server needs a token."),
    403: ("Forbidden", "forbidden", "A web page of another site may not use this server."),
    404: ("Not Found", "not_found", "There is no such thing."),
    408: ("Request Timeout", "too_slow", "Nothing of the body came for 60 seconds."),
    409: ("Conflict", "conflict", "The build ended as succeeded; it cannot be cancelled."),
    410: ("Gone", "gone", "The build was removed: it was kept as long as this farm keeps such."),
    413: ("Request Entity Too Large", "too_large", "The upload is larger than 8589934592 bytes."),
    415: ("Unsupported Media Type", "unsupported_type", "The body is of a type that nothing here reads."),
    416: ("Requested Range Not Satisfiable", "range_not_satisfiable", "The file ends before this range."),
    422: ("Unprocessable Entity", "invalid_request", "The request is refused: job.timeoutMinutes must be a number."),
    429: ("Too Many Requests", "overloaded", "The farm has 100000 builds in hand, and takes at most 100000."),
    503: ("Service Unavailable", "store_unavailable", "The database cannot be reached."),
}
_EVERYWHERE = (401, 403)


def answers(
    status: int, example: Value | str | None, *problems: int, kind: str = "application/json"
) -> dict[int | str, Json]:
    """The `responses` of an operation: its answer with an example, and the problems it may end in."""
    shown = example.wire() if isinstance(example, Value) else example
    told: dict[int | str, Json] = {status: {"content": {kind: {"example": shown}}} if example is not None else {}}
    return told | {code: _problem(code) for code in sorted({*problems, *_EVERYWHERE})}


def _problem(status: int) -> Json:
    title, code, detail = _PROBLEMS[status]
    example = Problem(title=title, status=status, detail=detail, code=code, instance="/api/v1/builds").wire()
    schema = {"$ref": _REFS + "Problem"}
    return {"description": title, "content": {"application/problem+json": {"schema": schema, "example": example}}}


def body(**shown: Json) -> Json:
    """The examples of a JSON body, by name."""
    named = {name: {"value": value} for name, value in shown.items()}
    return {"requestBody": {"content": {"application/json": {"examples": named}}}}


BUILD_BODY = body(full=examples.full_build_request, short=examples.short_build_request)
START_BODY = body(start=examples.start_request)
REGISTRATION_BODY = body(worker=examples.registration_request)
CLAIM_BODY = body(ticket=examples.claim_request)
DRAIN_BODY = body(maintenance=examples.drain_request)
REQUEUE_BODY = body(those=examples.requeue_request)
PAUSE_BODY = body(reason=examples.pause_request)
PRIORITY_BODY = body(high=examples.priority_request)
RETRY_BODY = body(whole={}, failed_part=examples.retry_request)
ANNOTATION_BODY = body(coverage=examples.annotation_request)
DROP_BODY = body(reason=examples.drop_request)
UPLOAD_BODY: Json = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "zip, tar.gz, tar.zst or csv"},
                        "request": {"type": "string", "description": "A whole request for a build, as JSON."},
                        "projectName": {"type": "string"},
                        "timeoutMinutes": {"type": "string"},
                        "priority": {"type": "string"},
                        "targetPool": {"type": "string"},
                    },
                    "additionalProperties": {"type": "string"},
                },
                "example": {"file": "(bytes of src.tar.gz)", "projectName": "my-project", "priority": "High"},
            }
        },
    }
}

_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request again under the same key gets the same answer and is not done again, for 24 "
    "hours; another request under it is 422.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "example": "01938a2e-7c1b-7d8e-9f00-123456789abc",
}

_TAGGED = frozenset({"builds", "dead letters", "agents", "artifacts"})
_KNOWN_TAG: Json = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of an answer that is known: 304 when it still holds.",
    "schema": {"type": "string"},
    "example": 'W/"5d41402abc4b2a76b9719d911017c592"',
}

_SHORT_SHAPE: Json = {
    "title": "ShortBuildRequest",
    "description": "The fields of a build request, flat; they also go by the names of the full shape.",
    "type": "object",
    "required": ["git_url"],
    "properties": {
        "project_name": {"type": "string", "maxLength": 100},
        "git_url": {"type": "string", "maxLength": 2048},
        "branch": {"type": "string", "maxLength": 255},
        "submodules": {"type": "boolean"},
    },
}


def describe(app: FastAPI) -> None:
    """Give the application its OpenAPI document, made once, on the first request for it."""

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI documents this as the way to extend its document


def _document(app: FastAPI) -> Json:
    document = get_openapi(title="Buildyard producer", version=__version__, description=_DESCRIPTION, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(mode="serialization", ref_template=_REFS + "{model}")
    schemas["ShortBuildRequest"] = _SHORT_SHAPE
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for method, operation in operations.items():
            _drop_foreign_errors(operation["responses"])
            if method == "post":
                _add_key(operation)
            elif _TAGGED & set(operation["tags"]) and "application/json" in _content_of(operation):
                _add_tag(operation)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{}, {"token": []}]
    submit = document["paths"]["/api/v1/builds"]["post"]["requestBody"]["content"]["application/json"]
    submit["schema"] = {"anyOf": [{"$ref": _REFS + BuildRequest.__name__}, {"$ref": _REFS + "ShortBuildRequest"}]}
    return document


def _add_key(operation: Json) -> None:
    """Every POST may be sent again under the same key."""
    operation.setdefault("parameters", []).append(_KEY)
    for status in (409, 422):
        operation["responses"].setdefault(str(status), _problem(status))


def _content_of(operation: Json) -> Json:
    found: Json = operation["responses"].get("200", {}).get("content", {})
    return found


def _add_tag(operation: Json) -> None:
    """What is answered in JSON has an ETag, and needs not be sent again."""
    operation.setdefault("parameters", []).append(_KNOWN_TAG)
    operation["responses"]["304"] = {"description": "The answer is the one that `If-None-Match` names."}
    operation["responses"]["200"]["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "A weak tag."}}


def _drop_foreign_errors(responses: Json) -> None:
    """FastAPI tells of a 422 of its own wherever there is a parameter; ours are problems, and 404 for paths."""
    if "application/problem+json" not in responses.get("422", {}).get("content", {}):
        responses.pop("422", None)


def endpoint_table(document: Json) -> str:
    """Every operation as rows of a Markdown table: method, path, what it does, success and problems."""
    rows = ["| method | path | what it does | answers |", "|---|---|---|---|"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            codes = " ".join(sorted(operation["responses"]))
            rows.append(f"| {method.upper()} | `{path}` | {operation['summary']} | {codes} |")
    return "\n".join(rows) + "\n"
