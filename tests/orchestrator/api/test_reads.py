"""What can be looked at, and every way to ask for something that is not there."""

from __future__ import annotations

import json

import httpx
import pytest
from structlog.testing import capture_logs

from buildyard.contracts.builds import BuildState, RowResult
from buildyard.errors import BrokerUnavailable, BuildyardError, Conflict, InvalidSettings, Overloaded, StoreUnavailable
from buildyard.settings import Settings
from orchestrator.api import examples
from tests.orchestrator.api.fakes import BUILD_ID, OTHER_ID, Farm

BUILD = f"/api/v1/builds/{BUILD_ID}"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/builds", examples.builds),
        (BUILD, examples.build),
        (f"{BUILD}/artifacts", examples.artifacts),
        (f"{BUILD}/trace", examples.trace),
        ("/api/v1/agents", examples.agents),
        ("/api/v1/agents/linux-1-1", examples.agent),
        ("/api/v1/agents/linux-1-1/health", examples.agent_health),
        ("/api/v1/pools", examples.pools),
    ],
)
async def test_what_the_views_show_is_answered_in_camel_case(
    client: httpx.AsyncClient, path: str, expected: object
) -> None:
    answer = await client.get(path)

    assert (answer.status_code, answer.json()) == (200, expected.wire())  # type: ignore[attr-defined] # all are values


async def test_builds_are_listed_by_what_is_asked_for(client: httpx.AsyncClient, farm: Farm) -> None:
    await client.get("/api/v1/builds?status=TimedOut&project=p%20q&pool=Linux&limit=7&cursor=abc")

    assert farm.views.asked == {
        "status": BuildState.TIMED_OUT,
        "project": "p q",
        "pool": "linux",
        "cursor": "abc",
        "limit": 7,
    }


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=Nonsense", "status"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("project=%00", "project"),
        ("cursor=%0a", "cursor"),
        ("pool=" + "x" * 41, "pool"),
    ],
)
async def test_a_wrong_filter_is_named(client: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await client.get(f"/api/v1/builds?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/builds/{OTHER_ID}",
        f"/api/v1/builds/{OTHER_ID}/artifacts",
        f"/api/v1/builds/{OTHER_ID}/rows",
        f"/api/v1/builds/{OTHER_ID}/rows?format=csv",
        f"/api/v1/builds/{OTHER_ID}/trace",
        "/api/v1/builds/nonsense",
        "/api/v1/builds/'%20or%201=1",
        f"/api/v1/builds/{BUILD_ID.upper()}",
        f"/api/v1/builds/{{{BUILD_ID}}}",
        f"/api/v1/builds/{BUILD_ID}x/logs",
        f"/api/v1/artifacts/{OTHER_ID}/download",
        "/api/v1/artifacts/nonsense/download",
        "/api/v1/agents/nobody",
        "/api/v1/agents/nobody/health",
        "/api/v1/builds/",
        "/API/v1/builds",
        "/",
        "/docs",
        "/redoc",
        "/favicon.ico",
    ],
)
async def test_what_is_not_there_is_404_with_a_sentence(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    problem = answer.json()
    assert (answer.status_code, problem["code"], answer.headers["Content-Type"]) == (
        404,
        "not_found",
        "application/problem+json",
    )
    assert problem["detail"].endswith(".")


async def test_a_method_that_is_not_taken_is_405_and_says_which_are(client: httpx.AsyncClient) -> None:
    answer = await client.delete(BUILD)

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Conflict("The build ended as succeeded."), 409, None),
        (StoreUnavailable("The database is away.", retry_after=0.2), 503, "1"),
        (BrokerUnavailable("The broker is away.", retry_after=12.1), 503, "13"),
        (Overloaded("Too much at once."), 429, "1"),
        (InvalidSettings("Nobody should see this."), 500, None),
        (BuildyardError("Nor this."), 500, None),
    ],
)
async def test_every_error_of_the_tree_has_its_status(
    client: httpx.AsyncClient, farm: Farm, error: BuildyardError, status: int, retry_after: str | None
) -> None:
    farm.service.failure = error

    answer = await client.post(f"{BUILD}/cancel")

    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry_after)
    if status < 500:
        assert answer.json()["detail"] == str(error)
    if status == 500:
        assert str(error) not in answer.text


async def test_a_code_of_its_own_reaches_the_client(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.service.failure = Conflict("The agent lacks dotnet.")
    farm.service.failure.code = "agent_unsuited"

    answer = await client.post("/api/v1/agents", json=examples.registration_request)

    assert (answer.status_code, answer.json()["code"]) == (409, "agent_unsuited")


async def test_an_unexpected_fault_tells_no_internals_but_where_to_look(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.service.failure = ZeroDivisionError("secret inside")

    with capture_logs() as logged:
        answer = await client.post(f"{BUILD}/cancel")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    incident = problem["detail"].rstrip(".").split()[-1]
    assert logged[0]["incident"] == incident


async def test_an_agents_log_is_with_the_scaler(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.settings = Settings(scaler_url="http://localhost:9999/")

    answer = await client.get("/api/v1/agents/linux-1-1/logs?follow=1&x=%0d%0aEvil:1")

    assert answer.status_code == 307
    assert answer.headers["Location"].endswith("/agents/linux-1-1/logs?follow=1")


def batch(farm: Farm, count: int) -> None:
    farm.views.results = [
        RowResult(row=n, ok=n % 5 != 0, result={"n": n} if n % 5 else {}, error="" if n % 5 else "=cmd(), no number")
        for n in range(1, count + 1)
    ]


async def test_rows_come_page_by_page(client: httpx.AsyncClient, farm: Farm) -> None:
    batch(farm, 12)

    page = (await client.get(f"{BUILD}/rows?after=4&limit=5")).json()
    failed = (await client.get(f"{BUILD}/rows?failed=1")).json()

    assert ([row["row"] for row in page["rows"]], page["nextCursor"]) == ([5, 6, 7, 8, 9], "9")
    assert ([row["row"] for row in failed["rows"]], failed["nextCursor"]) == ([5, 10], None)


async def test_all_rows_come_as_json_lines_or_csv(client: httpx.AsyncClient, farm: Farm) -> None:
    batch(farm, 1201)

    lines = (await client.get(f"{BUILD}/rows?format=jsonl")).text.splitlines()
    table = await client.get(f"{BUILD}/rows?format=csv")
    failed = (await client.get(f"{BUILD}/rows?format=jsonl&failed=true")).text.splitlines()

    assert [json.loads(line)["row"] for line in lines] == list(range(1, 1202))
    assert table.headers["Content-Disposition"] == 'attachment; filename="rows.csv"'
    assert table.text.splitlines()[:2] == ["row,ok,error,result", '1,true,,"{""n"":1}"']
    assert table.text.splitlines()[5] == '5,false,"\'=cmd(), no number",'
    assert len(failed) == 240


@pytest.mark.parametrize("query", ["after=-1", "limit=0", "limit=1001", "format=xml", "failed=perhaps"])
async def test_a_wrong_question_for_rows_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"{BUILD}/rows?{query}")).status_code == 422


async def test_nothing_but_health_is_answered_before_the_servers_are_reached(
    client: httpx.AsyncClient, farm: Farm
) -> None:
    farm.state = "starting"

    early = await client.get("/api/v1/builds")

    assert (early.status_code, early.headers["Retry-After"]) == (503, "1")
    assert (await client.get("/api/v1/live")).status_code == 200
    assert (await client.get("/api/v1/health")).json()["status"] == "starting"
