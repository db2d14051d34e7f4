"""Dead letters and retries over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from buildyard.contracts.builds import ReasonCode
from buildyard.errors import Conflict
from orchestrator.api import examples
from orchestrator.store.queries import DeadFilter
from tests.orchestrator.api.fakes import BUILD_ID, OTHER_ID, Farm

DEAD = f"/api/v1/dead/{BUILD_ID}"


async def test_dead_letters_are_listed_by_what_is_asked_for(client: httpx.AsyncClient, farm: Farm) -> None:
    answer = await client.get(
        "/api/v1/dead?project=p&pool=Linux&reasonCode=worker_lost&since=2026-11-21T09:30:00Z&settled=1&limit=7&cursor=c"
    )

    assert (answer.status_code, answer.json()) == (200, examples.dead_letters.wire())
    at = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    assert farm.views.dead_asked == DeadFilter("p", "linux", ReasonCode.WORKER_LOST, at, "c", settled_too=True, limit=7)


@pytest.mark.parametrize(
    "query",
    [
        "reasonCode=bad_luck",
        "since=yesterday",
        "since=2026-11-21T09:30:00",
        "since=2026-11-21",
        "since=1763717400",
        "since=0",
        "since=2026-11-21%2009:30Z",
        "limit=0",
        "pool=%00",
    ],
)
async def test_a_filter_that_cannot_be_read_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/api/v1/dead?{query}")).status_code == 422


@pytest.mark.parametrize("since", [0, 1763717400, 1763717400.5, "1763717400", "2026-11-21", "2026-11-21T09:30:00"])
async def test_a_requeue_reads_times_as_rfc_3339_only(client: httpx.AsyncClient, since: object) -> None:
    answer = await client.post("/api/v1/dead/requeue", json={"since": since})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "since")


async def test_the_word_requeue_is_no_dead_letter(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/dead/requeue")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert (await client.get("/api/v1/dead/not-an-id")).status_code == 404


async def test_a_dead_letter_shows_the_last_fifty_lines_of_its_log(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.store_log(1, [f"line {number}" for number in range(1, 81)])

    shown = (await client.get(DEAD)).json()

    assert shown["log"] == [f"line {number}" for number in range(31, 81)]
    assert shown["letter"]["reasonCode"] == "worker_lost"
    assert [event["type"] for event in shown["events"]] == ["build_dead"]
    assert (await client.get(f"/api/v1/dead/{OTHER_ID}")).status_code == 404


async def test_one_is_requeued_and_any_ended_build_retried(client: httpx.AsyncClient, farm: Farm) -> None:
    for path in (f"{DEAD}/requeue", f"/api/v1/builds/{BUILD_ID}/retry"):
        answer = await client.post(path)

        assert (answer.status_code, answer.json()) == (202, examples.accepted.wire())
        assert answer.headers["Location"] == examples.accepted.links.self_
    assert farm.service.again == [BUILD_ID, BUILD_ID]


async def test_a_build_that_goes_on_is_not_retried(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.service.failure = Conflict("The build has not ended: it is running.")

    answer = await client.post(f"/api/v1/builds/{BUILD_ID}/retry")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_many_are_requeued_by_filter(client: httpx.AsyncClient, farm: Farm) -> None:
    answer = await client.post(
        "/api/v1/dead/requeue", json={"pool": "Linux", "reason_code": "disk_full", "limit": 5, "cursor": "c"}
    )

    assert (answer.status_code, answer.json()) == (200, examples.requeued.wire())
    assert farm.service.matching == [DeadFilter(pool="linux", code=ReasonCode.DISK_FULL, before="c", limit=5)]
    for wrong in ({"limit": 101}, {"poool": "x"}, {"since": "2026-11-21"}, {"project": "\x01"}):
        assert (await client.post("/api/v1/dead/requeue", json=wrong)).status_code == 422


async def test_one_is_dropped_only_with_a_reason(client: httpx.AsyncClient, farm: Farm) -> None:
    answer = await client.post(f"{DEAD}/drop", json={"reason": "No use."})

    assert answer.status_code == 200
    assert farm.service.dropped == [(BUILD_ID, "No use.")]
    for wrong in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "a\x01b"}, {"reason": "x" * 501}):
        assert (await client.post(f"{DEAD}/drop", json=wrong)).status_code == 422
