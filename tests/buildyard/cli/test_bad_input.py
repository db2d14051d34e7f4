"""Whatever is wrong, around the command line or inside it: one sentence, the right exit code, nothing half-written."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply, Route, Seen
from tests.buildyard.cli.run import Shell

ROOT = Path(__file__).parents[3]
ID = answers.BUILD_ID
BUILD = f"/api/v1/builds/{ID}"
CONTENT = b"w" * 300_000


def _start(url: str, *words: str, limited: bool = False, **more: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_")}
    env = {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "", "BUILDYARD_API_URL": url, **more}
    command = [sys.executable, "-m", "buildyard.cli", "--scaler-url", url, *words]
    if limited:  # to 64 KiB a file: what a full disk is to a program, up to the number of the error
        command = ["/bin/sh", "-c", 'ulimit -f 128; exec "$@"', "sh", *command]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def _run(url: str, *words: str, limited: bool = False, **more: str) -> tuple[int, str, str]:
    with _start(url, *words, limited=limited, **more) as process:
        out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return process.returncode, out, err


# ---------------------------------------------------------------- a farm that answers

_EVENT = {"buildId": ID, "seq": 1, "type": "build_ended", "at": answers.AT, "data": {"status": "Succeeded"}}


@pytest.fixture
def farm(server: FakeServer) -> FakeServer:
    """Every answer that the verbs below ask for."""
    entry = answers.artifact(sizeBytes=len(CONTENT), sha256Hash=hashlib.sha256(CONTENT).hexdigest())
    server.on("GET", "/api/v1/builds", {"builds": [answers.summary(reason="é" * 90)] * 50, "nextCursor": None})
    server.on("GET", BUILD, answers.status())
    server.on("GET", f"{BUILD}/logs", Reply(pieces=(b"\x1b[32mgreen\x1b[0m \xc3\xa9\n",) * 500))
    server.on("GET", f"{BUILD}/events", Reply(pieces=(f"data: {json.dumps(_EVENT)}\n\n".encode(),)))
    server.on("GET", f"{BUILD}/artifacts", {"artifacts": [entry]})
    server.on("GET", entry["downloadUrl"], Reply(pieces=(CONTENT,)))
    server.on("GET", f"{BUILD}/rows", Reply(pieces=(b"row,ok,error,result\r\n" + b"1,true,,{}\r\n" * 20_000,)))
    return server


# ---------------------------------------------------------------- words and addresses

_NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("words", "more", "code", "sentence"),
    [
        (("builds", "--no-such-flag"), {}, 2, "No such option"),
        (("bulids",), {}, 2, "No such command"),
        (("builds", "--limit", "0"), {}, 2, "Invalid value for '--limit': it must be 1 or more"),
        (("builds", "--limit", "x"), {}, 2, "Invalid value for '--limit': it must be a whole number"),
        (("submit", "--limit"), {}, 2, "No such option"),
        (("submit", ".", "--strategy", "nonsense"), {}, 2, "Invalid value for '--strategy': 'nonsense' is not one of"),
        (("submit", ".", "--timeout", "-1"), {}, 2, "timeoutMinutes is wrong: it must be more than 0."),
        (("submit", ".", "--configuration", "a b;c"), {}, 2, "configuration is wrong: it has characters"),
        (("submit", ".", "-p", "nonsense"), {}, 2, "is not of the form NAME=VALUE"),
        (("submit", "no-such-folder"), {}, 2, "neither a folder, a file nor the address"),
        (("load", "--mix", "nonsense=1"), {}, 2, "Kinds are"),
        (("dead", "drop", ID), {}, 2, "--reason"),
        (("why", "build"), {}, 2, "asks about nothing known"),
        (("why", "a", "b", "c"), {}, 2, "asks about nothing known"),
        (("agents", "drain"), {}, 2, "Missing argument"),
        (("builds", "--columns", "id,nope"), {}, 2, "There is no column 'NOPE'"),
        (("logs", ID, "--since", "soon"), {}, 2, "is no time"),
        (("priority", ID, "urgent"), {}, 2, "urgent"),
        (("batch", "run", "nowhere.csv"), {}, 4, "nowhere.csv is no file"),
        (("batch", "run", __file__, "--detach", "-o", "x"), {}, 2, "--detach"),
        (("builds",), {"URL": "nonsense"}, 2, "is not an address of an API"),
        (("builds",), {"URL": "ftp://127.0.0.1"}, 2, "is not an address of an API"),
        (("builds",), {"URL": _NOBODY}, 3, "nobody listens there"),
        (("builds",), {"URL": "http://no-such-host.invalid:1"}, 3, "cannot be reached"),
        (("builds",), {"BUILDYARD_PORT": "many"}, 2, "BUILDYARD_PORT is wrong"),
        (("show", "../../etc/passwd"), {}, 4, "There is nothing at"),
    ],
)
def test_a_wrong_word_or_address_is_one_sentence(
    farm: FakeServer,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    more: dict[str, str],
    code: int,
    sentence: str,
) -> None:
    farm.url = more.pop("URL", farm.url)
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    ran = shell(*words)
    assert (ran.code, ran.out) == (code, "")
    assert sentence in ran.err
    assert not any(word in ran.err for word in ("Traceback", "Value error", "Input should"))
    assert len([line for line in ran.err.splitlines() if line.startswith("Error")]) == 1


def _page(_: Seen) -> Reply:
    return Reply(pieces=(b"<html>hello</html>",))


@pytest.mark.parametrize(
    ("health", "sentence"),
    [
        (_page, "answers, but not as Buildyard's producer does"),
        (Reply(body={"status": "ok", "version": "9.9.0", "new": 1}), "is version 9.9.0, this program is"),
        (Reply(503, body={"version": "9.9.0"}), "Use version 9.9.0"),
    ],
)
def test_something_else_or_another_version_is_told_apart(
    server: FakeServer, shell: Shell, health: Route, sentence: str
) -> None:
    server.on("GET", BUILD, _page)
    server.on("GET", "/api/v1/health", health)
    ran = shell("show", ID)
    assert (ran.code, ran.out) == (3, "")
    assert sentence in ran.err


# ---------------------------------------------------------------- disks and pipes


@pytest.mark.parametrize(
    "words", [("artifacts", "get", ID, "-o", "out"), ("batch", "results", ID, "-o", "out/rows.csv")]
)
def test_a_file_that_does_not_fit_leaves_nothing_with_its_name(
    farm: FakeServer, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "out").mkdir()
    place = [word.replace("out", str(tmp_path / "out")) if word.startswith("out") else word for word in words]
    code, _, err = _run(farm.url, *place, limited=True)
    assert code == 4
    assert "cannot be written: File too large." in err
    assert [
        path.name for path in (tmp_path / "out").rglob("*") if path.is_file() and not path.name.startswith(".")
    ] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is at hand on Linux only")
@pytest.mark.parametrize("words", [("logs", ID), ("batch", "results", ID)])
def test_an_output_on_a_full_disk_is_one_sentence(farm: FakeServer, words: tuple[str, ...]) -> None:
    command = f'"{sys.executable}" -m buildyard.cli {" ".join(words)} >/dev/full'
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BUILDYARD_API_URL": farm.url}
    done = subprocess.run(["/bin/sh", "-c", command], env=env, capture_output=True, text=True, check=False)
    assert done.stderr == "Error: The output cannot be written: No space left on device.\n"
    assert done.returncode == 4


@pytest.mark.parametrize("words", [("logs", ID), ("batch", "results", ID)])
def test_a_reader_that_leaves_is_141_and_silence(farm: FakeServer, words: tuple[str, ...]) -> None:
    with _start(farm.url, *words) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_a_closed_output_is_no_fault(farm: FakeServer, closed: str) -> None:
    command = f'"{sys.executable}" -m buildyard.cli builds {closed}'
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BUILDYARD_API_URL": farm.url}
    done = subprocess.run(["/bin/sh", "-c", command], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------- terminals


@pytest.mark.parametrize("words", [("builds",), ("show", ID), ("watch", ID), ("--help",), ("queues", "--help")])
@pytest.mark.parametrize(
    "more",
    [
        {"COLUMNS": "1", "LINES": "1"},
        {"COLUMNS": "20", "LINES": "4", "TERM": "dumb"},
        {"COLUMNS": "-3"},
        {"COLUMNS": "many"},
    ],
    ids=lambda more: " ".join(f"{name}={value}" for name, value in more.items()),
)
def test_no_terminal_gets_no_control_codes_whatever_it_says_of_itself(
    farm: FakeServer, shell: Shell, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], more: dict[str, str]
) -> None:
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    ran = shell(*words)
    assert ran.code == 0
    assert ran.out
    assert "\x1b" not in ran.out + ran.err


def test_letters_that_an_output_lacks_are_question_marks(farm: FakeServer) -> None:
    code, out, err = _run(farm.url, "builds", PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert "?????" in out


@pytest.mark.parametrize("words", [("builds",), ("watch", ID)])
def test_a_terminal_of_one_row_and_four_columns_will_do(farm: FakeServer, words: tuple[str, ...]) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 1, 4, 0, 0))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BUILDYARD_API_URL": farm.url, "TERM": "xterm"}
    env = {name: value for name, value in env.items() if name not in {"COLUMNS", "LINES", "PAGER"}}
    with subprocess.Popen([sys.executable, "-m", "buildyard.cli", *words], env=env, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # Linux says so when the last of the other side is gone
            pass
    os.close(ours)
    assert process.returncode == 0
    assert shown


# ---------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("watch", ID), f"{BUILD}/events"),
        (("logs", ID, "-f"), f"{BUILD}/logs"),
        (("builds",), "/api/v1/builds"),
        (("artifacts", "get", ID, "-o", "OUT"), answers.artifact()["downloadUrl"]),
        (("batch", "results", ID, "-o", "OUT/rows.csv"), f"{BUILD}/rows"),
        (("submit", "SRC"), "/upload"),
    ],
)
def test_ctrl_c_is_130_and_leaves_nothing_with_its_name(
    farm: FakeServer, tmp_path: Path, words: tuple[str, ...], path: str
) -> None:
    reached = threading.Event()

    def hold(_: Seen) -> Reply:
        reached.set()
        return Reply(pieces=(b"{",), holds=True)

    for method in ("GET", "POST"):
        farm.on(method, path, hold)
    (tmp_path / "OUT").mkdir()
    (tmp_path / "SRC").mkdir()
    (tmp_path / "SRC" / "main.py").write_text("print(1)\n")
    places = [word.replace("OUT", str(tmp_path / "OUT")).replace("SRC", str(tmp_path / "SRC")) for word in words]
    with _start(farm.url, *places) as process:
        assert reached.wait(60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "Interrupted."
    out = tmp_path / "OUT"
    assert [found.name for found in out.rglob("*") if found.is_file() and not found.name.startswith(".")] == []


@pytest.mark.parametrize("after", [0, 0.02, 0.1, 0.3])
@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("artifacts", "get", ID, "-o", "OUT"), ("GET", f"{BUILD}/artifacts")),
        (("submit", "SRC", "--follow"), ("POST", "/upload")),
    ],
)
def test_ctrl_c_at_any_point_leaves_all_or_nothing(
    farm: FakeServer, tmp_path: Path, words: tuple[str, ...], first: tuple[str, str], after: float
) -> None:
    farm.on("POST", "/upload", Reply(202, body=answers.accepted()))
    asked, answer = threading.Event(), farm.routes[first]
    assert isinstance(answer, Reply)

    def noticed(_: Seen) -> Reply:
        asked.set()
        return answer

    farm.on(*first, noticed)
    (tmp_path / "SRC").mkdir()
    (tmp_path / "SRC" / "main.py").write_text("print(1)\n")
    places = [word.replace("OUT", str(tmp_path / "OUT")).replace("SRC", str(tmp_path / "SRC")) for word in words]
    with _start(farm.url, *places) as process:
        assert asked.wait(60)
        threading.Event().wait(after)  # the moment is what is tried here: each is right
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    leaving = -signal.SIGINT  # it came when all was done: what a shell calls 130 too
    assert process.returncode in {0, 130, leaving}, err
    assert "Traceback" not in err
    whole = [found.read_bytes() for found in (tmp_path / "OUT").rglob("*") if found.is_file() and found.name[0] != "."]
    assert whole in ([], [CONTENT])


def test_ctrl_c_while_the_program_starts_is_no_traceback() -> None:
    code = (
        "import sys, builtins\n"
        "real = builtins.__import__\n"
        "def stop(name, *more, **named):\n"
        "    if name == 'typer': raise KeyboardInterrupt\n"
        "    return real(name, *more, **named)\n"
        "builtins.__import__ = stop\n"
        "from buildyard.cli.__main__ import main\n"
        "main()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")
