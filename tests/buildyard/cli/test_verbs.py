"""The verbs against a fake farm: what people see, what programs get, and the exit codes."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply, Route, Seen, problem
from tests.buildyard.cli.run import Shell

ID = answers.BUILD_ID
BUILD = f"/api/v1/builds/{ID}"


# ---------------------------------------------------------------- submit


def _archive(tmp_path: Path) -> Path:
    path = tmp_path / "my calc.v2.zip"
    path.write_bytes(b"PK\x03\x04")
    return path


def _request_in(seen: Seen) -> Any:
    part = seen.body.split(b'name="request"\r\n\r\n')[1].split(b"\r\n--")[0]
    return json.loads(part)


def test_a_file_is_submitted_and_its_id_is_the_output(shell: Shell, server: FakeServer, tmp_path: Path) -> None:
    server.on("POST", "/upload", Reply(202, answers.accepted(warnings=["Canary runs as Clean."])))
    ran = shell("submit", str(_archive(tmp_path)), "-p", "Foo=bar=baz", "--priority", "HIGH", "--timeout", "5")
    assert (ran.code, ran.out) == (0, f"{ID}\n")
    assert "number 2 of its queue" in ran.err
    assert "Canary runs as Clean." in ran.err
    request = _request_in(server.seen[0])
    assert request["job"]["projectName"] == "my calc"
    assert request["job"]["buildProperties"] == {"Foo": "bar=baz"}
    assert request["job"]["timeoutMinutes"] == 5
    assert request["priority"].lower() == "high"
    assert "repositoryUrl" not in request["job"]


def test_a_repository_is_submitted_by_its_address(shell: Shell, server: FakeServer) -> None:
    server.on("POST", "/api/v1/builds", Reply(202, answers.accepted()))
    ran = shell("submit", "https://github.com/me/my-repo.git", "--ref", "v1", "--json")
    assert ran.code == 0
    assert ran.json()["executionId"] == ID
    job = server.seen[0].json()["job"]
    assert (job["projectName"], job["gitRef"]) == ("my-repo", "v1")
    assert job["repositoryUrl"] == "https://github.com/me/my-repo.git"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nowhere.zip",), "neither a folder, a file nor the address"),
        (("https://github.com/a/b", "--archive", "rar"), "--archive"),
        (("https://github.com/a/b", "-p", "novalue"), "NAME=VALUE"),
        (("https://github.com/a/b", "-p", "a=b;c"), "buildProperties is wrong"),
        (("https://github.com/a/b", "--timeout", "0"), "timeoutMinutes is wrong"),
        (("https://github.com/a/b", "--pool", "no pool"), "targetPool is wrong"),
        (("https://github.com/a/b", "--priority", "soon"), "--priority"),
        ((), "Missing argument"),
    ],
)
def test_a_wrong_word_is_usage_and_nothing_is_sent(shell: Shell, words: tuple[str, ...], sentence: str) -> None:
    ran = shell("submit", *words)
    assert ran.code == 2
    assert sentence in ran.err
    assert "Traceback" not in ran.err
    assert shell.server.seen == []


def _log(*lines: bytes) -> Route:
    """A log from the line that is asked for."""
    return lambda seen: Reply(pieces=(lines[int(seen.query.get("from", "1")) - 1 :] or (b"",)))


def _ending(server: FakeServer, **status: Any) -> None:
    event = {"buildId": ID, "seq": 1, "type": "build_ended", "at": answers.AT}
    server.on("POST", "/upload", Reply(202, answers.accepted()))
    server.on(
        "GET",
        f"{BUILD}/logs",
        _log(answers.log_line(1, "\x1b[32mone\x1b[0m"), answers.log_line(2, "two\x1b]0;title\x07")),
    )
    server.on("GET", f"{BUILD}/events", Reply(pieces=(f"data: {json.dumps(event)}\n\n".encode(),)))
    server.on("GET", BUILD, answers.status(**status))


def test_following_shows_the_log_and_ends_with_zero_when_the_build_succeeded(
    shell: Shell, server: FakeServer, tmp_path: Path
) -> None:
    _ending(server)
    ran = shell("submit", str(_archive(tmp_path)), "--follow")
    assert (ran.code, ran.out) == (0, "one\ntwo]0;title\n")
    assert "Succeeded: All stages succeeded." in ran.err


def test_following_a_build_that_fails_ends_with_one(shell: Shell, server: FakeServer, tmp_path: Path) -> None:
    _ending(server, status="TimedOut", reason="It took longer than 5 minutes.")
    ran = shell("submit", str(_archive(tmp_path)), "--follow", "--json")
    assert ran.code == 1
    assert ran.json()["status"] == "TimedOut"


# ---------------------------------------------------------------- builds, show, logs, cancel


def test_builds_are_listed_over_pages_up_to_the_limit(shell: Shell, server: FakeServer) -> None:
    pages = {
        None: {"builds": [answers.summary()] * 2, "nextCursor": "more"},
        "more": {"builds": [answers.summary(rows={"total": 9, "succeeded": 4, "failed": 1})], "nextCursor": None},
    }
    server.on("GET", "/api/v1/builds", lambda seen: Reply(body=pages[seen.query.get("cursor")]))
    ran = shell("builds", "--status", "running", "--limit", "5")
    lines = ran.out.splitlines()
    assert ran.code == 0
    assert [line.split()[0] for line in lines] == ["ID", ID, ID, ID]
    assert "> Running" in lines[1]
    assert "5/9" in lines[3]
    assert server.seen[1].query == {"status": "running", "limit": "3", "cursor": "more"}
    assert len(shell("builds", "--json").json()["builds"]) == 3


def test_an_empty_list_says_so_beside_the_output(shell: Shell, server: FakeServer) -> None:
    server.on("GET", "/api/v1/builds", {"builds": [], "nextCursor": None})
    ran = shell("builds", "--project", "x")
    assert (ran.out, ran.err) == ("", "No builds match.\n")


def test_a_failed_build_shows_its_stages_failing_tests_and_reason(shell: Shell, server: FakeServer) -> None:
    failure = {
        "name": "test_adds[/x]",
        "suite": "tests.test_calc",
        "message": "assert 3 == 4\nwhere\nit\nfails",
        "place": "tests/test_calc.py:7",
    }
    tests = {"total": 30, "passed": 18, "failed": 12, "skipped": 0, "failures": [failure] * 11}
    stages = [answers.stage("Test", "Failed", errorsCount=12, reason="12 of 30 tests failed.\x1b]0;x\x07")]
    server.on("GET", BUILD, answers.status(status="Failed", tests=tests, stages=stages, reason="12 tests failed."))
    ran = shell("show", ID)
    assert ran.code == 0
    assert "x Failed" in ran.out
    assert "Incremental, run as Clean" in ran.out
    assert "  x tests.test_calc: test_adds[/x] (tests/test_calc.py:7)\n      assert 3 == 4\n" in ran.out
    assert "\n      fails" not in ran.out
    assert "and 2 more" in ran.out
    assert "12 of 30 tests failed.]0;x" in ran.out
    assert "\nFailed: 12 tests failed.\n" in ran.out
    assert shell("show", ID, "--json").json()["tests"]["failed"] == 12


def test_a_git_build_in_the_queue_shows_what_is_known(shell: Shell, server: FakeServer) -> None:
    source = {"type": "git", "url": "https://github.com/a/b", "ref": "main"}
    rows = {"total": 200, "succeeded": 7, "failed": 1}
    unknown = {"startTime": None, "endTime": None, "duration": None, "agent": None, "tests": None}
    body = answers.status(status="Queued", source=source, queuePosition=3, stages=[], reason="", rows=rows, **unknown)
    server.on("GET", BUILD, body)
    ran = shell("show", ID)
    assert "https://github.com/a/b at main" in ran.out
    assert "number 3" in ran.out
    assert "8 of 200 done, 1 failed" in ran.out


def test_a_log_is_printed_with_its_options(shell: Shell, server: FakeServer) -> None:
    server.on("GET", f"{BUILD}/logs", Reply(pieces=(b"one\n",)))
    ran = shell("logs", ID, "--stage", "Test", "--tail", "9")
    assert (ran.code, ran.out) == (0, "one\n")
    assert server.seen[0].query == {"stage": "Test", "tail": "9"}


def test_a_followed_log_ends_with_the_build(shell: Shell, server: FakeServer) -> None:
    _ending(server)
    assert shell("logs", ID, "-f").out == "one\ntwo]0;title\n"


def test_cancelling_twice_is_fine_and_too_late_is_refused(shell: Shell, server: FakeServer) -> None:
    server.on("POST", f"{BUILD}/cancel", {"executionId": ID, "status": "Cancelled"})
    assert shell("cancel", ID).out == f"{ID}: cancelled.\n"
    assert shell("cancel", ID, "--json").json()["status"] == "Cancelled"
    server.on("POST", f"{BUILD}/cancel", problem(409, "conflict", "It succeeded.", remedy="Nothing is left to do."))
    ran = shell("cancel", ID)
    assert (ran.code, ran.err) == (4, "Error: It succeeded.\nNothing is left to do.\n")


# ---------------------------------------------------------------- artifacts


def _artifacts(server: FakeServer, *paths: str) -> None:
    content = b"wheel"
    sha256 = hashlib.sha256(content).hexdigest()
    entries = [answers.artifact(path=path, name=path.rsplit("/", 1)[-1], sha256Hash=sha256) for path in paths]
    server.on("GET", f"{BUILD}/artifacts", {"artifacts": entries})
    server.on("GET", entries[0]["downloadUrl"], Reply(pieces=(content,)))


def test_artifacts_are_listed_with_their_digests(shell: Shell, server: FakeServer) -> None:
    _artifacts(server, "dist/a.whl")
    ran = shell("artifacts", "list", ID)
    assert "dist/a.whl" in ran.out
    assert hashlib.sha256(b"wheel").hexdigest() in ran.out
    assert shell("artifacts", "list", ID, "--json").json()["artifacts"][0]["sizeBytes"] == 5


def test_artifacts_are_fetched_below_the_folder_unless_they_are_there(
    shell: Shell, server: FakeServer, tmp_path: Path
) -> None:
    _artifacts(server, "dist/a.whl", "dist/b.txt")
    ran = shell("artifacts", "get", ID, "-o", str(tmp_path / "out"))
    assert ran.code == 0
    assert ran.out.count("verified") == 2
    assert (tmp_path / "out" / "dist" / "a.whl").read_bytes() == b"wheel"
    fetched = [seen.path for seen in server.seen].count(answers.artifact()["downloadUrl"])
    assert shell("artifacts", "get", ID, "-o", str(tmp_path / "out")).out.count("verified") == 2
    assert [seen.path for seen in server.seen].count(answers.artifact()["downloadUrl"]) == fetched
    (tmp_path / "out" / "dist" / "a.whl").write_bytes(b"whoel")
    shell("artifacts", "get", ID, "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / "dist" / "a.whl").read_bytes() == b"wheel"
    ran = shell("artifacts", "get", ID, "*.txt", "-o", str(tmp_path / "some"), "--json")
    assert [entry["path"] for entry in ran.json()["artifacts"]] == ["dist/b.txt"]
    assert not (tmp_path / "some" / "dist" / "a.whl").exists()


def test_a_name_that_no_artifact_has_is_refused(shell: Shell, server: FakeServer, tmp_path: Path) -> None:
    _artifacts(server, "dist/a.whl")
    ran = shell("artifacts", "get", ID, "b", "-o", str(tmp_path))
    assert ran.code == 4
    assert "No artifact is called b" in ran.err


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:evil", "\\evil"])
def test_an_artifact_that_would_leave_the_folder_is_not_fetched(
    shell: Shell, server: FakeServer, tmp_path: Path, path: str
) -> None:
    _artifacts(server, path)
    ran = shell("artifacts", "get", ID, "-o", str(tmp_path / "out"))
    assert ran.code == 4
    assert "would leave the folder" in ran.err
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- errors


def test_an_unreachable_producer_is_three_with_a_remedy(shell: Shell) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        shell.server.url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        ran = shell("builds")
    assert ran.code == 3
    assert ran.err.startswith("Error: The producer at http://127.0.0.1:")
    assert "buildyard local" in ran.err.splitlines()[1]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (problem(404, "not_found", "No such build."), 4),
        (problem(401, "unauthorized", "Who are you?"), 4),
        (problem(429, "overloaded", "Too much."), 4),
        (problem(503, "store_unavailable", "The database is locked."), 3),
        (problem(500, "internal_error", "It failed."), 3),
    ],
)
def test_refusals_and_outages_have_codes_of_their_own(shell: Shell, reply: Reply, code: int) -> None:
    shell.server.on("GET", BUILD, reply)
    ran = shell("show", ID)
    assert ran.code == code
    assert ran.err.startswith(f"Error: {reply.body['detail']}\n")


def test_a_wrong_setting_is_usage(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDYARD_LEASE_SECONDS", "-1")
    ran = shell("builds")
    assert ran.code == 2
    assert "BUILDYARD_LEASE_SECONDS is wrong" in ran.err


def test_a_traceback_comes_only_when_asked_for(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("buildyard.cli.builds.show", broken)
    ran = shell("show", ID)
    assert ran.code == 70
    assert "Traceback" not in ran.err
    assert "a fault of ours" in ran.err
    shell.server.on("GET", BUILD, problem(404, "not_found", "No such build."))
    monkeypatch.undo()
    assert "Traceback" in shell("--debug", "show", ID).err
