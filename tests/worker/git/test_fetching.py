"""Repositories are fetched with the real git, from a folder and over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from buildyard.contracts.builds import Outcome, ReasonCode
from tests.worker.git.hosts import GitServer, built, git


@pytest.mark.parametrize(("ref", "said"), [("main", "second"), ("v1", "first"), ("HEAD", "second")])
async def test_an_allowed_local_repository_isbuilt(tmp_path: Path, repository: Path, ref: str, said: str) -> None:
    rig, finished = await built(tmp_path, str(repository), ref, git_local_roots=str(repository.parent))

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    log = await rig.log_text()
    assert said in log
    assert "checked out commit" in log


async def test_a_commit_that_no_branch_points_to_isbuilt(tmp_path: Path, repository: Path) -> None:
    first = git(repository, "rev-parse", "v1")
    rig, finished = await built(tmp_path, f"file://{repository}", first, git_local_roots=str(repository.parent))

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert "first" in await rig.log_text()


async def test_a_local_repository_is_refused_unless_its_folder_is_allowed(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "allowed").mkdir()
    link = tmp_path / "allowed" / "link"
    link.symlink_to(repository)
    for url in (str(repository), str(link), f"{tmp_path}/allowed/../repositories/project"):
        _, finished = await built(tmp_path / url[-3:], url, "main", git_local_roots=str(tmp_path / "allowed"))

        assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED), url

    _, finished = await built(tmp_path / "none", str(repository), "main")
    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)


async def test_a_ref_that_does_not_exist_is_named(tmp_path: Path, repository: Path) -> None:
    _, finished = await built(tmp_path, str(repository), "nowhere", git_local_roots=str(repository.parent))

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)
    assert "`nowhere`" in finished.reason


async def test_a_folder_without_a_repository_is_told(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "empty").mkdir()
    _, finished = await built(tmp_path, str(tmp_path / "empty"), "main", git_local_roots=str(tmp_path))

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.SOURCE_UNAVAILABLE)
    assert finished.reason == "There is no git repository at this address."


async def test_a_repository_beyond_the_budget_is_refused_before_its_files_are_written(
    tmp_path: Path, repository: Path
) -> None:
    (repository / "zeros").write_bytes(bytes(3_000_000))
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "large")
    rig, finished = await built(
        tmp_path, str(repository), "main", git_local_roots=str(repository.parent), unpack_max_bytes=2_000_000
    )

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.ARCHIVE_REFUSED), finished.reason
    assert not (rig.src / "zeros").exists()


async def test_without_git_the_agent_says_so(tmp_path: Path, repository: Path) -> None:
    _, finished = await built(tmp_path, str(repository), "main", git_local_roots=str(repository.parent), tools={})

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.TOOL_MISSING)


@pytest.mark.parametrize("url", ["https://localhost/a", "https://127.0.0.1/a"])
async def test_a_host_with_a_private_address_is_refused_even_when_its_name_is_allowed(tmp_path: Path, url: str) -> None:
    _, finished = await built(tmp_path, url, "main", git_hosts="localhost,127.0.0.1")

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)
    assert "private address" in finished.reason


async def test_a_host_that_cannot_be_resolved_is_unavailable(tmp_path: Path) -> None:
    _, finished = await built(tmp_path, "https://no-such-host.invalid/a", "main", git_hosts="no-such-host.invalid")

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.SOURCE_UNAVAILABLE)


async def test_a_repository_over_http_is_built_where_an_operator_named_its_origin(
    tmp_path: Path, server: GitServer
) -> None:
    rig, finished = await built(tmp_path, f"{server.origin}/project", "main", git_hosts=server.origin)

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert "second" in await rig.log_text()


async def test_a_redirect_is_not_followed(tmp_path: Path, server: GitServer) -> None:
    _, finished = await built(tmp_path, f"{server.origin}/moved", "main", git_hosts=server.origin)

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED), finished.reason
    assert not any(path.startswith("/project") for path in server.seen)


async def test_a_repository_that_needs_a_login_is_refused_without_asking(tmp_path: Path, server: GitServer) -> None:
    async with asyncio.timeout(60):
        _, finished = await built(tmp_path, f"{server.origin}/private/project", "main", git_hosts=server.origin)

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED), finished.reason


async def test_a_repository_over_http_that_is_not_there_is_told(tmp_path: Path, server: GitServer) -> None:
    _, finished = await built(tmp_path, f"{server.origin}/nothing", "main", git_hosts=server.origin)

    assert finished.outcome is not Outcome.SUCCEEDED
    assert "no git repository" in finished.reason
