from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from buildyard.contracts.builds import GitSource, Outcome, ReasonCode
from tests.worker.fakes import Rig, job_spec, rig_of

# ---------------------------------------------------------------- with the real git


def _git(folder: Path, *arguments: str) -> str:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    done = subprocess.run(["git", *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: the first is tagged v1; a hook and a template that must never run."""
    folder = tmp_path / "repositories" / "project"
    folder.mkdir(parents=True)
    _git(folder, "init", "-q", "-b", "main")
    (folder / "Makefile").write_text("all:\n\t@echo first\n")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "first")
    _git(folder, "tag", "v1")
    (folder / "Makefile").write_text("all:\n\t@echo second\n")
    _git(folder, "commit", "-q", "-am", "second")
    return folder


async def _built(tmp_path: Path, url: str, ref: str, **settings: Any) -> tuple[Rig, Any]:
    rig = rig_of(tmp_path, job_spec(GitSource(url=url, ref=ref)), **settings)
    return rig, await rig.run()


@pytest.mark.parametrize(("ref", "said"), [("main", "second"), ("v1", "first"), ("HEAD", "second")])
async def test_an_allowed_local_repository_is_built(tmp_path: Path, repository: Path, ref: str, said: str) -> None:
    rig, finished = await _built(tmp_path, str(repository), ref, git_local_roots=str(repository.parent))

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    log = await rig.log_text()
    assert said in log
    assert "checked out commit" in log


async def test_a_commit_that_no_branch_points_to_is_built(tmp_path: Path, repository: Path) -> None:
    first = _git(repository, "rev-parse", "v1")
    rig, finished = await _built(tmp_path, f"file://{repository}", first, git_local_roots=str(repository.parent))

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert "first" in await rig.log_text()


async def test_a_local_repository_is_refused_unless_its_folder_is_allowed(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "allowed").mkdir()
    link = tmp_path / "allowed" / "link"
    link.symlink_to(repository)
    for url in (str(repository), str(link), f"{tmp_path}/allowed/../repositories/project"):
        _, finished = await _built(tmp_path / url[-3:], url, "main", git_local_roots=str(tmp_path / "allowed"))

        assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED), url

    _, finished = await _built(tmp_path / "none", str(repository), "main")
    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)


async def test_a_ref_that_does_not_exist_is_named(tmp_path: Path, repository: Path) -> None:
    _, finished = await _built(tmp_path, str(repository), "nowhere", git_local_roots=str(repository.parent))

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)
    assert "`nowhere`" in finished.reason


async def test_a_folder_without_a_repository_is_told(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "empty").mkdir()
    _, finished = await _built(tmp_path, str(tmp_path / "empty"), "main", git_local_roots=str(tmp_path))

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.SOURCE_UNAVAILABLE)
    assert finished.reason == "There is no git repository at this address."


async def test_a_repository_beyond_the_budget_is_refused_before_its_files_are_written(
    tmp_path: Path, repository: Path
) -> None:
    (repository / "zeros").write_bytes(bytes(3_000_000))
    _git(repository, "add", ".")
    _git(repository, "commit", "-q", "-m", "large")
    rig, finished = await _built(
        tmp_path, str(repository), "main", git_local_roots=str(repository.parent), unpack_max_bytes=2_000_000
    )

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.ARCHIVE_REFUSED), finished.reason
    assert not (rig.src / "zeros").exists()


async def test_without_git_the_agent_says_so(tmp_path: Path, repository: Path) -> None:
    _, finished = await _built(tmp_path, str(repository), "main", git_local_roots=str(repository.parent), tools={})

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.TOOL_MISSING)


@pytest.mark.parametrize("url", ["https://localhost/a", "https://127.0.0.1/a"])
async def test_a_host_with_a_private_address_is_refused_even_when_its_name_is_allowed(tmp_path: Path, url: str) -> None:
    _, finished = await _built(tmp_path, url, "main", git_hosts="localhost,127.0.0.1")

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)
    assert "private address" in finished.reason


async def test_a_host_that_cannot_be_resolved_is_unavailable(tmp_path: Path) -> None:
    _, finished = await _built(tmp_path, "https://no-such-host.invalid/a", "main", git_hosts="no-such-host.invalid")

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.SOURCE_UNAVAILABLE)


class _GitServer(ThreadingHTTPServer):
    """A repository over HTTP; `/moved` redirects to it, `/login` asks for one."""

    root: Path
    seen: list[str]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: _GitServer

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: bytes) -> None:
        self.server.seen.append(self.path)
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", self.server.origin + self.path.replace("/moved", "/project"))
            self.end_headers()
        elif self.path.startswith("/login"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
        else:
            self._run_git(body)

    def _run_git(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server(repository: Path) -> Iterator[_GitServer]:
    with _GitServer(("127.0.0.1", 0), _Handler) as server:
        server.root, server.seen = repository.parent, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_repository_over_http_is_built_where_an_operator_named_its_origin(
    tmp_path: Path, server: _GitServer
) -> None:
    rig, finished = await _built(tmp_path, f"{server.origin}/project", "main", git_hosts=server.origin)

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert "second" in await rig.log_text()


async def test_a_redirect_is_not_followed(tmp_path: Path, server: _GitServer) -> None:
    _, finished = await _built(tmp_path, f"{server.origin}/moved", "main", git_hosts=server.origin)

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED), finished.reason
    assert not any(path.startswith("/project") for path in server.seen)


async def test_a_repository_that_needs_a_login_is_refused_without_asking(tmp_path: Path, server: _GitServer) -> None:
    async with asyncio.timeout(20):
        _, finished = await _built(tmp_path, f"{server.origin}/login", "main", git_hosts=server.origin)

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED), finished.reason


async def test_a_repository_over_http_that_is_not_there_is_told(tmp_path: Path, server: _GitServer) -> None:
    _, finished = await _built(tmp_path, f"{server.origin}/nothing", "main", git_hosts=server.origin)

    assert finished.outcome is not Outcome.SUCCEEDED
    assert "no git repository" in finished.reason
