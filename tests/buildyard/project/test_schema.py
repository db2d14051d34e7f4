"""The published JSON Schema is the reader's own, as far as a schema can tell it."""

from __future__ import annotations

import json
import tomllib
from datetime import date, time
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from buildyard.project.configuration import BuildyardToml
from buildyard.project.schema import allowed_at, described_at, schema_text
from buildyard.project.toml_text import TomlError, parse_toml
from tests.bad_input.hostile_files import TOMLS

_ROOT = Path(__file__).parents[3]
_VALIDATOR = jsonschema_rs.Draft202012Validator(json.loads(schema_text()))
_SOUND: dict[str, Any] = {
    "toolchain": "make",
    "artifacts": {"paths": ["dist/*"]},
    "stages": {"build": {"commands": [["make"]], "needs": ["a"], "timeout_minutes": 1}, "test": {"skip": True}},
    "tasks": {"a": {"commands": [["x", "y"]], "needs": []}},
    "environment": {"A": "b"},
    "call": {"rows": "a.csv", "url": "https://h/{id}", "headers": {"X": "1"}, "breaker": {"calls": 3, "failures": 2}},
}


def test_the_published_schema_is_current() -> None:
    published = (_ROOT / "docs" / "buildyard.schema.json").read_text(encoding="utf-8")

    assert published == schema_text(), "python -m buildyard.project.schema > docs/buildyard.schema.json"
    assert jsonschema_rs.meta.is_valid(json.loads(published))


def test_the_schema_knows_every_key_and_says_what_it_is_for() -> None:
    assert set(allowed_at(())) == set(BuildyardToml.model_fields)
    assert allowed_at(("stages",)) == ("build", "package", "restore", "test")
    assert allowed_at(("environment",)) == ()
    for section, name in [("call", "concurrency"), ("batch", "rows"), ("artifacts", "paths")]:
        assert described_at((section, name)), name


def test_the_examples_of_the_documentation_fit_the_schema() -> None:
    for page in ("buildyard-toml.md", "calls.md"):
        for part in (_ROOT / "docs" / page).read_text(encoding="utf-8").split("```toml\n")[1:]:
            assert list(_VALIDATOR.iter_errors(tomllib.loads(part.split("```")[0]))) == []


@pytest.mark.parametrize("name", [name for name, (text, words) in TOMLS.items() if "TOML" not in words])
def test_the_schema_refuses_what_the_reader_refuses(name: str) -> None:
    text = TOMLS[name][0]
    try:
        document = parse_toml(text if isinstance(text, str) else text.decode())
    except (TomlError, UnicodeDecodeError):
        return
    try:
        BuildyardToml.model_validate(document)
    except ValidationError:
        assert not _VALIDATOR.is_valid(document), name


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, part in inner for found in _paths(part, (*path, key)))]


_ANYTHING = st.recursive(
    st.one_of(
        st.text(max_size=6), st.booleans(), st.integers(-3, 300), st.floats(-1, 700), st.just("../x"), st.just("LD_A")
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abLD_-", max_size=6), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(_paths(_SOUND)[1:]), _ANYTHING)
def test_the_schema_refuses_nothing_that_the_reader_takes(path: tuple[str | int, ...], put: Any) -> None:
    document = json.loads(json.dumps(_SOUND))
    around = document
    for part in path[:-1]:
        around = around[part]
    around[path[-1]] = put

    try:
        BuildyardToml.model_validate(document)
    except ValidationError:
        return
    assert list(_VALIDATOR.iter_errors(document)) == []


@pytest.mark.parametrize("value", [date(2026, 1, 2), time(1, 2), 1.5, None])
def test_values_of_other_kinds_are_no_texts(value: object) -> None:
    with pytest.raises(ValidationError):
        BuildyardToml.model_validate({"environment": {"A": value}})
