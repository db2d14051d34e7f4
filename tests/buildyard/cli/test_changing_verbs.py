"""Verbs that change what waits: priorities, the intake of pools, agents that shall leave; and columns of listings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply, problem
from tests.buildyard.cli.run import Shell

ID = answers.BUILD_ID


def _pool(*, paused: bool) -> dict[str, Any]:
    counts: dict[str, object] = {
        "ready": 2,
        "waiting": 1,
        "leases": 4,
        "oldestWaitSeconds": None,
        "agents": {},
        "generations": {},
    }
    intake = {"paused": paused, "reason": "", "by": "ann", "since": answers.AT}
    return {"name": "mac", **counts, "intake": intake}


def test_a_pool_is_paused_and_resumed(shell: Shell, server: FakeServer) -> None:
    server.on("POST", "/api/v1/pools/mac/pause", _pool(paused=True))
    ran = shell("queues", "pause", "mac", "--reason", "The disks are changed.")
    assert (ran.code, ran.out) == (0, "mac: paused; 3 jobs wait, 4 run on.\n")
    assert "buildyard queues resume mac" in ran.err
    assert server.seen[0].json() == {"reason": "The disks are changed."}
    server.on("POST", "/api/v1/pools/mac/resume", _pool(paused=False))
    assert shell("queues", "resume", "mac").out == "mac: hands out jobs; 2 are ready.\n"
    assert shell("queues", "resume", "mac", "--json").json()["intake"]["paused"] is False


def test_an_agent_is_asked_to_leave(shell: Shell, server: FakeServer) -> None:
    agent = {
        "name": "linux-1-1",
        "pool": "linux",
        "state": "draining",
        "hostname": "here",
        "pid": 7,
        "version": "1",
        "capabilities": {},
        "health": {},
        "joinedAt": answers.AT,
        "seenAt": answers.AT,
        "buildId": ID,
    }
    server.on("POST", "/api/v1/agents/linux-1-1/drain", agent)
    ran = shell("agents", "drain", "linux-1-1", "-r", "maintenance")
    assert (ran.code, ran.out) == (0, "linux-1-1: draining.\n")
    assert ID in ran.err
    assert server.seen[0].json() == {"reason": "maintenance"}


def test_an_agent_is_asked_to_stay(shell: Shell, server: FakeServer) -> None:
    agent = {
        "name": "linux-1-1",
        "pool": "linux",
        "state": "Busy",
        "hostname": "here",
        "pid": 7,
        "version": "1",
        "capabilities": {},
        "health": {},
        "joinedAt": answers.AT,
        "seenAt": answers.AT,
        "buildId": ID,
    }
    server.on("POST", "/api/v1/agents/linux-1-1/undrain", agent)
    ran = shell("agents", "undrain", "linux-1-1")
    assert (ran.code, ran.out) == (0, "linux-1-1: Busy.\n")
    assert ID in ran.err
    server.on("POST", "/api/v1/agents/linux-1-1/undrain", problem(409, "agent_left", "Agent linux-1-1 has left."))
    assert shell("agents", "undrain", "linux-1-1").code == 4


def test_a_build_gets_another_priority(shell: Shell, server: FakeServer) -> None:
    server.on("POST", f"/api/v1/builds/{ID}/priority", answers.status(priority="High"))
    assert shell("priority", ID, "HIGH").out == f"{ID}: priority high.\n"
    assert server.seen[0].json()["priority"].lower() == "high"
    server.on("POST", f"/api/v1/builds/{ID}/priority", problem(409, "conflict", "It has ended."))
    assert shell("priority", ID, "low").code == 4


@pytest.mark.parametrize(
    "words", [("queues", "pause", "no-pool"), ("agents", "drain", "nobody"), ("priority", ID, "low")]
)
def test_what_is_not_there_is_refused(shell: Shell, words: tuple[str, ...]) -> None:
    ran = shell(*words)
    assert (ran.code, ran.out) == (4, "")


def test_a_listing_shows_the_columns_that_are_asked_for_in_their_order(shell: Shell, server: FakeServer) -> None:
    server.on("GET", "/api/v1/builds", Reply(body={"builds": [answers.summary(project_name="x")], "nextCursor": None}))
    lines = [line.split() for line in shell("builds", "--columns", "project, ID").out.splitlines()]
    assert lines == [["PROJECT", "ID"], ["calc", ID]]
    ran = shell("builds", "--columns", "id,nope")
    assert ran.code == 2
    assert "PROJECT" in ran.err
