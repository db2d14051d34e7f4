"""The shapes that processes of different age exchange change only together with their version.

`golden/NAME.vN.json` holds an example as it went over the wire, and a digest of the schema. After raising a
contract's version, `python -m tests.buildyard.test_messages_are_golden` writes the new file; it never changes one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from buildyard.contracts import agents, api, builds, events, messages, scaling, testing
from buildyard.contracts.wire import Value
from tests.buildyard.message_examples import EXAMPLES

GOLDEN = Path(__file__).parent / "golden"
MODULES = (agents, api, builds, events, messages, scaling, testing)
WORDS = ("description", "title", "examples")


def version(contract: type[Value]) -> int:
    """The newest version that a contract speaks."""
    return int(max(get_args(contract.model_fields["v"].annotation)))


def place(contract: type[Value]) -> Path:
    return GOLDEN / f"{contract.__name__}.v{version(contract)}.json"


def versioned() -> set[type[Value]]:
    """Every contract with a version of its own."""
    found = {thing for module in MODULES for thing in vars(module).values() if isinstance(thing, type)}
    return {
        thing
        for thing in found
        if issubclass(thing, Value) and "v" in thing.model_fields and not thing.__name__.startswith("_")
    }


def without_words(schema: Any) -> Any:
    """A schema without what is said about it: sentences may change at any time."""
    if isinstance(schema, dict):
        named = isinstance(schema.get("properties"), dict)
        kept = {key: without_words(value) for key, value in schema.items() if key not in WORDS}
        if named:  # here the keys are names of fields
            kept["properties"] = {key: without_words(value) for key, value in schema["properties"].items()}
        return kept
    return [without_words(part) for part in schema] if isinstance(schema, list) else schema


def shape(contract: type[Value]) -> str:
    """A digest of what is written and of what is read."""
    schemas = [contract.model_json_schema(mode=mode) for mode in ("serialization", "validation")]
    return hashlib.sha256(json.dumps(without_words(schemas), sort_keys=True).encode()).hexdigest()


def golden(example: Value) -> dict[str, Any]:
    """What the golden file of an example's contract holds."""
    contract = type(example)
    return {
        "name": contract.__name__,
        "version": version(contract),
        "shape": shape(contract),
        "example": example.wire(),
    }


def test_every_versioned_contract_has_an_example_with_every_field_filled() -> None:
    assert {type(example) for example in EXAMPLES} == versioned()
    assert len(EXAMPLES) == len(versioned())
    for example in EXAMPLES:
        empty = [name for name, value in example if value in (None, (), "", {})]
        assert not empty, f"{type(example).__name__}: {empty}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_changed_shape_has_a_raised_version(example: Value) -> None:
    path = place(type(example))
    assert path.exists(), f"{path.name} is missing: run python -m tests.buildyard.test_messages_are_golden"
    held = json.loads(path.read_text(encoding="utf-8"))
    assert golden(example) == held, f"The wire shape of {type(example).__name__} changed: raise its version."


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_what_was_written_is_read_again(example: Value) -> None:
    held = json.loads(place(type(example)).read_text(encoding="utf-8"))
    assert type(example).model_validate_json(json.dumps(held["example"])) == example
    newer = {**held["example"], "aFieldOfTomorrow": 1}
    assert type(example).model_validate_json(json.dumps(newer)) == example


def test_sentences_may_change_and_fields_may_not() -> None:
    one = {"properties": {"title": {"type": "string", "description": "a"}}, "title": "x"}
    assert without_words(one) == {"properties": {"title": {"type": "string"}}}


def write_missing() -> None:
    """Write the golden files that do not exist."""
    GOLDEN.mkdir(exist_ok=True)
    for example in EXAMPLES:
        path = place(type(example))
        if not path.exists():
            path.write_text(json.dumps(golden(example), indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_missing()
