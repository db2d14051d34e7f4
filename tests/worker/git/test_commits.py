"""A commit is found however the server hands it out, and no more history is fetched than has to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildyard.contracts.builds import Outcome, ReasonCode
from tests.worker.git.hosts import GitServer, built, git


async def test_a_commit_that_is_no_tip_is_fetched_alone_where_the_server_allows_it(
    tmp_path: Path, repository: Path, server: GitServer
) -> None:
    first = git(repository, "rev-parse", "v1^{commit}")
    git(repository, "tag", "-d", "v1")
    rig, finished = await built(tmp_path, f"{server.origin}/project", first, git_hosts=server.origin)

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    log = await rig.log_text()
    assert "first" in log
    assert "whole history" not in log


async def test_a_commit_that_the_server_does_not_hand_out_alone_is_found_in_the_whole_history(
    tmp_path: Path, repository: Path, server: GitServer
) -> None:
    first = git(repository, "rev-parse", "v1^{commit}")
    git(repository, "tag", "-d", "v1")
    rig, finished = await built(tmp_path, f"{server.origin}/old/project", first, git_hosts=server.origin)

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    log = await rig.log_text()
    assert "whole history" in log
    assert f"checked out commit {first}" in log


async def test_a_short_commit_is_found(tmp_path: Path, repository: Path) -> None:
    first = git(repository, "rev-parse", "v1^{commit}")
    rig, finished = await built(tmp_path, str(repository), first[:10], git_local_roots=str(repository.parent))

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert f"checked out commit {first}" in await rig.log_text()


@pytest.mark.parametrize("ref", ["0123456789", "0123456789abcdef0123456789abcdef01234567"])
async def test_a_commit_that_does_not_exist_is_named(tmp_path: Path, repository: Path, ref: str) -> None:
    _, finished = await built(tmp_path, str(repository), ref, git_local_roots=str(repository.parent))

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED), finished.reason
    assert f"`{ref}`" in finished.reason


async def test_a_server_of_plain_files_is_fetched_from(tmp_path: Path, repository: Path, server: GitServer) -> None:
    git(repository, "update-server-info")
    url = f"{server.origin}/plain/project/.git"
    rig, finished = await built(tmp_path, url, "v1", git_hosts=server.origin)

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert "first" in await rig.log_text()
