"""The page of every operation, made from the OpenAPI document: what it takes, a request to copy, what comes back."""

from __future__ import annotations

import json
import shlex
from typing import Any

Json = dict[str, Any]

_HEAD = """# Every operation

Generated from the producer's OpenAPI document, which a running farm serves at `/openapi.json`. What holds for all of
them stands in [the HTTP API](api.md), such as `Idempotency-Key`, which every POST takes, and `If-None-Match`, which
everything takes that is answered with an `ETag`. The commands below take a few variables:

```sh
URL=http://127.0.0.1:8000   # the producer
BUILD_ID= JOB_ID= ARTIFACT_ID= AGENT= POOL=linux
```
"""
_VARIABLES = {"build_id": "BUILD_ID", "job_id": "JOB_ID", "artifact_id": "ARTIFACT_ID"}
_OPTIONS = {"/events": "-N", "/download": "-OJ", "/artifacts.zip": "-o artifacts.zip", "/agents/{name}/logs": "-L"}
"""What `curl` needs beside the address, by the end of a path that is read."""
_TOLD_ONCE = frozenset({"Idempotency-Key", "If-None-Match"})


def reference_page(document: Json) -> str:
    """Every operation as Markdown, by its tag in the document's order."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = operation.get("tags", ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(document, method.upper(), path, operation))
    sections = [f"## {tag[:1].upper()}{tag[1:]}\n\n" + "\n".join(told) for tag, told in by_tag.items()]
    return "\n".join([_HEAD, *sections])


def command_of(method: str, path: str, operation: Json) -> str:
    """The request as a `curl` command for a shell; ids are variables, what a body holds is its example."""
    words = ["curl"]
    if method == "GET":
        words += [option for end, option in _OPTIONS.items() if path.endswith(end)]
    content: Json = operation.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        words += ["-F file=@src.tar.gz", *(["-F projectName=my-project"] if path == "/upload" else [])]
    elif content:
        body = _example(next(iter(content.values())))
        words += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(body))}"]
    elif method != "GET":
        words.append(f"-X {method}")
    return " ".join([*words, f'"$URL{_filled(path)}"'])


def _operation(document: Json, method: str, path: str, operation: Json) -> str:
    parts = [f"### {operation['summary']}", "", f"`{method} {path}`", "", _text(operation["description"]), ""]
    parts += _parameters(document, operation.get("parameters", []))
    parts += ["```sh", command_of(method, path, operation), "```", ""]
    for status, answer in sorted(operation["responses"].items()):
        if status[0] in "23":
            parts += _answer(status, answer)
    errors = " ".join(f"`{status}`" for status in sorted(operation["responses"]) if status[0] in "45")
    return "\n".join([*parts, f"Errors: {errors}", ""])


def _parameters(document: Json, parameters: list[Json]) -> list[str]:
    rows = [
        f"| `{told['name']}` | {told['in']} | {_cell(_kind(document, told['schema']))} | "
        f"{_cell(told.get('description', ''))} |"
        for told in parameters
        if told["in"] != "path" and told["name"] not in _TOLD_ONCE
    ]
    return ["| parameter | in | is | what it does |", "|---|---|---|---|", *rows, ""] if rows else []


def _kind(document: Json, schema: Json) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        return _kind(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        kinds = [_kind(document, one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if schema.get("type") == "array":
        return f"any of {_kind(document, schema['items'])}"
    least, most = schema.get("minimum"), schema.get("maximum")
    bounds = f", {least} to {most}" if least is not None and most is not None else ""
    return f"{schema.get('format', schema.get('type', 'any'))}{bounds}"


def _answer(status: str, answer: Json) -> list[str]:
    found = next(((kind, told) for kind, told in answer.get("content", {}).items() if _shows(told)), None)
    if found is None:
        return [f"Answer {status}: {_text(answer.get('description', ''))}", ""]
    kind, told = found
    example = _example(told)
    if isinstance(example, str):
        return [f"Answer {status}, `{kind}`:", "", "```text", example.rstrip("\n"), "```", ""]
    return [f"Answer {status}:", "", "```json", json.dumps(example, indent=2, ensure_ascii=False), "```", ""]


def _shows(content: Json) -> bool:
    return "example" in content or "examples" in content


def _example(content: Json) -> Any:
    if "example" in content:
        return content["example"]
    return next(iter(content["examples"].values()))["value"]


def _filled(path: str) -> str:
    """The path with a shell's variables for its parts: a name is an agent's or a pool's, by where it stands."""
    name = "POOL" if path.startswith("/api/v1/pools") else "AGENT"
    for part, variable in {**_VARIABLES, "name": name}.items():
        path = path.replace(f"{{{part}}}", f"${variable}")
    return path


def _text(words: str) -> str:
    return " ".join(words.split())


def _cell(words: str) -> str:
    return _text(words).replace("|", "\\|")
