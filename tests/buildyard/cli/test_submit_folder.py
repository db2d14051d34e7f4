"""A folder is packed while it is sent: without what stays at home, the same each time, and once however often sent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from buildyard.archives import Budget, extract, sniff
from buildyard.cli import folders
from tests.buildyard.archive_forge import files_in
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply, Seen, problem
from tests.buildyard.cli.run import Shell

ID = answers.BUILD_ID


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small project with things that stay at home."""
    place = tmp_path / "my calc"
    for name, text in {
        "main.py": "print(1)\n",
        "sub/data.bin": "x" * 3_000_000,
        "sub/.gitignore": "*.tmp\n",
        "sub/a.tmp": "",
        ".git/config": "",
        ".gitignore": "out/\n",
        "out/old.txt": "",
        "notes.md": "",
        ".buildyardignore": "notes.md\n",
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


PACKED = {".buildyardignore", ".gitignore", "main.py", "sub/.gitignore", "sub/data.bin"}


def _file_of(seen: Seen) -> tuple[str, bytes]:
    """The header and the bytes of an upload's file."""
    boundary = seen.headers["Content-Type"].split("boundary=")[1].encode()
    head, _, body = seen.body.split(b'name="file"', 1)[1].partition(b"\r\n\r\n")
    return head.decode(), body.removesuffix(b"\r\n--" + boundary + b"--\r\n")


def _accepting(server: FakeServer) -> None:
    server.on("POST", "/upload", Reply(202, answers.accepted()))


@pytest.mark.parametrize("kind", ["tar.zst", "tar.gz", "zip"])
def test_a_folder_is_packed_without_what_stays_at_home(
    shell: Shell, server: FakeServer, folder: Path, tmp_path: Path, kind: str
) -> None:
    _accepting(server)
    ran = shell("submit", str(folder), "--archive", kind)
    assert (ran.code, ran.out) == (0, f"{ID}\n")
    header, archive = _file_of(server.seen[0])
    assert f'filename="my calc.{kind}"' in header
    assert sniff(archive[:16]) == kind
    (tmp_path / "archive").write_bytes(archive)
    extract(tmp_path / "archive", kind, tmp_path / "out", Budget())
    wanted = {name: content for name, content in files_in(folder).items() if name in PACKED}
    assert files_in(tmp_path / "out") == {**wanted, "sub": None}


def test_the_same_folder_is_the_same_archive(shell: Shell, server: FakeServer, folder: Path) -> None:
    _accepting(server)
    shell("submit", str(folder))
    shell("submit", str(folder))
    assert _file_of(server.seen[0])[1] == _file_of(server.seen[1])[1]


def test_the_folder_one_is_in_gives_the_project_its_name(
    shell: Shell, server: FakeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _accepting(server)
    monkeypatch.chdir(folder)
    assert shell("submit", ".").code == 0
    assert b'"projectName":"my calc"' in server.seen[0].body


def test_links_are_left_out_and_told(shell: Shell, server: FakeServer, folder: Path) -> None:
    _accepting(server)
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "other").symlink_to("main.py")
    ran = shell("submit", str(folder))
    assert ran.code == 0
    assert 'Left out links: 2, the first is "link".' in ran.err


def test_what_may_not_be_read_is_named_before_anything_is_sent(
    shell: Shell, server: FakeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = str(folder / "sub" / "data.bin")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != secret and access(path, mode))
    ran = shell("submit", str(folder))
    assert ran.code == 4
    assert ran.err.startswith(f"Error: {secret} cannot be read: Permission denied.\n")
    assert ".buildyardignore" in ran.err
    assert server.seen == []


def test_a_file_that_becomes_unreadable_meanwhile_ends_the_upload(
    shell: Shell, server: FakeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", "main.py")

    _accepting(server)
    monkeypatch.setattr(folders, "pack", gone)
    ran = shell("submit", str(folder))
    assert (ran.code, ran.out) == (4, "")
    assert "main.py cannot be read: No such file or directory." in ran.err


def test_a_folder_of_nothing_is_refused(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = shell("submit", str(tmp_path / "empty"))
    assert ran.code == 4
    assert "holds no file to build" in ran.err


# ---------------------------------------------------------------- connections that break


def _breaking(server: FakeServer, path: str, *last: Reply) -> None:
    """The first answer breaks off, whatever was done; then come the others."""
    replies = iter([Reply(202, breaks=True), *last])
    server.on("POST", path, lambda _: next(replies))


def _keys(server: FakeServer) -> list[str]:
    return [seen.headers["Idempotency-Key"] for seen in server.seen]


def test_an_upload_whose_connection_breaks_is_sent_again_under_its_key(
    shell: Shell, server: FakeServer, folder: Path
) -> None:
    _breaking(server, "/upload", problem(409, "in_progress", "It is worked on."), Reply(202, answers.accepted()))
    ran = shell("submit", str(folder))
    assert (ran.code, ran.out) == (0, f"{ID}\n")
    first, second, third = server.seen
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == third.headers["Idempotency-Key"]
    assert _file_of(first) == _file_of(third)
    assert "Trying again." in ran.err


def test_a_repository_is_asked_for_again_under_its_key(shell: Shell, server: FakeServer) -> None:
    _breaking(server, "/api/v1/builds", Reply(202, answers.accepted()))
    assert shell("submit", "https://github.com/a/b", "--branch", "main").code == 0
    assert len(set(_keys(server))) == 1
    assert server.seen[1].json()["job"]["gitRef"] == "main"


def test_every_call_has_a_key_of_its_own_unless_one_is_given(shell: Shell, server: FakeServer) -> None:
    server.on("POST", "/api/v1/builds", Reply(202, answers.accepted()))
    for more in ((), (), ("--idempotency-key", "mine")):
        shell("submit", "https://github.com/a/b", *more)
    assert len(set(_keys(server))) == 3
    assert _keys(server)[2] == "mine"


def test_a_folder_that_changed_between_two_tries_is_said_so(shell: Shell, server: FakeServer, folder: Path) -> None:
    _breaking(server, "/upload", problem(422, "key_reused", "Another request had this key."))
    ran = shell("submit", str(folder))
    assert ran.code == 4
    assert "the source has changed since" in ran.err
    assert "buildyard builds" in ran.err


def test_a_refusal_is_not_sent_again(shell: Shell, server: FakeServer, folder: Path) -> None:
    server.on("POST", "/upload", problem(503, "store_unavailable", "The database is locked."))
    assert shell("submit", str(folder)).code == 3
    assert len(server.seen) == 1


def test_a_wrong_buildyard_toml_is_told_before_anything_travels(shell: Shell, server: FakeServer, folder: Path) -> None:
    (folder / "buildyard.toml").write_text("[stages.build]\ncommand = [['make']]\n")

    ran = shell("submit", str(folder))

    assert ran.code == 4
    assert "buildyard.toml:2:1: stages.build.command is unknown; allowed here: commands, needs, " in ran.err
    assert server.seen == []


def test_a_buildyard_toml_that_stays_at_home_is_not_looked_at(shell: Shell, server: FakeServer, folder: Path) -> None:
    _accepting(server)
    (folder / "buildyard.toml").write_text("nonsense = [\n")
    (folder / ".buildyardignore").write_text("buildyard.toml\n")

    assert shell("submit", str(folder)).code == 0


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        (["dotnet>=8"], {"tools": {"dotnet": ">=8"}}),
        (["git", "python=3.11", "go >=1.21,<2"], {"tools": {"git": "", "python": "3.11", "go": ">=1.21,<2"}}),
        (["memory=4 GiB", "cores=2", "os=linux"], {"tools": {}, "memory": "4 GiB", "cores": 2.0, "os": "linux"}),
    ],
)
def test_needs_go_along_with_the_request(
    shell: Shell, server: FakeServer, folder: Path, typed: list[str], asked: dict[str, Any]
) -> None:
    _accepting(server)

    assert shell("submit", str(folder), *(part for need in typed for part in ("--needs", need))).code == 0

    form = server.seen[0].body.split(b'name="request"', 1)[1].partition(b"\r\n\r\n")[2].split(b"\r\n--")[0]
    assert json.loads(form)["job"]["needs"] == asked


@pytest.mark.parametrize("need", ["dotnet>=eight", "-x", "memory=lots", "cores=many"])
def test_a_need_that_says_nothing_is_refused(shell: Shell, server: FakeServer, folder: Path, need: str) -> None:
    ran = shell("submit", str(folder), f"--needs={need}")

    assert ran.code == 2
    assert server.seen == []
