"""`buildyard watch`: a line for every change, the end at the first failure, and the exit code that was asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from buildyard.cli.watching import ChangeLines, frame, tells_failure
from buildyard.contracts.api import BuildStatus
from buildyard.contracts.events import BuildEvent
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply
from tests.buildyard.cli.run import Shell

ID = answers.BUILD_ID
BUILD = f"/api/v1/builds/{ID}"

Told = tuple[str, dict[str, Any]]
FAILING: Sequence[Told] = (
    ("build_queued", {}),
    ("build_started", {"agent": "linux-1-1"}),
    ("job_claimed", {"job": ID}),
    ("stage_started", {"stage": "Build"}),
    (
        "stage_finished",
        {"stage": "Build", "status": "Failed", "errors": 2, "warnings": 1, "reason": "make failed.\x1b]0;"},
    ),
    ("attempt_ended", {"attempt": 1, "outcome": "Failed", "reason": "make failed.", "retryInSeconds": 2}),
    ("build_ended", {"status": "Failed", "reasonCode": "command_failed", "reason": "make failed."}),
)


def _event(seq: int, told: Told) -> BuildEvent:
    return BuildEvent.model_validate({"buildId": ID, "seq": seq, "type": told[0], "at": answers.AT, "data": told[1]})


def _going(server: FakeServer, events: Sequence[Told], **status: Any) -> None:
    pieces = tuple(
        f"data: {json.dumps(_event(seq, told).wire())}\n\n".encode() for seq, told in enumerate(events, start=1)
    )
    server.on("GET", f"{BUILD}/events", Reply(pieces=pieces))
    server.on("GET", BUILD, answers.status(**status))


def _lines(out: str) -> list[str]:
    return [line.split("  ", 1)[1] for line in out.splitlines()]


def test_every_change_is_a_line_where_there_is_no_terminal(shell: Shell, server: FakeServer) -> None:
    _going(server, FAILING, status="Failed")
    ran = shell("watch", ID)
    assert ran.code == 0
    assert _lines(ran.out) == [
        "Queued",
        "Started on linux-1-1",
        "Build: running",
        "Build: failed, 2 errors, 1 warnings: make failed.]0;",
        "Attempt 1 Failed: make failed.; again in 2.0s",
        "Failed: make failed.",
    ]


def test_the_exit_code_is_the_builds_when_asked_for(shell: Shell, server: FakeServer) -> None:
    _going(server, FAILING, status="Failed")
    assert shell("watch", ID, "--exit-status").code == 1
    _going(server, FAILING[:1], status="Succeeded")
    assert shell("watch", ID, "--exit-status", "--json").json()["status"] == "Succeeded"


def test_the_first_failure_ends_the_watch_when_asked_for(shell: Shell, server: FakeServer) -> None:
    _going(server, FAILING, status="Running")
    ran = shell("watch", ID, "--fail-fast", "--exit-status")
    assert ran.code == 1
    assert _lines(ran.out)[-1].startswith("Build: failed")
    assert "may go on" in ran.err


def test_a_build_that_is_not_there_is_refused(shell: Shell) -> None:
    assert shell("watch", ID).code == 4


@pytest.mark.parametrize(
    ("told", "failure"),
    [
        (("stage_finished", {"status": "Failed"}), True),
        (("stage_finished", {"status": "Succeeded"}), False),
        (("rows_done", {"failed": 1}), True),
        (("rows_done", {"failed": 0}), False),
        (("build_queued", {}), False),
    ],
)
def test_a_failed_stage_or_row_is_a_failure(told: Told, failure: bool) -> None:
    assert tells_failure(_event(1, told)) is failure


def test_a_batch_of_a_million_rows_tells_of_them_some_twenty_times() -> None:
    lines = ChangeLines()
    told = [
        lines.line_of(_event(n, ("rows_done", {"succeeded": n * 100, "failed": 0, "total": 1_000_000})))
        for n in range(1, 10_001)
    ]
    shown = [line for line in told if line]
    assert len(shown) == 21
    assert shown[-1].endswith("1000000 of 1000000 rows done, 0 failed")


def test_a_live_frame_counts_on_what_runs() -> None:
    stages = [
        answers.stage("Fetch", "Succeeded"),
        answers.stage("Build", "Running"),
        {"name": "Test", "status": "Pending"},
    ]
    body = answers.status(status="Running", stages=stages, projectName="calc\x1b[2J", queuePosition=3)
    console = Console(file=StringIO(), width=60, force_terminal=False)
    console.print(frame(BuildStatus.model_validate(body), 2.0))
    shown = console.file.getvalue()  # type: ignore[attr-defined] # it is a StringIO
    assert "v Succeeded  Fetch  1.2s" in shown
    assert "> Running    Build  3.2s" in shown
    assert "number 3 of the queue of linux" in shown
    assert "\x1b" not in shown
