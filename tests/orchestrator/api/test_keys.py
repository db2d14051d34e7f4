"""Keys of requests, as far as no store is asked."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.orchestrator.api.fakes import BUILD_ID


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "\xe9"])
async def test_a_key_that_is_none_is_refused(client: httpx.AsyncClient, key: str) -> None:
    body = {"project_name": "p", "git_url": "https://github.com/a/b.git"}

    answer = await client.post("/api/v1/builds", json=body, headers={b"Idempotency-Key": key.encode("latin-1")})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_every_post_looks_at_its_key(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    posts = [
        re.sub(r"\{(\w*)id\}", BUILD_ID, path).replace("{name}", "linux") for path in paths if "post" in paths[path]
    ]

    for path in posts:
        answer = await client.post(path, json={}, headers={"Idempotency-Key": "two words"})
        assert (path, answer.status_code, answer.json()["errors"][0]["field"]) == (path, 422, "Idempotency-Key")
    assert len(posts) >= 15


async def test_every_post_documents_its_key(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    for operations in document["paths"].values():
        if "post" in operations:
            assert "Idempotency-Key" in [one["name"] for one in operations["post"]["parameters"]]
            assert {"409", "422"} <= operations["post"]["responses"].keys()
