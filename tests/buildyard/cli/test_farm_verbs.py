"""The verbs that show the farm: agents, queues, decisions, and the doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply
from tests.buildyard.cli.run import Shell

ID = answers.BUILD_ID


def _agent(**more: Any) -> dict[str, Any]:
    return {
        "name": "linux-1-1",
        "pool": "linux",
        "state": "busy",
        "hostname": "here",
        "pid": 7,
        "version": "1",
        "capabilities": {"tools": {"python": "3.11.7", "git": ""}},
        "health": {},
        "joinedAt": answers.AT,
        "seenAt": answers.AT,
        "buildId": ID,
        **more,
    }


def test_agents_are_listed(shell: Shell, server: FakeServer) -> None:
    server.on("GET", "/api/v1/agents", {"agents": [_agent()]})
    ran = shell("agents")
    assert "> busy" in ran.out
    assert "python 3.11.7, git" in ran.out
    assert shell("agents", "--json").json()["agents"][0]["name"] == "linux-1-1"


def test_workers_that_have_not_joined_are_listed_with_what_they_wait_for(shell: Shell, server: FakeServer) -> None:
    server.on("GET", "/api/v1/agents", {"agents": [_agent()]})
    cluster = {"node": "node-7", "phase": "Running"}
    waiting = {"name": "linux-2-1", "pool": "linux", "state": "Pending", "phase": "Pending"}
    reason = {"pendingCode": "image_pull", "pendingReason": "Pull refused."}
    running = {"name": "linux-1-1", "pool": "linux", "state": "Busy", "restarts": 2, **cluster}
    server.on("GET", "/agents", {"workers": [running, {**waiting, **reason}], "troubles": ["The engine is away."]})

    ran = shell("agents")

    heading, busy, pending = ran.out.splitlines()
    assert heading.split()[4:8] == ["HOST", "NODE", "PHASE", "RESTARTS"]
    assert all(text in busy for text in ("linux-1-1", "node-7", "Running", "2"))
    assert all(text in pending for text in ("linux-2-1", "Pending", "Pull refused."))
    assert ran.err == "Workers that have not joined yet are not shown: The engine is away.\n"
    assert shell("agents", "--json").json()["workers"][1]["pendingCode"] == "image_pull"


def test_agents_are_listed_without_the_scaler(shell: Shell, server: FakeServer) -> None:
    server.on("GET", "/api/v1/agents", {"agents": [_agent()]})
    server.on("GET", "/agents", Reply(503, pieces=(b"down",)))

    ran = shell("agents")

    assert ran.code == 0
    assert "linux-1-1" in ran.out
    assert "NODE" not in ran.out
    assert "Workers that have not joined yet are not shown" in ran.err


def _pools(server: FakeServer) -> None:
    pool = {
        "name": "linux",
        "ready": 41,
        "waiting": 1,
        "leases": 5,
        "oldestWaitSeconds": 75.0,
        "agents": {"busy": 5, "idle": 0},
        "generations": {"1": 2},
    }
    server.on("GET", "/api/v1/pools", {"pools": [pool], "at": answers.AT})


def test_queues_show_the_counts_of_producer_and_broker(shell: Shell, server: FakeServer) -> None:
    _pools(server)
    readings = {
        "queueReady": {"value": 41, "source": "broker", "trust": "trusted"},
        "queueUnacked": {"value": 5, "source": "broker", "ageSeconds": 12, "trust": "stale"},
    }
    unknown = {"value": None, "source": "broker", "trust": "unknown", "cause": "The queue has no leader."}
    server.on("GET", "/agents", {"workers": [], "readings": {"linux": readings}})
    ran = shell("queues")
    assert ran.code == 0
    row = ran.out.splitlines()[1]
    assert all(text in row for text in ("linux", "41", "1m15s", "5 busy", "5 (stale 12s)"))
    whole = shell("queues", "--json").json()
    assert whole["pools"][0]["ready"] == 41
    assert whole["readings"]["linux"]["queueReady"]["value"] == 41
    seen = {"queueReady": unknown, "queueTotal": unknown, "rabbitmqManagement.total": unknown}
    server.on("GET", "/agents", {"workers": [], "readings": {"linux": seen}})
    ran = shell("queues")
    assert "unknown" in ran.out
    assert ran.err == "linux: queueReady, queueTotal not trusted: The queue has no leader.\n"


def test_queues_work_without_the_scaler(shell: Shell, server: FakeServer) -> None:
    _pools(server)
    server.on("GET", "/agents", Reply(503, pieces=(b"down",)))
    ran = shell("queues")
    assert ran.code == 0
    assert "41" in ran.out
    assert "No readings of the broker" in ran.err


def test_queues_tell_which_jobs_no_agent_suits(shell: Shell, server: FakeServer) -> None:
    counts: dict[str, object] = {
        "ready": 0,
        "waiting": 1,
        "leases": 0,
        "oldestWaitSeconds": None,
        "agents": {},
        "generations": {},
    }
    lacks = "No agent of the pool linux has dotnet >=8 (linux-1-1 has 3.1.102)."
    server.on("GET", "/api/v1/pools", {"pools": [{"name": "linux", **counts, "unserved": [lacks]}], "at": answers.AT})
    server.on("GET", "/agents", {"workers": [], "readings": {}})

    assert lacks in shell("queues").err


def test_queues_tell_which_pool_is_paused_by_whom_and_why(shell: Shell, server: FakeServer) -> None:
    counts: dict[str, object] = {"ready": 0, "waiting": 2, "leases": 0, "oldestWaitSeconds": None}
    counts |= {"agents": {}, "generations": {}}
    intake = {"paused": True, "reason": "The disks are changed.", "by": "ann", "since": answers.AT}
    server.on("GET", "/api/v1/pools", {"pools": [{"name": "mac", **counts, "intake": intake}], "at": answers.AT})
    server.on("GET", "/agents", {"workers": [], "readings": {}})

    assert shell("queues").err == "The pool mac is paused by ann: The disks are changed.\n"


def test_decisions_are_listed_with_what_was_seen_and_why(shell: Shell, server: FakeServer) -> None:
    count = {"value": 41, "source": "producer", "trust": "trusted"}
    observed = {"pool": "linux", "policy": {}, "ready": count, "leases": count, "workers": []}
    observed |= {"queueReady": count, "queueUnacked": count, "queueTotal": count}
    plan = {"start": ["linux-1-1", "linux-2-1"], "code": "burst", "reason": "41 wait, above 40."}
    decision = {"number": 3, "at": answers.AT, "wokenBy": "tick", "observed": observed, "plan": plan}
    server.on("GET", "/decisions", {"decisions": [decision]})
    ran = shell("decisions", "--limit", "5", "--pool", "linux")
    assert "start 2" in ran.out
    assert "41 wait, above 40." in ran.out
    assert server.seen[0].query == {"limit": "5", "pool": "linux", "changes": "1"}
    assert shell("decisions", "--all", "--json").json()["decisions"][0]["plan"]["code"].lower() == "burst"
    assert "changes" not in server.seen[1].query


def test_doctor_finds_a_farm_that_is_well(
    shell: Shell, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDYARD_DATA_DIR", str(tmp_path / "data"))
    health = {"status": "ok", "version": "1", "checks": [{"name": "store", "ok": True, "detail": "2 ms"}]}
    server.on("GET", "/api/v1/health", health)
    server.on("GET", "/healthz", health)
    _pools(server)
    ran = shell("doctor")
    assert ran.code == 0
    assert "producer: store" in ran.out
    assert shell("doctor", "--json").json()["ok"] is True


def test_doctor_tells_what_is_wrong_and_what_to_do(shell: Shell, server: FakeServer) -> None:
    checks = [{"name": "broker", "ok": False, "detail": "refused"}]
    server.on("GET", "/api/v1/health", Reply(503, {"status": "degraded", "version": "1", "checks": checks}))
    ran = shell("doctor", "--json")
    assert ran.code == 1
    found = {entry["name"]: entry for entry in ran.json()["checks"]}
    assert found["producer: broker"]["status"] == "failed"
    assert found["scaler"]["status"] == "failed"
