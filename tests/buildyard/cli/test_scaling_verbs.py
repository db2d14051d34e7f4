"""`buildyard why` and `buildyard decisions`, against a fake server."""

from __future__ import annotations

import sys

import pytest

from tests.buildyard.cli.fake_server import FakeServer, Reply, Seen
from tests.buildyard.cli.run import Shell

BUILD = "019a0000-0000-7000-8000-000000000001"
ANSWER = {"about": "pool linux", "pool": "linux", "code": "burst", "number": 3, "sentences": ["5 started.", "Fine."]}


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ((), {}),
        (("workers",), {}),
        (("pool", "linux"), {"pool": "linux"}),
        (("linux",), {"pool": "linux"}),
        (("build", BUILD), {"build": BUILD}),
        ((BUILD,), {"build": BUILD}),
    ],
)
def test_why_prints_the_sentences(
    shell: Shell, server: FakeServer, words: tuple[str, ...], query: dict[str, str]
) -> None:
    server.on("GET", "/why", {"answers": [ANSWER]})
    ran = shell("why", *words)

    assert (ran.code, ran.out) == (0, "5 started.\nFine.\n")
    assert server.seen[-1].query == query


def test_why_for_programs(shell: Shell, server: FakeServer) -> None:
    server.on("GET", "/why", {"answers": [ANSWER]})

    assert shell("why", "--json").json() == {"answers": [ANSWER]}


def test_why_about_nothing_known_says_what_can_be_asked(shell: Shell, server: FakeServer) -> None:
    ran = shell("why", "build")

    assert (ran.code, ran.out) == (2, "")
    assert "`why pool NAME` or `why build ID`" in ran.err


def decision(number: int) -> dict[str, object]:
    reading = {"value": 41, "source": "producer", "ageSeconds": 0.1, "trust": "trusted"}
    counts = dict.fromkeys(("ready", "leases", "queueReady", "queueUnacked", "queueTotal"), reading)
    observed = {"pool": "linux", "policy": {}, "workers": [], **counts}
    plan = {"start": ["linux-1-1"], "code": "burst", "reason": "41 wait."}
    at = "2026-11-21T09:30:00.000Z"
    return {"number": number, "at": at, "wokenBy": "tick", "observed": observed, "plan": plan}


def test_decisions_are_listed_over_as_many_pages_as_that_takes_and_by_time(shell: Shell, server: FakeServer) -> None:
    def pages(seen: Seen) -> Reply:
        first = "cursor" not in seen.query
        found = [decision(9), decision(8)] if first else [decision(7)]
        return Reply(body={"decisions": found, "nextCursor": "8" if first else None})

    server.on("GET", "/decisions", pages)
    ran = shell("decisions", "--limit", "5", "--since", "2026-11-21T09:00+00:00", "--until", "2026-11-21T10:00+00:00")

    assert [line.split()[0] for line in ran.out.splitlines()] == ["NO", "9", "8", "7"]
    asked = [{name: seen.query.get(name) for name in ("limit", "cursor")} for seen in server.seen]
    assert asked == [{"limit": "5", "cursor": None}, {"limit": "3", "cursor": "8"}]
    assert server.seen[0].query["after"].startswith("2026-11-21T09:00:00")
    assert server.seen[0].query["before"].startswith("2026-11-21T10:00:00")


def test_no_decisions_are_told_beside_the_table(shell: Shell, server: FakeServer) -> None:
    server.on("GET", "/decisions", {"decisions": []})
    ran = shell("decisions", "--since", "2h")

    assert (ran.code, ran.out, ran.err) == (0, "", "No decisions in that time.\n")


@pytest.fixture
def becoming(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that replace this process."""
    commands: list[list[str]] = []

    def execve(program: str, command: list[str], environment: dict[str, str]) -> None:
        assert command[0] == program == sys.executable
        commands.append(command[1:])
        assert environment["BUILDYARD_SCALER_URL"].startswith("http://127.0.0.1")
        raise SystemExit(0)

    monkeypatch.setattr("buildyard.cli.dashboard.os.execve", execve)
    return commands


def test_simulate_becomes_the_scaler_with_all_that_was_given(shell: Shell, becoming: list[list[str]]) -> None:
    shell("simulate", "--load", "day", "--policy", "burst:burst_size=2", "--policy", "elastic", "--svg", "a.svg")

    assert becoming[0][:4] == ["-P", "-m", "scaler", "simulate"]
    assert {"--load=day", "--policy=burst:burst_size=2", "--policy=elastic", "--svg=a.svg"} <= set(becoming[0])


def test_verify_becomes_the_scaler_that_has_the_code(shell: Shell, becoming: list[list[str]]) -> None:
    shell("decisions", "verify", "--json", "a.jsonl")
    shell("decisions", "verify", "--since", "2026-11-21T09:00:00+00:00")

    assert becoming == [
        ["-P", "-m", "scaler", "verify", "--json", "--", "a.jsonl"],
        ["-P", "-m", "scaler", "verify", "--since", "2026-11-21T09:00:00+00:00", "--"],
    ]
