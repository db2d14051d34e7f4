"""JSON in: both shapes are read, and everything that could be read in two ways is refused with its reason."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from orchestrator.api import examples
from tests.orchestrator.api.fakes import Farm

SHORT: dict[str, Any] = {"project_name": "p", "git_url": "https://github.com/a/b.git", "branch": "main"}
JSON = {"Content-Type": "application/json"}


async def post(client: httpx.AsyncClient, body: object, path: str = "/api/v1/builds") -> httpx.Response:
    return await client.post(path, content=json.dumps(body), headers=JSON)


async def test_the_short_shape_becomes_the_full_one(client: httpx.AsyncClient, farm: Farm) -> None:
    answer = await post(client, {**SHORT, "priority": "High"})

    assert (answer.status_code, answer.json()["status"]) == (202, "Queued")
    assert answer.headers["Location"] == answer.json()["links"]["self"]
    job = farm.service.started[0][1].job
    assert (job.project_name, job.repository_url, job.git_ref) == ("p", "https://github.com/a/b.git", "main")


async def test_the_full_shape_is_read_in_both_spellings(client: httpx.AsyncClient, farm: Farm) -> None:
    snake = {"job": {"project_name": "p", "repository_url": "https://x/y", "run_tests": False}, "target_pool": "linux"}

    assert (await post(client, examples.full_build_request)).status_code == 202
    assert (await post(client, snake)).status_code == 202
    assert farm.service.started[1][1].job.run_tests is False


def full(**job: object) -> dict[str, object]:
    return {"job": {"projectName": "p", "repositoryUrl": "https://x/y", **job}}


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"project_name": "p"}, "job.repositoryUrl", "no repository"),
        ({}, "job.repositoryUrl", "no repository"),
        ([], "body", "object"),
        ("text", "body", "object"),
        (None, "body", "object"),
        ({"job": []}, "job", "object"),
        ({"job": {}, "jobs": {}}, "jobs", "not a known field"),
        (full(projectNme="typo"), "job.projectNme", "not a known field"),
        (full(projectName=7), "job.projectName", "text"),
        (full(projectName=""), "job.projectName", "not allowed"),
        (full(projectName="-x"), "job.projectName", "not allowed"),
        (full(projectName="a\nb"), "job.projectName", "not allowed"),
        (full(timeoutMinutes="soon"), "job.timeoutMinutes", "number"),
        (full(timeoutMinutes=0), "job.timeoutMinutes", "more than 0"),
        (full(timeoutMinutes=10**9), "job.timeoutMinutes", "at most"),
        (full(runTests="perhaps"), "job.runTests", "true or false"),
        (full(rowsPerJob=1.5), "job.rowsPerJob", "whole number"),
        (full(configuration="/t:Clean"), "job.configuration", "not allowed"),
        (full(platform="x;y"), "job.platform", "not allowed"),
        (full(gitRef="x" * 300), "job.gitRef", "longer than 255"),
        (full(buildProperties={"A": "x;y"}), "job.buildProperties", "A"),
        (full(buildProperties={"-p:X": "y"}), "job.buildProperties", "-p:X"),
        (full(buildProperties={"A": "$(B)"}), "job.buildProperties", "A"),
        (full(buildProperties={f"A{n}": "1" for n in range(101)}), "job.buildProperties", "more than 100"),
        (full(metadata={"a": 1}), "job.metadata.a", "text"),
        (full(metadata=[]), "job.metadata", "object"),
        ({**full(), "priority": "Urgent"}, "priority", "one of"),
        ({**full(), "strategy": 3}, "strategy", "one of"),
        ({**full(), "targetPool": "../x"}, "targetPool", "not allowed"),
        ({**full(), "forceClean": "x"}, "forceClean", "true or false"),
        ({"job": full()["job"], "project_name": "p"}, "project_name", "not a known field"),
    ],
)
async def test_a_wrong_field_is_named_with_what_is_wrong(
    client: httpx.AsyncClient, farm: Farm, body: object, field: str, said: str
) -> None:
    answer = await post(client, body)

    problem = answer.json()
    assert answer.status_code == 422, answer.text
    assert field in [entry["field"] for entry in problem["errors"]]
    assert said in " ".join(entry["message"] for entry in problem["errors"])
    assert problem["code"] == "invalid_request"
    assert farm.service.started == []


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"project_name": "a", "project_name": "b"}', "twice"),
        (b'{"job": {"metadata": {"k": "1", "k": "2"}}}', "twice"),
        (b'{"timeoutMinutes": NaN}', "NaN"),
        (b'{"timeoutMinutes": -Infinity}', "-Infinity"),
        (b'{"timeoutMinutes": 1e999}', "too large"),
        (b'{"rowsPerJob": ' + b"9" * 5000 + b"}", "too large"),
        (b'{"rowsPerJob": 9223372036854775808}', "too large"),
        (b'{"rowsPerJob": -9223372036854775809}', "too large"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested"),
        (b'{"project_name": "a\\u0000b"}', "cannot be kept"),
        (b'{"metadata": {"\\ud800": "x"}}', "cannot be kept"),
    ],
)
async def test_json_that_cannot_be_trusted_is_refused_as_a_whole(
    client: httpx.AsyncClient, farm: Farm, raw: bytes, said: str
) -> None:
    answer = await client.post("/api/v1/builds", content=raw, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (400, "unreadable_body"), answer.text
    assert said in answer.json()["detail"]
    assert farm.service.started == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"])
async def test_a_body_that_is_not_said_to_be_json_is_refused(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post("/api/v1/builds", content=json.dumps(SHORT), headers={"Content-Type": kind})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_type")


async def test_a_request_without_a_body_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/builds", headers=JSON)

    assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": "body", "message": "is missing"}])


async def test_other_json_types_and_parameters_are_json_too(client: httpx.AsyncClient) -> None:
    for kind in ("application/json; charset=utf-8", "application/vnd.farm+json"):
        answer = await client.post("/api/v1/builds", content=json.dumps(SHORT), headers={"Content-Type": kind})
        assert answer.status_code == 202


async def test_a_body_beyond_the_limit_is_refused_announced_or_not(client: httpx.AsyncClient) -> None:
    large = json.dumps({**SHORT, "metadata": {"a": "x" * 2**20}}).encode()

    async def in_pieces() -> Any:
        yield large[:1000]
        yield large[1000:]

    for content in (large, in_pieces()):
        assert (await client.post("/api/v1/builds", content=content, headers=JSON)).status_code == 413


async def test_every_wrong_field_is_told_at_once(client: httpx.AsyncClient) -> None:
    answer = await post(client, {**full(timeoutMinutes=-1, runTests="x"), "priority": "Urgent"})

    assert {entry["field"] for entry in answer.json()["errors"]} == {"job.timeoutMinutes", "job.runTests", "priority"}


async def test_workers_join_and_claim(client: httpx.AsyncClient, farm: Farm) -> None:
    joined = await post(client, examples.registration_request, "/api/v1/agents")
    claimed = await post(client, examples.claim_request, "/api/v1/agents/linux-1-1/claim")
    drained = await post(client, {}, "/api/v1/agents/linux-1-1/drain")

    assert (joined.status_code, joined.json()["leaseSeconds"]) == (201, 30)
    assert (claimed.status_code, claimed.json()["verdict"]) == (200, "none")
    assert (drained.status_code, drained.json()["state"]) == (200, "Draining")
    assert farm.service.drained == [("linux-1-1", "asked by a user")]


@pytest.mark.parametrize("name", ["Linux", "linux_1", "-", "1", "a" * 81, "linux%20"])
async def test_a_malformed_agent_name_is_an_unknown_agent(client: httpx.AsyncClient, name: str) -> None:
    answer = await post(client, examples.claim_request, f"/api/v1/agents/{name}/claim")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
