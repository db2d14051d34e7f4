"""pnpm and yarn, the real ones, take a Node project with one dependency from its registry through all stages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from buildyard.contracts.builds import BuildProperties, StageName
from tests.servers import need
from tests.worker.toolchains.running import EXAMPLES, build

pytestmark = pytest.mark.journey

MANAGERS = {"pnpm": "9.15.9", "yarn": "1.22.22"}
LOCKING = {"pnpm": ("install", "--lockfile-only"), "yarn": ("install", "--non-interactive", "--no-progress")}
_NOT_TAKEN = shutil.ignore_patterns("package-lock.json", "node_modules", "dist")
LOCKS = {"pnpm": "pnpm-lock.yaml", "yarn": "yarn.lock"}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both programs, fetched from npm's registry."""
    place = tmp_path_factory.mktemp("managers")
    wanted = [f"{name}@{version}" for name, version in MANAGERS.items()]
    npm = [need("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(place), *wanted]
    subprocess.run(npm, check=True, capture_output=True, timeout=300)
    return place / "node_modules" / ".bin"


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_project_with_the_lock_file_of_another_manager_is_built_by_that_one(
    manager: str, programs: Path, tmp_path: Path
) -> None:
    source, program = tmp_path / "source", str(programs / manager)
    shutil.copytree(EXAMPLES / "node-project", source, ignore=_NOT_TAKEN)
    home = {**os.environ, "HOME": str(tmp_path / "home")}
    subprocess.run([program, *LOCKING[manager]], cwd=source, env=home, check=True, capture_output=True, timeout=300)
    shutil.rmtree(source / "node_modules", ignore_errors=True)

    ran = build(source, tmp_path / "work", BuildProperties(), {"node": need("node"), manager: program})

    assert ran.failed is None, ran.output
    assert ran.choice.why == f"node, because package.json is at the top with {LOCKS[manager]}."
    assert ran.choice.detection.needs == ("node", manager)
    assert set(ran.output) == {StageName.RESTORE, StageName.BUILD, StageName.TEST, StageName.PACKAGE}
    assert ran.tests is not None
    assert (ran.tests.passed, ran.tests.failed) == (10, 0)
    assert [path for path in ran.artifacts if path.endswith(".tgz")], ran.artifacts


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_lock_file_that_does_not_fit_the_project_fails_the_restore(
    manager: str, programs: Path, tmp_path: Path
) -> None:
    source, program = tmp_path / "source", str(programs / manager)
    shutil.copytree(EXAMPLES / "node-project", source, ignore=_NOT_TAKEN)
    stale = "lockfileVersion: '9.0'\nimporters:\n  .: {}\n" if manager == "pnpm" else "# yarn lockfile v1\n"
    (source / LOCKS[manager]).write_text(stale, encoding="utf-8")

    ran = build(source, tmp_path / "work", BuildProperties(), {"node": need("node"), manager: program})

    assert ran.failed is not None
    assert ran.failed.stage is StageName.RESTORE
