"""Pausing pools and changing priorities over HTTP."""

from __future__ import annotations

import httpx
import pytest

from buildyard.contracts.builds import Priority
from buildyard.errors import Conflict, NotFound
from orchestrator.api import examples
from tests.orchestrator.api.fakes import BUILD_ID, Farm


async def test_a_pool_is_paused_and_resumed_with_or_without_a_reason(client: httpx.AsyncClient, farm: Farm) -> None:
    paused = await client.post("/api/v1/pools/linux/pause", json={"reason": "The disks are changed."})
    resumed = await client.post("/api/v1/pools/linux/resume")

    assert [answer.status_code for answer in (paused, resumed)] == [200, 200]
    assert paused.json() == examples.pools.pools[0].wire()
    assert farm.service.intakes == [("linux", True, "The disks are changed."), ("linux", False, "")]
    assert farm.service.requesters == ["local", "local"]
    told = await client.get("/api/v1/pools/linux/events")
    assert told.json() == examples.pool_events.wire()


@pytest.mark.parametrize("path", ["pools/other/events", "pools/UPPER/pause", "pools/a%20b/events"])
async def test_a_pool_that_is_none_is_404(client: httpx.AsyncClient, farm: Farm, path: str) -> None:
    farm.service.failure = NotFound("There is no pool.")

    answer = await client.request("POST" if path.endswith("pause") else "GET", f"/api/v1/{path}")

    assert answer.status_code == 404


@pytest.mark.parametrize("body", [{"reason": "a\nb"}, {"reason": "x" * 501}, {"why": "x"}, [], "x"])
async def test_a_reason_that_cannot_be_shown_is_refused(client: httpx.AsyncClient, body: object) -> None:
    assert (await client.post("/api/v1/pools/linux/pause", json=body)).status_code == 422


async def test_a_builds_priority_is_changed(client: httpx.AsyncClient, farm: Farm) -> None:
    path = f"/api/v1/builds/{BUILD_ID}/priority"

    assert (await client.post(path, json={"priority": "High"})).json() == examples.build.wire()
    assert farm.service.priorities == [(BUILD_ID, Priority.HIGH)]
    for body in ({}, {"priority": "Soon"}, {"priority": None}):
        assert (await client.post(path, json=body)).status_code == 422
    farm.service.failure = Conflict("The build has ended already: Succeeded.")
    assert (await client.post(path, json={"priority": "low"})).status_code == 409
