"""Completion as a user has it: installed by the shell that is used, then asked for with Tab in that very shell."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer
from tests.servers import need

ROOT = Path(__file__).parents[3]
ID = answers.BUILD_ID
PATIENCE = 240.0
_PROMPT = "ready> "
_PATIENT = "from buildyard.cli import completing, main; completing._SECONDS = 60; main.main()"
"""The program, for a machine that may stall: it waits for an answer longer than who presses Tab should have to."""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """A user's environment, whose `buildyard` completes, and says what it was called with instead of doing it."""
    command = tmp_path / "bin" / "buildyard"
    command.parent.mkdir()
    command.write_text(
        '#!/bin/sh\nif [ -n "$_BUILDYARD_COMPLETE" ] || [ "$1" = --install-completion ]; then\n'
        f'  exec {sys.executable} -c "{_PATIENT}" "$@"\nfi\necho "RAN[$*]"\n'
    )
    command.chmod(0o755)
    dropped = {"ZDOTDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "SHELL", "_TYPER_COMPLETE_ARGS"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_")}
    return {
        **{name: value for name, value in kept.items() if name not in dropped},
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
    }


def _install(shell: str, home: dict[str, str]) -> None:
    """As a user does it: the program finds out which shell calls it."""
    script = "buildyard --install-completion; true"  # two commands, so that the shell stays the caller
    done = subprocess.run(
        [shell, "-c", script], env=home, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert "completion installed" in done.stdout, done.stdout + done.stderr


@contextmanager
def _typing(shell: list[str], home: dict[str, str]) -> Iterator[int]:
    """A shell in a terminal of 24 rows and 200 columns; what is written to the number is typed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    with subprocess.Popen(shell, env=home, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as run:
        os.close(theirs)
        try:
            yield ours
        finally:
            run.kill()
            os.close(ours)


def _until(terminal: int, wanted: str) -> str:
    """What the terminal shows until it shows this."""
    shown, deadline = "", time.monotonic() + PATIENCE
    while wanted not in shown:
        left = deadline - time.monotonic()
        ready = left > 0 and select.select([terminal], [], [], left)[0]
        assert ready, f"{wanted!r} is not among {shown!r}"
        shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes_verbs_and_the_ids_of_the_farm(shell: str, home: dict[str, str], server: FakeServer) -> None:
    path = need(shell)
    server.on("GET", "/api/v1/builds", {"builds": [answers.summary()], "nextCursor": None})
    _install(path, home)
    with Path(home["HOME"], f".{shell}rc").open("a") as settings:
        settings.write(f"\nPS1='{_PROMPT}'\n")
    with _typing([path, "-i"], {**home, "BUILDYARD_API_URL": server.url}) as terminal:
        _until(terminal, _PROMPT)
        os.write(terminal, b"buildyard artif\tg\t\n")
        _until(terminal, "RAN[artifacts get]")
        os.write(terminal, b"buildyard logs 0\t\n")
        _until(terminal, f"RAN[logs {ID}]")


def test_fish_completes_verbs_options_and_the_ids_of_the_farm(home: dict[str, str], server: FakeServer) -> None:
    fish = need("fish")
    server.on("GET", "/api/v1/builds", {"builds": [answers.summary()], "nextCursor": None})
    _install(fish, home)
    script = (
        'complete -C "buildyard artif"; complete -C "buildyard artifacts g"; '
        'complete -C "buildyard submit --idem"; complete -C "buildyard logs 0"'
    )
    done = subprocess.run(
        [fish, "-c", script],
        env={**home, "BUILDYARD_API_URL": server.url},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    offered = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert offered == ["artifacts", "get", "--idempotency-key", ID], done.stdout + done.stderr
