"""`buildyard` as a program: it starts at once, ends as shells expect, and its help is the documentation."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest

from buildyard.cli.build_verbs import ArchiveWord, PriorityWord, StrategyWord
from buildyard.cli.docs import commands_page
from buildyard.contracts.builds import Priority, Strategy, UploadKind
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply

ROOT = Path(__file__).parents[3]
# An unbuffered stdout of Python loses the rest of a write that a pipe takes in parts, error and all.
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}


def _buildyard(*words: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "buildyard.cli", *words],
        env=ENV | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, buildyard.cli.main as m\n"
        "try: m.app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'asyncio', 'httpx', 'pathspec', 'obstore', 'pydantic', 'rich', 'fastapi', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENV, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_help_answers_within_a_quarter_of_a_second_of_processor_time() -> None:
    spent = []
    for _ in range(3):
        before = os.times()
        with _buildyard("--help") as process:
            out, _err = process.communicate()
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert "Exit codes: 0 done;" in out
    assert min(spent) < 0.25


def test_the_documentation_is_the_help() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == commands_page(), "run: python -m buildyard.cli.docs > docs/cli.md"


def test_the_words_of_options_are_those_of_the_contracts() -> None:
    assert list(get_args(PriorityWord)) == list(Priority)
    assert list(get_args(StrategyWord)) == list(Strategy)
    assert {*get_args(ArchiveWord), "csv"} == set(UploadKind)


def test_the_version_is_told() -> None:
    with _buildyard("--version") as process:
        assert process.communicate()[0].startswith("buildyard 0.")


def test_a_reader_that_leaves_ends_the_program_quietly(server: FakeServer) -> None:
    summaries = [answers.summary(reason="x" * 400)] * 100
    server.on("GET", "/api/v1/builds", {"builds": summaries, "nextCursor": "more"})
    with _buildyard("--api-url", server.url, "builds", "--limit", "500") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_ctrl_c_ends_a_follower_with_130(server: FakeServer) -> None:
    def endless(_seen: object) -> Reply:
        reached.append(time.monotonic())
        return Reply(pieces=(answers.log_line(1, "first"),), holds=True)

    reached: list[float] = []
    server.on("GET", f"/api/v1/builds/{answers.BUILD_ID}/logs", endless)
    with _buildyard("--api-url", server.url, "logs", "-f", answers.BUILD_ID) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "Interrupted.\n"
    assert reached


@pytest.mark.parametrize(("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_come_on_a_terminal_unless_no_color_is_set(
    server: FakeServer, more: dict[str, str], coloured: bool
) -> None:
    server.on("GET", f"/api/v1/builds/{answers.BUILD_ID}/logs", Reply(pieces=(b"\x1b[32mgreen\x1b[0m\n",)))
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "buildyard.cli", "--api-url", server.url, "logs", answers.BUILD_ID]
    env = {name: value for name, value in ENV.items() if name != "NO_COLOR"} | {"TERM": "xterm"} | more
    with subprocess.Popen(words, env=env, stdout=theirs) as process:
        process.wait()
    shown = os.read(ours, 1000)
    os.close(ours)
    os.close(theirs)
    assert (b"\x1b[32m" in shown) is coloured
    assert b"green" in shown
