"""Submodules are fetched on request, each judged as the repository itself is."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildyard.contracts.builds import Outcome, ReasonCode
from tests.worker.git.hosts import built, git

_LOCAL = ("-c", "protocol.file.allow=always")


@pytest.fixture
def nested(repository: Path) -> Path:
    """`repository` has the submodule lib/inner, which has the submodule deep, addressed relatively."""
    folders = {name: repository.parent / name for name in ("inner", "deep")}
    for name, folder in folders.items():
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main")
        (folder / f"{name}.txt").write_text(name)
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", name)
    git(folders["inner"], *_LOCAL, "submodule", "add", "-q", "../deep", "deep")
    git(folders["inner"], "commit", "-q", "-m", "with deep")
    git(repository, *_LOCAL, "submodule", "add", "-q", str(folders["inner"]), "lib/inner")
    (repository / "Makefile").write_text("all:\n\t@cat lib/inner/inner.txt lib/inner/deep/deep.txt\n")
    git(repository, "commit", "-q", "-am", "with inner")
    return repository


async def test_submodules_come_when_they_are_asked_for(tmp_path: Path, nested: Path) -> None:
    rig, finished = await built(tmp_path, str(nested), "main", submodules=True, git_local_roots=str(nested.parent))

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert "innerdeep" in await rig.log_text()


async def test_submodules_that_nobody_asked_for_are_left_out_and_told(tmp_path: Path, nested: Path) -> None:
    rig, finished = await built(tmp_path, str(nested), "main", git_local_roots=str(nested.parent))

    assert finished.outcome is Outcome.FAILED
    assert "1 submodules are left out" in await rig.log_text()


@pytest.mark.parametrize(
    "url", ["ext::sh -c id", "https://evil.example/a/b", "http://127.0.0.1:1/a", "/etc", "--upload-pack=x"]
)
async def test_a_submodule_of_a_forbidden_address_is_refused(tmp_path: Path, nested: Path, url: str) -> None:
    (nested / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = lib/inner\n\turl = "{url}"\n')
    git(nested, "commit", "-q", "-am", "hostile")
    rig, finished = await built(tmp_path, str(nested), "main", submodules=True, git_local_roots=str(nested.parent))

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED), finished.reason
    assert not list((rig.src / "lib" / "inner").glob("*"))


async def test_a_submodule_that_contains_itself_ends_by_its_depth(tmp_path: Path, repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    (repository / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = again\n\turl = "{repository}"\n')
    git(repository, "add", ".gitmodules")
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{head},again")
    for _ in range(8):
        git(repository, "commit", "-q", "--allow-empty", "-m", "again")
        head = git(repository, "rev-parse", "HEAD")
        git(repository, "update-index", "--cacheinfo", f"160000,{head},again")
    git(repository, "commit", "-q", "-m", "last")
    roots = str(repository.parent)
    _, finished = await built(tmp_path, str(repository), "main", submodules=True, git_local_roots=roots)

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED), finished.reason
    assert "deep in each other" in finished.reason


async def test_submodules_share_the_budget_of_the_whole_source(tmp_path: Path, nested: Path) -> None:
    _, finished = await built(
        tmp_path,
        str(nested),
        "main",
        submodules=True,
        git_local_roots=str(nested.parent),
        unpack_max_entries=5,
    )

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.ARCHIVE_REFUSED), finished.reason
