"""Rows that call a slow, faulty service, through a whole farm whose worker dies in the middle."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.journey.test_sources_and_rows import repository
from tests.journey.yard import Yard, json_lines, open_yard, until, zipped
from tests.servers import need
from tests.slow_service import slow_service

pytestmark = [pytest.mark.journey]

ROWS = 60
TRIES = 5
AT_ONCE = 4
CONFIG = f"""
[call]
rows = "rows.csv"
fields = ["path"]
concurrency = {AT_ONCE}
rate_per_second = 100
tries = {TRIES}
read_seconds = 1
backoff_seconds = 0.05
retry_after_max_seconds = 0.2
"""
FAULTS = ("--fail-rate", "0.08", "--busy-rate", "0.05", "--hang-rate", "0.02", "--cut-rate", "0.05")


async def recorded(yard: Yard, build: str) -> set[int]:
    """The rows whose results the farm has."""
    body = b"".join([piece async for piece in yard.producer.rows_jsonl(build)])
    return {json.loads(line)["row"] for line in body.splitlines()}


async def test_under_faults_and_a_killed_worker_no_finished_row_is_called_again(
    where: dict[str, str], tmp_path: Path
) -> None:
    async with slow_service("--latency", "0.15", "--jitter", "0.05", "--seed", "7", *FAULTS) as service:
        lines = "\n".join(f"{service.address}/orders/{number}" for number in range(1, ROWS + 1))
        project = zipped({"buildyard.toml": CONFIG, "rows.csv": f"url\n{lines}\n"})
        env = {**where, "BUILDYARD_CALL_HOSTS": service.place}
        async with open_yard(tmp_path, env, "max_workers = 1") as yard:
            build = await yard.submit(project)
            before: set[int] = set()

            async def some() -> bool:
                nonlocal before
                before = await recorded(yard, build)
                return len(before) >= 15

            await until(some)
            [busy] = [agent for agent in (await yard.producer.agents()).agents if agent.state == "Busy"]
            os.kill(busy.pid, signal.SIGKILL)
            status = await yard.end(build)
            log = await yard.log(build)
            results = {
                one["row"]: one for one in json_lines((await yard.verified(build, tmp_path / "out"))["results.jsonl"])
            }
        stats = await service.stats()

    assert set(results) == set(range(1, ROWS + 1)), "each row has one result"
    assert status.status == ("Succeeded" if all(one["ok"] for one in results.values()) else "Failed"), status.reason
    calls = {int(key.rpartition("-")[2]): counts["calls"] for key, counts in stats["keys"].items()}
    assert {key.rpartition("-")[0] for key in stats["keys"]} == {build}
    attempts = {row: one["result"]["attempts"] for row, one in results.items()}  # type: ignore[index]
    assert len(before) < ROWS
    assert [row for row in before if calls[row] != attempts[row]] == [], "a finished row was called again"
    repeated = [row for row in calls if calls[row] != attempts[row]]
    assert len(repeated) <= AT_ONCE, "only what was on its way at the crash may be called again"
    assert max(calls.values()) <= 2 * TRIES
    in_vain = AT_ONCE + stats["ends"].get("hung", 0)
    assert stats["mostAtOnce"] <= AT_ONCE + in_vain, "calls nobody waits for may still be in the service's hands"
    assert "the next in" in log, "the log tells of calls that are tried again"


async def test_a_csv_is_called_or_built_row_by_row_as_its_columns_say(tmp_path: Path) -> None:
    need("git")
    need("make")
    repositories = tmp_path / "repositories"
    commit = repository(repositories / "project")
    env = {"BUILDYARD_GIT_LOCAL_ROOTS": str(repositories)}
    async with slow_service("--latency", "0") as service:
        async with open_yard(tmp_path, {**env, "BUILDYARD_CALL_HOSTS": service.place}) as yard:
            calls = f"url,method,body\n{service.address}/a,POST,one\n{service.address}/b,GET,\n".encode()
            called = await yard.submit(calls, "calls.csv")
            where = repositories / "project"
            builds = f"git_url,branch\n{where},v1\n{where},{commit}\nhttps://evil.example/x.git,main\n".encode()
            built = await yard.submit(builds, "builds.csv")

            assert (await yard.end(called)).status == "Succeeded"
            found = json_lines((await yard.verified(called, tmp_path / "called"))["results.jsonl"])
            assert [one["ok"] for one in found] == [True, True]

            assert (await yard.end(built)).reason_code == "rows_failed"
            rows = json_lines((await yard.verified(built, tmp_path / "built"))["results.jsonl"])
            assert "not allowed" in str(rows[2]["error"])
            ids = [one["result"]["executionId"] for one in rows[:2]]  # type: ignore[index]
            assert [(await yard.end(one)).status for one in ids] == ["Succeeded", "Succeeded"]
        assert (await service.stats())["calls"] == 2
