"""`buildyard dead` and `buildyard retry` against a fake farm."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply, problem
from tests.buildyard.cli.run import Shell

ID = answers.BUILD_ID
OTHER = "01970000-0000-7000-8000-000000000002"
NEW = "01970000-0000-7000-8000-000000000003"
DEAD = f"/api/v1/dead/{ID}"


def letter(**more: Any) -> dict[str, Any]:
    return {
        "executionId": ID,
        "projectName": "calc",
        "targetPool": "linux",
        "status": "Failed",
        "reason": "Its worker died 3 times.",
        "reasonCode": "worker_lost",
        "attempts": 3,
        "rows": None,
        "createdAt": answers.AT,
        "deadAt": answers.AT,
        "resolution": None,
        "resolvedAt": None,
        "resolvedBy": "",
        "note": "",
        "requeuedAs": None,
        **more,
    }


def detail(**more: Any) -> dict[str, Any]:
    attempt = {
        "jobId": OTHER,
        "number": 1,
        "agent": "linux-1-1",
        "startedAt": answers.AT,
        "endedAt": answers.AT,
        "outcome": "Lost",
        "reasonCode": "worker_lost",
        "reason": "Agent linux-1-1 was not heard of.",
    }
    event = {"buildId": ID, "seq": 9, "type": "build_dead", "at": answers.AT, "data": {"reason": "Dead it is."}}
    build = answers.status(status="Failed", attempts=[attempt])
    return {"letter": letter(**more), "build": build, "events": [event], "log": ["last\x1b[2J words"]}


def test_dead_letters_are_listed_over_pages_by_what_is_asked_for(shell: Shell, server: FakeServer) -> None:
    pages = {
        None: {"dead": [letter()], "nextCursor": "more"},
        "more": {"dead": [letter(executionId=OTHER, resolution="dropped")], "nextCursor": None},
    }
    server.on("GET", "/api/v1/dead", lambda seen: Reply(body=pages[seen.query.get("cursor")]))

    ran = shell("dead", "list", "--code", "WorkerLost", "--pool", "linux", "--since", "2h", "--all")

    lines = ran.out.splitlines()
    assert ran.code == 0
    assert [line.split()[0] for line in lines] == ["ID", ID, OTHER]
    assert "dropped" in lines[2]
    query = server.seen[0].query
    assert (query["reasonCode"], query["settled"], query["pool"]) == ("worker_lost", "true", "linux")
    assert query["since"].endswith("Z")
    assert len(shell("dead", "list", "--json").json()["dead"]) == 2


def test_no_dead_letters_is_said_beside_the_output(shell: Shell, server: FakeServer) -> None:
    server.on("GET", "/api/v1/dead", {"dead": [], "nextCursor": None})

    ran = shell("dead", "list")

    assert (ran.out, ran.err) == ("", "No dead letters.\n")


def test_one_is_shown_with_its_attempts_events_and_last_words(shell: Shell, server: FakeServer) -> None:
    server.on("GET", DEAD, detail())

    ran = shell("dead", "show", ID)

    assert ran.code == 0
    for part in ("It waits for you", "not heard of", "build_dead  Dead it is.", "last[2J words"):
        assert part in ran.out
    assert "\x1b" not in ran.out
    server.on("GET", DEAD, detail(resolution="dropped", resolvedBy="me", note="No use."))
    assert "Dropped by me" in shell("dead", "show", ID).out
    server.on("GET", DEAD, detail(resolution="requeued", resolvedBy="me", requeuedAs=NEW))
    assert f"as build {NEW}" in shell("dead", "show", ID).out
    assert shell("dead", "show", ID, "--json").json()["letter"]["requeuedAs"] == NEW


def test_named_ones_are_requeued_and_the_refused_told_beside(shell: Shell, server: FakeServer) -> None:
    server.on("POST", f"{DEAD}/requeue", Reply(202, answers.accepted(executionId=NEW)))
    server.on("POST", f"/api/v1/dead/{OTHER}/requeue", problem(409, "conflict", "The dead letter is settled."))

    ran = shell("dead", "requeue", ID, OTHER, "x")

    assert (ran.code, ran.out) == (4, f"{ID}: requeued as {NEW}.\n")
    assert f"{OTHER}: The dead letter is settled." in ran.err
    assert shell("dead", "requeue", ID, "--json").json()["requeued"] == [{"executionId": NEW, "retryOf": ID}]


def test_all_that_match_are_requeued_page_by_page(shell: Shell, server: FakeServer) -> None:
    pages = {
        None: {"requeued": [{"executionId": NEW, "retryOf": ID}], "refused": [], "nextCursor": ID},
        ID: {"requeued": [], "refused": [{"executionId": OTHER, "reason": "No pool."}], "nextCursor": None},
    }
    server.on("POST", "/api/v1/dead/requeue", lambda seen: Reply(body=pages[seen.json().get("cursor")]))

    ran = shell("dead", "requeue", "--project", "calc", "--since", "2026-11-21T09:30+00:00")

    assert (ran.code, ran.out) == (4, f"{ID}: requeued as {NEW}.\n")
    assert ran.err == f"{OTHER}: No pool.\n"
    assert server.seen[0].json() == {"project": "calc", "since": "2026-11-21T09:30:00Z", "limit": 100}


def test_ones_are_dropped_with_a_reason(shell: Shell, server: FakeServer) -> None:
    server.on("POST", f"{DEAD}/drop", detail(resolution="dropped"))

    ran = shell("dead", "drop", ID, OTHER, "--reason", "No use.")

    assert (ran.code, ran.out) == (4, f"{ID}: dropped.\n")
    assert OTHER in ran.err
    assert server.seen[0].json() == {"reason": "No use."}
    assert shell("dead", "drop", ID, "-r", "x", "--json").json()["dropped"][0]["resolution"] == "dropped"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("requeue",), "--all for all that wait"),
        (("requeue", ID, "--all"), "--all for all that wait"),
        (("requeue", "--code", "bad_luck"), "no reason code 'bad_luck'"),
        (("list", "--since", "yesterday"), "is no time"),
        (("list", "--since", "999999d"), "is no time"),
        (("list", "--pool", "p" * 50), "--pool is wrong"),
        (("drop", ID), "--reason"),
        (("drop", ID, "--reason", " "), "--reason must be"),
    ],
)
def test_a_wrong_word_is_usage_and_nothing_is_sent(shell: Shell, words: tuple[str, ...], sentence: str) -> None:
    ran = shell("dead", *words)

    assert ran.code == 2
    assert sentence in ran.err
    assert shell.server.seen == []


def test_a_build_is_retried_and_followed(shell: Shell, server: FakeServer) -> None:
    server.on("POST", f"/api/v1/builds/{OTHER}/retry", Reply(202, answers.accepted()))
    event = {"buildId": ID, "seq": 1, "type": "build_ended", "at": answers.AT}
    server.on("GET", f"/api/v1/builds/{ID}/logs", Reply(pieces=(b"",)))
    server.on("GET", f"/api/v1/builds/{ID}/events", Reply(pieces=(f"data: {json.dumps(event)}\n\n".encode(),)))
    server.on("GET", f"/api/v1/builds/{ID}", answers.status(status="Failed"))

    assert shell("retry", OTHER).out == f"{ID}\n"
    assert shell("retry", OTHER, "--json").json()["executionId"] == ID
    assert shell("retry", OTHER, "--follow").code == 1
