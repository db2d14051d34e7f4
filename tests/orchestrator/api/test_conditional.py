"""What a reader knows already is not sent again."""

from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api import create_app, examples
from orchestrator.api.conditional import weak_tag
from tests.orchestrator.api.fakes import BUILD_ID, OTHER_ID, Farm

READS = [
    f"/api/v1/builds/{BUILD_ID}",
    "/api/v1/builds",
    f"/api/v1/builds/{BUILD_ID}/artifacts",
    f"/api/v1/builds/{BUILD_ID}/rows",
    f"/api/v1/builds/{BUILD_ID}/trace",
    "/api/v1/pools",
    "/api/v1/agents",
    "/api/v1/dead",
    f"/api/v1/dead/{BUILD_ID}",
    f"/api/v1/builds/{BUILD_ID}/annotations",
    f"/api/v1/builds/{BUILD_ID}/diagnostics",
    f"/api/v1/builds/{BUILD_ID}/tests",
    "/api/v1/pools/linux/events",
    "/api/v1/agents/linux-1-1",
    "/api/v1/agents/linux-1-1/health",
]


def test_these_are_all_reads_in_json_that_the_document_tells_of() -> None:
    document = create_app(Farm().parts).openapi()
    told = {
        path
        for path, operations in document["paths"].items()
        if "application/json" in operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
    }
    asked = {re.sub(r"linux-1-1", "{agent}", path) for path in READS}
    shapes = {re.sub(r"[0-9a-f-]{36}|(?<=pools/)linux(?=/)|\{agent\}", "*", path) for path in asked}

    health = {path for path in told if path.endswith(("/health", "/live", "/ready")) and "{" not in path}
    assert shapes == {re.sub(r"\{\w+\}", "*", path) for path in told - health}


@pytest.mark.parametrize("path", READS)
async def test_an_answer_that_is_known_is_304_without_a_body(client: httpx.AsyncClient, path: str) -> None:
    first = await client.get(path)
    tag = first.headers["ETag"]

    for known in (tag, f'"other", {tag}', "*", tag.removeprefix("W/")):
        again = await client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert (await client.get(path, headers={"If-None-Match": 'W/"other"'})).content == first.content


async def test_a_change_changes_the_tag_and_the_moment_of_counting_does_not(
    client: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def later() -> object:
        return examples.pools.model_copy(update={"at": examples.build.end_time})

    async def busier() -> object:
        pools = (examples.pools.pools[0].model_copy(update={"ready": 42}),)
        return examples.pools.model_copy(update={"pools": pools})

    known = {"If-None-Match": (await client.get("/api/v1/pools")).headers["ETag"]}
    monkeypatch.setattr(farm.views, "pools", later)
    assert (await client.get("/api/v1/pools", headers=known)).status_code == 304
    monkeypatch.setattr(farm.views, "pools", busier)
    assert (await client.get("/api/v1/pools", headers=known)).status_code == 200


async def test_an_error_has_no_tag(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/api/v1/builds/{OTHER_ID}", headers={"If-None-Match": "*"})

    assert (answer.status_code, "ETag" in answer.headers) == (404, False)


@given(one=st.binary(max_size=50), other=st.binary(max_size=50))
def test_only_the_same_words_have_the_same_tag(one: bytes, other: bytes) -> None:
    assert (weak_tag(b'{"a":"' + one) == weak_tag(b'{"a":"' + other)) is (one == other)
