"""A repository with some history, and a server that has it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.git.hosts import GitServer, Requests, SshHost, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: the first is tagged v1; a hook and a template that must never run."""
    folder = tmp_path / "repositories" / "project"
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "Makefile").write_text("all:\n\t@echo first\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "tag", "v1")
    (folder / "Makefile").write_text("all:\n\t@echo second\n")
    git(folder, "commit", "-q", "-am", "second")
    return folder


@pytest.fixture
def server(repository: Path) -> Iterator[GitServer]:
    with GitServer(("127.0.0.1", 0), Requests) as server:
        server.root, server.seen = repository.parent, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ssh_host(tmp_path: Path) -> Iterator[SshHost]:
    host = SshHost(tmp_path / "ssh")
    host.start()
    yield host
    host.stop()
