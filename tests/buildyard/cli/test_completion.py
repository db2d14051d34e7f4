"""What Tab offers, asked as bash, zsh and fish ask: verbs, options, words, and the ids that the farm knows."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from buildyard.cli import completing
from buildyard.cli.main import app
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer

ROOT = Path(__file__).parents[3]
ID = answers.BUILD_ID
Ask = Callable[..., str]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "_SECONDS", 60.0)  # no farm here is slow; a machine may stall


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Asks what the program answers a shell whose cursor stands at the end of a line."""

    def asked(shell: str, line: str, **more: str) -> str:
        asking = {
            "_BUILDYARD_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(line.count(" ")),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            **more,
        }
        with monkeypatch.context() as context:
            for name, value in asking.items():
                context.setenv(name, value)
            with pytest.raises(SystemExit):
                app(prog_name="buildyard")
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return asked


SHELLS = pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])


@SHELLS
def test_every_shell_is_offered_verbs_options_and_words(ask: Ask, shell: str) -> None:
    assert "submit" in ask(shell, "buildyard su")
    assert "pause" in ask(shell, "buildyard queues pau")
    assert "--idempotency-key" in ask(shell, "buildyard submit --idem")
    assert "critical" in ask(shell, "buildyard submit --priority cri")


@SHELLS
def test_ids_come_from_the_farm(ask: Ask, server: FakeServer, shell: str) -> None:
    server.on("GET", "/api/v1/builds", {"builds": [answers.summary()], "nextCursor": None})
    told = ask(shell, "buildyard logs 0197", BUILDYARD_API_URL=server.url)
    assert ID in told
    assert ("calc Running" in told) is (shell != "bash")
    assert ID not in ask(shell, "buildyard logs 9", BUILDYARD_API_URL=server.url)


def test_ids_come_from_the_farm_that_the_line_names(ask: Ask, server: FakeServer) -> None:
    server.on("GET", "/api/v1/builds", {"builds": [answers.summary()], "nextCursor": None})
    assert ID in ask("fish", f"buildyard --api-url {server.url} --token secret show 0")
    assert server.seen[0].headers["Authorization"] == "Bearer secret"


def test_pools_and_agents_come_from_the_farm(ask: Ask, server: FakeServer) -> None:
    counts: dict[str, object] = {
        "ready": 0,
        "waiting": 0,
        "leases": 0,
        "oldestWaitSeconds": None,
        "agents": {},
        "generations": {},
    }
    server.on("GET", "/api/v1/pools", {"pools": [{"name": "mac", **counts}], "at": answers.AT})
    for line in ("buildyard queues pause m", "buildyard builds --pool m"):
        assert ask("bash", line, BUILDYARD_API_URL=server.url) == "mac\n"


def test_a_farm_that_is_away_offers_nothing_and_says_nothing(ask: Ask) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert ask("bash", "buildyard logs ", BUILDYARD_API_URL=url).strip() == ""


@pytest.mark.parametrize(("shell", "first"), [("zsh", "#compdef buildyard"), ("fish", "complete --command buildyard")])
def test_other_shells_are_given_a_script_of_their_own(ask: Ask, shell: str, first: str) -> None:
    assert ask(shell, "", _BUILDYARD_COMPLETE=f"source_{shell}").strip().startswith(first)


def test_bash_completes_by_the_script_that_it_is_given(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    command = tmp_path / "buildyard"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m buildyard.cli "$@"\n')
    command.chmod(0o755)
    script = (
        'eval "$(_BUILDYARD_COMPLETE=source_bash buildyard)"\n'
        "COMP_WORDS=(buildyard artifacts g); COMP_CWORD=2\n"
        "_buildyard_completion buildyard\n"
        'echo "${COMPREPLY[@]}"; complete -p buildyard'
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([bash, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "get"
    assert "_buildyard_completion" in done.stdout.splitlines()[1]
