"""`buildyard logs`: which lines, with which times, through which pager."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from buildyard.cli.logs import moment
from buildyard.cli.paging import pager_of
from buildyard.errors import InvalidSettings
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply
from tests.buildyard.cli.run import Shell

ID = answers.BUILD_ID
LOGS = f"/api/v1/builds/{ID}/logs"
ROOT = Path(__file__).parents[3]


def test_times_stand_before_the_lines_when_asked_for(shell: Shell, server: FakeServer) -> None:
    server.on("GET", LOGS, Reply(pieces=(answers.log_line(1, "one"),)))
    assert shell("logs", ID, "--timestamps", "--tail", "3").out == f"{answers.AT}  one\n"
    assert server.seen[0].query == {"tail": "3", "format": "jsonl"}


def test_only_lines_since_a_time_are_shown(shell: Shell, server: FakeServer) -> None:
    server.on("GET", LOGS, Reply(pieces=(answers.log_line(1, "old"),)))
    assert shell("logs", ID, "--since", "2026-11-21T09:30:00+00:00").out == "old\n"
    assert shell("logs", ID, "--since", "2026-11-21T09:30:01+00:00").out == ""


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400)])
def test_so_long_ago_is_a_time(text: str, seconds: int) -> None:
    found = moment(text)
    assert found is not None
    assert abs(datetime.now(UTC) - found - timedelta(seconds=seconds)) < timedelta(minutes=5)


@pytest.mark.parametrize("text", ["soon", "5", "-5m", "5x", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match="is no time"):
        moment(text)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, []),
        ({"PAGER": ""}, []),
        ({"PAGER": "cat"}, []),
        ({"PAGER": "'"}, []),
        ({"PAGER": "no-such-program-here"}, []),
        ({"PAGER": f"{sys.executable} -S"}, [sys.executable, "-S"]),
        ({"PAGER": sys.executable, "BUILDYARD_PAGER": ""}, []),
    ],
)
def test_a_pager_is_what_the_environment_names(environment: dict[str, str], words: list[str]) -> None:
    assert pager_of(environment) == words


def _on_a_terminal(server: FakeServer, tmp_path: Path, pager: str, *words: str) -> tuple[int, str]:
    """Run on a terminal; the exit code and what the terminal showed."""
    script = tmp_path / "pager.py"
    script.write_text(pager)
    ours, theirs = pty.openpty()
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
        "PAGER": f"{sys.executable} {script}",
        "COLUMNS": "100",
    }
    env.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "buildyard.cli", "--api-url", server.url, *words]
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # Linux says so when the last of the other side is gone
            pass
    os.close(ours)
    return process.returncode, shown.decode()


_ECHO = "import sys\nprint('PAGED')\nfor line in sys.stdin: sys.stdout.write('> ' + line)\n"


def test_a_terminal_gets_its_pager_with_colours(server: FakeServer, tmp_path: Path) -> None:
    server.on("GET", LOGS, Reply(pieces=(b"\x1b[32mgreen\x1b[0m\n",)))
    code, shown = _on_a_terminal(server, tmp_path, _ECHO, "logs", ID)
    assert code == 0
    assert shown.splitlines()[0] == "PAGED"
    assert shown.splitlines()[1].startswith("> \x1b[32mgreen")


def test_who_follows_or_asks_for_one_line_gets_no_pager(server: FakeServer, tmp_path: Path) -> None:
    server.on("POST", f"/api/v1/builds/{ID}/cancel", {"executionId": ID, "status": "Cancelled"})
    _, shown = _on_a_terminal(server, tmp_path, _ECHO, "cancel", ID)
    assert "PAGED" not in shown


def test_leaving_a_pager_early_is_no_failure(server: FakeServer, tmp_path: Path) -> None:
    server.on("GET", LOGS, Reply(pieces=(b"x" * 70 + b"\n",) * 20_000))
    code, shown = _on_a_terminal(server, tmp_path, "import sys\nprint(len(sys.stdin.readline()))\n", "logs", ID)
    assert (code, shown.split()) == (0, ["71"])


def test_an_error_is_told_beside_the_pager(server: FakeServer, tmp_path: Path) -> None:
    code, shown = _on_a_terminal(server, tmp_path, _ECHO, "logs", ID)
    assert code == 4
    assert f"Error: There is nothing at {LOGS}." in shown
