"""The dashboard as a process: in a terminal of its own, and without one."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.journey.yard import make_project, open_yard

PATIENCE = 120.0
ALTERNATE_ON, ALTERNATE_OFF = b"\x1b[?1049h", b"\x1b[?1049l"
CURSOR_ON, MOUSE_OFF = b"\x1b[?25h", b"\x1b[?1000l"


_CONTROLLED = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A pty with the dashboard in it."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, slave: int) -> None:
        self.process = process
        self.master, self.slave = master, slave
        self.written = b""

    def read(self, wanted: bytes) -> None:
        """Read until the dashboard has written this."""
        until = monotonic() + PATIENCE
        while wanted not in self.written:
            assert monotonic() < until, f"never came: {wanted!r} in {self.written[-500:]!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.written += os.read(self.master, 65536)
                except OSError:  # nobody holds the other end any more
                    assert wanted in self.written, f"never came: {wanted!r} in {self.written[-500:]!r}"

    def drain(self) -> None:
        """Read what is there."""
        while select.select([self.master], [], [], 0)[0]:
            self.written += os.read(self.master, 65536)

    def until_it_waits(self) -> None:
        """Read nothing any more until what it writes finds no room."""
        until = monotonic() + PATIENCE
        stuck = 0
        while stuck < 60:  # drawings that wait behind what found no room: Textual holds 30
            assert monotonic() < until, "it never fills its terminal"
            os.write(self.master, b"21")  # from screen to screen: there is always something to write
            stuck = stuck + 1 if self._is_full() else 0
            select.select([], [], [], 0.05)

    def _is_full(self) -> bool:
        """Whether the slave's side takes no more of what is written."""
        return not select.select([], [self.slave], [], 0)[1]

    def hang_up(self) -> None:
        """Close the terminal."""
        for end in (self.slave, self.master):
            os.close(end)
        self.slave = self.master = -1

    def end(self) -> int:
        """Its exit code; what it still writes is read meanwhile, so that it never waits for us."""
        until = monotonic() + PATIENCE
        while self.process.poll() is None:
            assert monotonic() < until, "it does not end"
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.written += os.read(self.master, 65536)
                except OSError:
                    continue
        return self.process.returncode


