"""Health says what is wrong; numbers are true or absent."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from buildyard.contracts.builds import Outcome
from buildyard.errors import BrokerUnavailable, ObjectsUnavailable, StoreUnavailable
from orchestrator.api.metrics import MAX_PROJECTS
from tests.orchestrator.api.fakes import BUILD_ID, Farm


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/health/ready", "/api/v1/ready"])
async def test_a_producer_that_can_work_is_ready(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert {check["name"] for check in answer.json()["checks"]} == {"store", "broker", "objects", "disk"}


@pytest.mark.parametrize("part", ["store", "broker", "objects"])
async def test_a_part_that_is_away_is_named_and_the_process_still_lives(
    client: httpx.AsyncClient, farm: Farm, part: str
) -> None:
    if part == "store":
        farm.views.failure = StoreUnavailable("The database is away.")
    elif part == "broker":
        farm.broker.failure = BrokerUnavailable("The broker is away.")
    else:
        farm.objects.failure = ObjectsUnavailable("The object store is away.")

    answer = await client.get("/api/v1/health")

    wrong = [check["name"] for check in answer.json()["checks"] if not check["ok"]]
    assert (answer.status_code, answer.json()["status"], wrong) == (503, "degraded", [part])
    assert (await client.get("/api/v1/health/live")).status_code == 200
    assert "health_status 0.0" in (await client.get("/metrics")).text


async def test_a_part_that_never_answers_is_not_waited_for(
    client: httpx.AsyncClient, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.health._CHECK_SECONDS", 0.02)
    never = asyncio.Event()
    monkeypatch.setattr(farm.views, "check", never.wait)

    answer = await client.get("/api/v1/health")

    assert answer.status_code == 503
    assert answer.json()["checks"][0]["detail"].startswith("no answer")


async def test_a_process_that_stops_is_not_ready(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.state = "stopping"

    answer = await client.get("/api/v1/ready")

    assert (answer.status_code, answer.json()["status"]) == (503, "stopping")


async def test_metrics_tell_builds_pools_and_health(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.broker.depths["jobs.linux"] = 41
    farm.metrics.report_refused("heartbeat")
    farm.metrics.lease_cut("linux", Outcome.HANDED_BACK)
    farm.metrics.build_ended("Succeeded", "shop", 12.5)
    farm.metrics.build_ended("timed_out", "shop", 900)
    await client.get(f"/api/v1/builds/{BUILD_ID}")
    await client.get("/no/such/path")

    answer = await client.get("/metrics")

    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    for line in (
        'builds_total{status="succeeded"} 1.0',
        'builds_total{status="timed_out"} 1.0',
        'builds_total{status="failed"} 0.0',
        'build_duration_seconds_sum{project="shop"} 912.5',
        'build_duration_seconds_bucket{le="30.0",project="shop"} 1.0',
        "active_builds 2.0",
        "open_dead_letters 4.0",
        'refused_reports_total{report="heartbeat"} 1.0',
        'cut_leases_total{how="handed_back",pool="linux"} 1.0',
        "health_status 1.0",
        'builds_in_status{status="running"} 2.0',
        'pool_ready_jobs{pool="linux"} 41.0',
        'pool_waiting_jobs{pool="linux"} 3.0',
        'pool_leases{pool="linux"} 5.0',
        'pool_oldest_wait_seconds{pool="linux"} 7.5',
        'pool_agents{pool="linux",state="busy"} 5.0',
        'queue_depth{pool="linux"} 41.0',
        'http_request_duration_seconds_count{method="GET",route="/api/v1/builds/{build_id}",status="200"} 1.0',
        'http_request_duration_seconds_count{method="GET",route="unmatched",status="404"} 1.0',
    ):
        assert line in answer.text.splitlines()


async def test_a_queue_that_cannot_be_counted_is_absent_and_never_zero(client: httpx.AsyncClient) -> None:
    page = (await client.get("/metrics")).text

    assert "queue_depth{" not in page
    assert 'unknown_readings_total{pool="linux"} 1.0' in page.splitlines()
    assert "health_status 1.0" in page


async def test_without_the_store_its_numbers_are_absent(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.views.failure = StoreUnavailable("The database is away.")

    page = (await client.get("/metrics")).text

    assert "active_builds " not in page.replace("# HELP active_builds", "").replace("# TYPE active_builds", "")
    assert "pool_ready_jobs" not in page


async def test_projects_beyond_the_bound_are_counted_together(client: httpx.AsyncClient, farm: Farm) -> None:
    for number in range(MAX_PROJECTS + 3):
        farm.metrics.build_ended("Succeeded", f"p{number}", 1)
    farm.metrics.build_ended("Succeeded", "p0", 1)

    page = (await client.get("/metrics")).text

    assert 'build_duration_seconds_count{project="other"} 3.0' in page
    assert 'build_duration_seconds_count{project="p0"} 2.0' in page
    assert page.count("build_duration_seconds_count{") == MAX_PROJECTS + 1
