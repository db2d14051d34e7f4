"""Annotations and the retry of a failed part over HTTP."""

from __future__ import annotations

import httpx
import pytest

from buildyard.contracts.annotations import AnnotationRequest, AnnotationStyle
from orchestrator.api import examples
from tests.orchestrator.api.fakes import BUILD_ID, OTHER_ID, Farm

PINNED = f"/api/v1/builds/{BUILD_ID}/annotations"


async def test_words_are_pinned_and_read(client: httpx.AsyncClient, farm: Farm) -> None:
    answer = await client.post(PINNED, json={"text": "Line 1\n\tLine 2", "style": "Warning", "context": "a/b 1"})

    assert (answer.status_code, answer.json()) == (200, examples.annotation.wire())
    wanted = AnnotationRequest(text="Line 1\n\tLine 2", style=AnnotationStyle.WARNING, context="a/b 1")
    assert farm.service.pinned == [(BUILD_ID, wanted)]
    assert (await client.get(PINNED)).json() == examples.annotation_list.wire()
    assert (await client.get(f"/api/v1/builds/{OTHER_ID}/annotations")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": "x" * 4001},
        {"text": "\x1b[2J"},
        {"text": "x", "style": "shout"},
        {"text": "x", "context": ""},
        {"text": "x", "context": "../x"},
        {"text": "x", "context": "a" * 101},
        {"text": "x", "html": "<b>"},
        {"text": 5},
    ],
)
async def test_words_that_cannot_be_shown_are_refused(client: httpx.AsyncClient, farm: Farm, body: object) -> None:
    assert (await client.post(PINNED, json=body)).status_code == 422
    assert farm.service.pinned == []


@pytest.mark.parametrize(
    ("body", "wanted"), [(None, None), ({}, None), ({"failedOnly": True}, True), ({"failed_only": False}, False)]
)
async def test_a_retry_says_what_part_it_wants(
    client: httpx.AsyncClient, farm: Farm, body: object, wanted: bool | None
) -> None:
    path = f"/api/v1/builds/{BUILD_ID}/retry"
    answer = await (client.post(path) if body is None else client.post(path, json=body))

    assert (answer.status_code, farm.service.failed_only) == (202, wanted)
    refused: list[object] = [{"failedOnly": "yes"}, {"failedOnly": 1}, {"all": True}, []]
    for wrong in refused:
        assert (await client.post(path, json=wrong)).status_code == 422
