"""What a build's page says beyond its facts: the first lines that tell of an error, and what to try next."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from typer.main import get_command

from buildyard.cli.first_errors import telling
from buildyard.cli.main import app
from buildyard.cli.next_steps import next_step
from buildyard.contracts.api import BuildStatus
from buildyard.contracts.builds import ReasonCode
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply
from tests.buildyard.cli.run import Shell

ID = answers.BUILD_ID


@pytest.mark.parametrize(
    "line",
    [
        "main.c:7:3: error: expected ';'",
        "Program.cs(3,5): error CS1002: ; expected [/x.csproj]",
        "error[E0308]: mismatched types",
        "make: *** [Makefile:2: all] Error 3",
        "ModuleNotFoundError: No module named 'x'",
        "E       assert 3 == 4",
        "npm ERR! code 1 Error: nope",
        "--- FAIL: TestAdd (0.00s)",
        "[ERROR] Failed to execute goal",
        "fatal: repository not found",
        "panic: runtime error: index out of range",
        "sh: 1: gcc: not found",
    ],
)
def test_lines_that_tell_of_an_error_are_found_among_others(line: str) -> None:
    assert telling(["Compiling", "0 errors, 2 warnings", line, "done"]) == (line,)


def test_without_such_a_line_the_last_ones_are_shown() -> None:
    assert telling([*map(str, range(9)), "", "  "]) == ("4", "5", "6", "7", "8")
    assert telling(["    0 Error(s)", "error handling is documented"]) != ()


def test_five_lines_suffice_and_none_comes_twice() -> None:
    lines = ["error: a", "error: a", *(f"error: {number}" for number in range(9))]
    assert telling(lines) == ("error: a", "error: 0", "error: 1", "error: 2", "error: 3")


def _failed(**more: Any) -> dict[str, Any]:
    stages = [answers.stage("Fetch", "Succeeded"), answers.stage("Build", "Failed", errorsCount=1)]
    return answers.status(status="Failed", stages=stages, reasonCode="command_failed", reason="It failed.", **more)


def test_a_failed_build_shows_its_first_errors_and_the_next_thing_to_try(shell: Shell, server: FakeServer) -> None:
    server.on("GET", f"/api/v1/builds/{ID}", _failed())
    server.on("GET", f"/api/v1/builds/{ID}/logs", Reply(pieces=(b"cc main.c\n\x1b[31merror: no ;\x1b[0m\n",)))
    out = shell("show", ID).out
    assert "First errors:\n  error: no ;\n" in out
    assert f"Next: Read where it broke: buildyard logs {ID} --stage Build\n" in out
    [asked] = [seen for seen in server.seen if seen.path.endswith("/logs")]
    assert asked.query["stage"] == "Build"


def test_errors_of_compilers_are_shown_with_their_places(shell: Shell, server: FakeServer) -> None:
    said = {"severity": "error", "file": "src/a.c", "line": 3, "column": 5, "message": "no ;", "stage": "Build"}
    warning = {**said, "severity": "warning", "message": "unused", "code": "-Wunused"}
    server.on("GET", f"/api/v1/builds/{ID}", _failed())
    found = [{**said, "jobId": ID}, {**said, "jobId": ID, "code": "E1", "column": None}, {**warning, "jobId": ID}]
    server.on("GET", f"/api/v1/builds/{ID}/diagnostics", {"diagnostics": found})

    out = shell("show", ID).out

    assert "First errors:\n  src/a.c:3:5: no ;\n  src/a.c:3: no ; [E1]\n\n" in out


def test_a_log_that_is_away_does_not_hide_the_build(shell: Shell, server: FakeServer) -> None:
    server.on("GET", f"/api/v1/builds/{ID}", _failed())
    ran = shell("show", ID)
    assert ran.code == 0
    assert "Failed: It failed." in ran.out


def test_what_is_guessed_and_what_is_pinned_to_a_build_are_shown(shell: Shell, server: FakeServer) -> None:
    guessed = {"estimatedStartTime": answers.AT, "estimatedDuration": "PT75S"}
    pinned = {
        "context": "coverage",
        "style": "Warning",
        "text": "It fell\x1b[2J.",
        "at": answers.AT,
        "requester": "ann",
    }
    server.on("GET", f"/api/v1/builds/{ID}", answers.status(status="Queued", duration=None, **guessed))
    server.on("GET", f"/api/v1/builds/{ID}/annotations", {"annotations": [pinned]})
    out = shell("show", ID).out
    assert "Begins     about 2026-11-21" in out
    assert "May take   about 1m15s" in out
    assert out.endswith("Warning (coverage): It fell[2J.\n")


@pytest.mark.parametrize(("words", "body"), [((), b""), (("--failed-only",), b"true"), (("--all",), b"false")])
def test_a_retry_says_what_is_to_be_built_again(
    shell: Shell, server: FakeServer, words: tuple[str, ...], body: bytes
) -> None:
    server.on("POST", f"/api/v1/builds/{ID}/retry", Reply(202, answers.accepted()))
    assert shell("retry", ID, *words).code == 0
    assert body in server.seen[0].body
    assert bool(server.seen[0].body) is bool(body)


@pytest.mark.parametrize("code", list(ReasonCode))
def test_every_reason_has_a_next_step_whose_commands_are_understood(code: ReasonCode) -> None:
    state = "Succeeded" if code is ReasonCode.SUCCEEDED else "Failed"
    step = next_step(BuildStatus.model_validate(answers.status(status=state, reasonCode=code.value)))
    assert step
    assert "{" not in step
    root = get_command(app)
    for words in (part.split(";")[0].split() for part in step.split("buildyard ")[1:]):
        command: Any = root
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        if words and words[0] != "itself:":
            command.make_context("x", [word for word in shlex.split(" ".join(words)) if word != "then"])


def test_a_build_on_its_way_is_to_be_watched_and_a_reason_of_a_newer_farm_says_nothing() -> None:
    assert "buildyard watch" in next_step(BuildStatus.model_validate(answers.status(status="Running", reasonCode=None)))
    assert next_step(BuildStatus.model_validate(answers.status(status="Failed", reasonCode="moon_phase"))) == ""


def test_states_of_a_newer_farm_are_shown_as_they_come(shell: Shell, server: FakeServer) -> None:
    body = answers.status(status="Dreaming", stages=[answers.stage("Polish", "Shining")])
    server.on("GET", f"/api/v1/builds/{ID}", body)
    ran = shell("show", ID)
    assert ran.code == 0
    assert "Dreaming" in ran.out
    assert "Shining" in ran.out