@contextmanager
def in_terminal(
    folder: Path, *arguments: str, controlling: bool = False, stays: bool = True, **environment: str
) -> Iterator[Terminal]:
    """The dashboard in a terminal; where that does not stay, nothing is asked of it in the end."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_")},
        "TERM": "xterm-256color",
        "XDG_CONFIG_HOME": str(folder),
        "PYTHONUTF8": "1",
        **environment,
    }
    words = [sys.executable, "-m", "tui", *arguments]
    if controlling:  # as a shell's: its end is a signal
        words = [sys.executable, "-c", _CONTROLLED, *words]
    process = subprocess.Popen(
        words,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=env,
        start_new_session=True,
    )
    before = termios.tcgetattr(slave)
    terminal = Terminal(process, master, slave)
    try:
        yield terminal
        if stays:
            assert termios.tcgetattr(slave) == before, "the terminal is not as it was"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for end in (terminal.slave, terminal.master):
            if end >= 0:
                os.close(end)


def group_is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("how", "code"), [("ctrl-c", 0), ("SIGHUP", 129), ("SIGTERM", 143)], ids=["ctrl-c", "hang-up", "terminate"]
)
def test_however_it_ends_the_terminal_is_as_it_was_and_nothing_is_left(tmp_path: Path, how: str, code: int) -> None:
    with in_terminal(tmp_path, "--demo") as terminal:
        terminal.read(b"Attention")
        if how == "ctrl-c":
            os.write(terminal.master, b"\x03")
        else:
            terminal.process.send_signal(getattr(signal, how))
        assert terminal.end() == code
        terminal.read(ALTERNATE_OFF)
        assert ALTERNATE_ON in terminal.written
        assert CURSOR_ON in terminal.written
        assert MOUSE_OFF in terminal.written
        assert group_is_empty(terminal.process.pid)


@pytest.mark.parametrize("controlling", [True, False], ids=["controlling", "not controlling"])
@pytest.mark.parametrize("how", ["closed", "closed and terminated"])
def test_a_dashboard_that_waits_for_its_terminal_ends_when_that_is_gone(
    tmp_path: Path, how: str, controlling: bool
) -> None:
    with in_terminal(tmp_path, "--demo", controlling=controlling, stays=False) as terminal:
        terminal.read(b"Attention")
        terminal.until_it_waits()
        terminal.hang_up()
        if how == "closed and terminated":
            terminal.process.send_signal(signal.SIGTERM)
        terminal.process.wait(PATIENCE)
        assert group_is_empty(terminal.process.pid)


def test_a_pager_gets_the_terminal_and_gives_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pager = tmp_path / "pager"
    pager.write_text('#!/bin/sh\nprintf "paged %s lines\\n" "$(wc -l)"\nread answer <&1\n')
    pager.chmod(0o700)
    monkeypatch.setenv("PAGER", str(pager))
    with in_terminal(tmp_path, "--demo") as terminal:
        terminal.read(b"Attention")
        os.write(terminal.master, b"\t\tg\x0f")  # the newest build, and ctrl-o
        terminal.read(b"paged ")
        assert terminal.written.count(ALTERNATE_OFF) == 1
        terminal.written = b""
        os.write(terminal.master, b"done\n")
        terminal.read(ALTERNATE_ON)
        terminal.read(b"Attention")
        os.write(terminal.master, b"q")
        assert terminal.end() == 0


def test_a_farm_that_is_not_there_is_a_state_of_the_screen_and_no_end(tmp_path: Path) -> None:
    with in_terminal(tmp_path, "--api-url", "http://127.0.0.1:1", "--scaler-url", "http://127.0.0.1:1") as terminal:
        terminal.read(b"never connected")
        assert terminal.process.poll() is None
        os.write(terminal.master, b"q")
        assert terminal.end() == 0


def run(folder: Path, *arguments: str, config: str | None = None) -> subprocess.CompletedProcess[str]:
    file = folder / "tui.toml"
    if config is not None:
        file.write_text(config)
    env = {**os.environ, "BUILDYARD_TUI_FILE": str(file), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, "-m", "tui", *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "config", "code", "sentence"),
    [
        (("--demo", "--theme", "pink"), None, 2, "There is no theme 'pink'."),
        (("--demo",), "theme = \n", 2, "is no TOML"),
        (("--demo",), "colour = 1\n", 2, "has a setting 'colour' that does not exist"),
        (("--replay", "/dev/null"), None, 4, "is no recording of Buildyard"),
        (("--once", "--api-url", "ftp://x"), None, 2, "'ftp://x' is not an address of an API."),
        (("--once", "--api-url", "http://127.0.0.1:1"), None, 3, "cannot be reached"),
        (("--demo",), None, 2, "The dashboard needs a terminal."),
        (("--demo", "--write"), None, 2, "--write needs a farm"),
    ],
    ids=["theme", "toml", "setting", "recording", "address", "unreachable", "no terminal", "write to a demo"],
)
def test_bad_input_gets_one_sentence_and_an_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], config: str | None, code: int, sentence: str
) -> None:
    done = run(tmp_path, *arguments, config=config)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_overview_of_the_demo_is_printed_as_text(tmp_path: Path) -> None:
    done = run(tmp_path, "--demo", "--once")
    assert done.returncode == 0, done.stderr
    for word in ("Queues", "Attention", "Workers", "Scaler", "Last builds", "linux"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.journey
async def test_a_real_farm_is_printed_as_json_with_its_build(tmp_path: Path) -> None:
    async with open_yard(tmp_path, {}) as yard:
        build_id = await yard.submit(make_project("true"))
        await yard.end(build_id)
        done = run(tmp_path, "--once", "--json", "--api-url", yard.farm.api_url, "--scaler-url", yard.farm.scaler_url)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {one["name"]: one["connection"] for one in told["sources"]} == {
        "producer": "connected",
        "scaler": "connected",
    }
    assert [(one["executionId"], one["status"]) for one in told["builds"]] == [(build_id, "Succeeded")]
    assert [one["name"] for one in told["queues"]] == ["linux"]
    assert told["scaler"][0]["pool"] == "linux"
    assert told["scaler"][0]["reason"]
