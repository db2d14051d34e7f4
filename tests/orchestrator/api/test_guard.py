"""The producer behind the guard: who passes as whom, and what stays open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from buildyard.settings import Settings
from orchestrator.api import create_app
from tests.orchestrator.api.fakes import BUILD_ID, Farm


@pytest.fixture
async def guarded(farm: Farm) -> AsyncIterator[httpx.AsyncClient]:
    farm.settings = Settings(token="s3cret")
    transport = httpx.ASGITransport(create_app(farm.parts))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as opened:
        yield opened


async def test_a_caller_without_the_token_gets_a_problem_that_says_what_to_send(guarded: httpx.AsyncClient) -> None:
    answer = await guarded.get(f"/api/v1/builds/{BUILD_ID}")

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="buildyard"')
    assert answer.json()["code"] == "unauthorized"
    assert "Authorization: Bearer" in answer.json()["remedy"]


async def test_a_caller_with_the_token_is_the_token(guarded: httpx.AsyncClient, farm: Farm) -> None:
    with_token = {"Authorization": "Bearer s3cret"}
    body = {"project_name": "x", "git_url": "https://github.com/a/b"}

    assert (await guarded.post("/api/v1/builds", json=body, headers=with_token)).status_code == 202
    assert farm.service.requesters == ["token"]


async def test_only_liveness_needs_no_token(guarded: httpx.AsyncClient) -> None:
    for path in ("/api/v1/live", "/api/v1/health/live"):
        assert (await guarded.get(path)).status_code == 200
    for path in ("/api/v1/health", "/api/v1/ready", "/api/v1/live/", "/metrics", "/openapi.json", "/"):
        assert (await guarded.get(path)).status_code == 401


async def test_an_upload_from_a_foreign_page_is_refused(client: httpx.AsyncClient, farm: Farm) -> None:
    files = {"file": ("data.csv", b"a,b\n1,2\n")}
    answer = await client.post("/upload", files=files, headers={"Origin": "http://evil.example"})

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert farm.objects.kept == {}
