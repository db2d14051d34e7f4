"""The OpenAPI document tells every operation whole, and the guide's table is made from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from buildyard.contracts.agents import AgentRegistration, ClaimRequest, DrainRequest
from buildyard.contracts.annotations import AnnotationRequest
from buildyard.contracts.api import BuildRequest
from buildyard.contracts.changing import RetryRequest
from buildyard.contracts.dead import DropRequest, RequeueRequest
from orchestrator.api import create_app, examples
from orchestrator.api.documented import endpoint_table
from orchestrator.api.reference import reference_page
from tests.orchestrator.api.fakes import Farm

GUIDE = Path(__file__).parents[3] / "docs" / "api.md"
REFERENCE = GUIDE.with_name("api-reference.md")
BEGIN, END = "<!-- endpoints: generated from OpenAPI -->\n", "<!-- end of endpoints -->"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Farm().parts).openapi()


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    paths = document["paths"].items()
    return [(f"{method} {path}", operation) for path, told in paths for method, operation in told.items()]


def test_every_operation_has_a_tidy_name_a_summary_and_a_description(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]

    assert len(names) == len(set(names))
    assert all(name.replace("_", "").isalpha() and name.islower() for name in names)
    assert all(operation["summary"] and operation["description"] for _, operation in operations(document))


def test_every_answer_with_a_body_has_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        success = next(told for code, told in operation["responses"].items() if code[0] in "23")
        shown = [content for content in success.get("content", {}).values() if "example" in content]
        assert shown or "307" in operation["responses"], name


def test_every_body_has_an_example_that_its_contract_reads(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if "requestBody" in operation:
            told = next(iter(operation["requestBody"]["content"].values()))
            assert "example" in told or "examples" in told, name
    BuildRequest.model_validate(examples.full_build_request)
    BuildRequest.model_validate(examples.short_build_request)
    BuildRequest.model_validate(examples.start_request)
    AgentRegistration.model_validate(examples.registration_request)
    ClaimRequest.model_validate(examples.claim_request)
    DrainRequest.model_validate(examples.drain_request)
    RequeueRequest.model_validate(examples.requeue_request)
    DropRequest.model_validate(examples.drop_request)
    RetryRequest.model_validate(examples.retry_request)
    AnnotationRequest.model_validate(examples.annotation_request)


def test_every_error_is_told_as_a_problem(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        errors = {code: told for code, told in operation["responses"].items() if code[0] in "45"}
        assert {"401", "403"} <= set(errors), name
        for code, told in errors.items():
            if "/health" not in name:
                assert "application/problem+json" in told["content"], (name, code)


def test_references_of_the_document_lead_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}

    assert named <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in text


async def test_the_document_is_served(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")

    assert (answer.status_code, answer.json()["info"]["title"]) == (200, "Buildyard producer")


def test_the_guides_table_is_that_of_the_document(document: dict[str, Any]) -> None:
    """When it is not: `python -m tests.orchestrator.api.test_documented` writes it anew."""
    text = GUIDE.read_text(encoding="utf-8")

    assert text.split(BEGIN)[1].split(END)[0] == endpoint_table(document)


def test_the_reference_is_that_of_the_document(document: dict[str, Any]) -> None:
    """When it is not: `python -m tests.orchestrator.api.test_documented` writes it anew."""
    assert REFERENCE.read_text(encoding="utf-8") == reference_page(document)


def test_the_reference_shows_every_operation_with_a_request_and_an_answer(document: dict[str, Any]) -> None:
    told = reference_page(document).split("\n### ")[1:]

    assert len(told) == len(operations(document))
    assert all("```sh\ncurl " in one and "\nAnswer " in one and "\nErrors: `" in one for one in told)
    assert "None" not in "".join(line for one in told for line in one.splitlines() if line.startswith("|"))


def _write_guide() -> None:
    before, rest = GUIDE.read_text(encoding="utf-8").split(BEGIN)
    document = create_app(Farm().parts).openapi()
    table = endpoint_table(document)
    REFERENCE.write_text(reference_page(document), encoding="utf-8")
    GUIDE.write_text(before + BEGIN + table + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    _write_guide()
