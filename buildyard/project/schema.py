"""The JSON Schema of `buildyard.toml`, for editors: `python -m buildyard.project.schema > docs/buildyard.schema.json`.

It refuses nothing that the reader takes. What it cannot say, the reader alone refuses: needs that go in a circle, a
program that is none, a template's braces, a header named twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from buildyard.project.configuration import FILE_NAME, BuildyardToml
from buildyard.project.toml_places import Path

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _OfToml(GenerateJsonSchema):
    """TOML has no null, so nothing may be one; and a title that repeats a key's name tells nobody anything."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


@cache
def schema_text() -> str:
    """The document as it is published."""
    return json.dumps(_document(), indent=2, ensure_ascii=False) + "\n"


def allowed_at(path: Path) -> tuple[str, ...]:
    """The keys that a table may have, in order; empty where any name may stand."""
    names = {name for found in _at(path) for name in (*found.get("properties", {}), *_named(found))}
    return tuple(sorted(names))


def described_at(path: Path) -> str:
    """What the schema says of a key; empty where it says nothing."""
    return next((text for found in _at(path) if (text := found.get("description", ""))), "")


@cache
def _document() -> dict[str, Any]:
    made = BuildyardToml.model_json_schema(schema_generator=_OfToml)
    kept = {key: value for key, value in made.items() if key != "title"}
    return {"$schema": DIALECT, "title": FILE_NAME, **_without_nulls(kept)}


def _without_nulls(value: Any) -> Any:
    """The schema without defaults that TOML cannot write, and without names of classes as titles."""
    if isinstance(value, dict):
        dropped = {key for key in ("default",) if value.get(key, "") is None}
        dropped |= {"title"} if isinstance(value.get("title"), str) else set()
        kept = {key: _without_nulls(part) for key, part in value.items() if key not in dropped}
        return kept | ({"additionalProperties": False} if "patternProperties" in kept else {})
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


def _at(path: Path) -> list[dict[str, Any]]:
    """Every part of the schema that speaks of a path."""
    found = list(_resolved(_document()))
    for name in path:
        found = [inner for one in found for step in _steps(one, name) for inner in _resolved(step)]
    return found


def _steps(schema: dict[str, Any], name: str | int) -> Iterator[dict[str, Any]]:
    if isinstance(name, int):
        yield from (schema[key] for key in ("items",) if key in schema)
    elif name in schema.get("properties", {}):
        yield schema["properties"][name]
    else:
        others = (*schema.get("patternProperties", {}).values(), schema.get("additionalProperties"))
        yield from (other for other in others if isinstance(other, dict))


def _resolved(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A part of the schema, and what it refers to."""
    yield schema
    if reference := schema.get("$ref"):
        yield from _resolved(_document()["$defs"][reference.rpartition("/")[2]])
    for other in schema.get("anyOf", ()):
        yield from _resolved(other)


def _named(schema: dict[str, Any]) -> list[str]:
    """The names that a table with names of a closed list may have."""
    return [name for part in _resolved(schema.get("propertyNames", {})) for name in part.get("enum", ())]


if __name__ == "__main__":
    import sys

    sys.stdout.write(schema_text())
