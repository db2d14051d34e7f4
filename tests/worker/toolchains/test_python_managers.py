"""uv and poetry, the real ones, install a project of an index exactly as its lock file says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from buildyard.contracts.builds import BuildProperties, StageName
from tests.worker.toolchains.running import EXAMPLES, Ran, base_python, build
from worker.pipeline import command_ending
from worker.process import EndedBy, ProcessEnd

pytestmark = pytest.mark.journey

BUILT_BY = '[build-system]\nrequires = ["poetry-core>=2,<3"]\nbuild-backend = "poetry.core.masonry.api"\n'
POETRY_TABLE = '\n[tool.poetry]\npackages = [{ include = "humanunits", from = "src" }]\n'
LOCKS = {"uv": "uv.lock", "poetry": "poetry.lock"}
IDNA = "3.6"
"""An old version, which only a lock brings."""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both programs, from the index; with the cache of the builds, one of which fetches its own."""
    place = tmp_path_factory.mktemp("lockers")
    subprocess.run([base_python(), "-m", "venv", place], check=True, timeout=300)
    env = {**os.environ, "PIP_CACHE_DIR": str(tmp_path_factory.getbasetemp() / "cache" / "pip")}
    wanted = ["uv>=0.9,<1", "poetry>=2.0,<3"]
    subprocess.run([place / "bin" / "pip", "install", "-q", "--no-compile", *wanted], env=env, check=True, timeout=600)
    return place / "bin"


@pytest.fixture(scope="module")
def sources(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The example with a dependency, locked by each program; made here, since a lock of uv names its index."""
    patience = {"FINDPYTHON_GET_VERSION_TIMEOUT": "300"}  # seconds that poetry gives an interpreter; by itself 5
    env = {**os.environ, **patience, "HOME": str(tmp_path_factory.mktemp("home")), "UV_PYTHON": base_python()}

    def run(*argv: str, cwd: Path) -> None:
        done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    places = {name: tmp_path_factory.mktemp(name) / "source" for name in LOCKS}
    for place in places.values():
        shutil.copytree(EXAMPLES / "python-project", place, ignore=shutil.ignore_patterns("*.egg-info", "dist"))
        file = place / "pyproject.toml"
        text = re.sub(r"(?s)^\[build-system\].*?\n\n", BUILT_BY + "\n", file.read_text(encoding="utf-8"))
        text = text.replace('requires-python = ">=3.9"', 'requires-python = ">=3.11"\ndependencies = ["idna>=3"]')
        file.write_text(text + POETRY_TABLE, encoding="utf-8")
    run(str(programs / "uv"), "lock", "--no-progress", "--upgrade-package", f"idna=={IDNA}", cwd=places["uv"])
    index = re.search(r'registry = "([^"]+)"', (places["uv"] / "uv.lock").read_text(encoding="utf-8"))
    assert index is not None
    table = f'\n[[tool.poetry.source]]\nname = "index"\nurl = "{index[1]}"\npriority = "primary"\n'
    with (places["poetry"] / "pyproject.toml").open("a", encoding="utf-8") as more:
        more.write(table)
    run(str(programs / "poetry"), "lock", "--no-interaction", cwd=places["poetry"])
    return places


def _on_the_agent(manager: str, programs: Path) -> tuple[dict[str, str], dict[str, str]]:
    """A program as an agent has it: its path and its version."""
    said = subprocess.run([programs / manager, "--version"], capture_output=True, text=True, timeout=300, check=True)
    found = re.search(r"\d+\.\d+\.\d+", said.stdout)
    assert found is not None
    return {manager: str(programs / manager)}, {manager: found[0]}


def _installed(ran: Ran) -> set[str]:
    packages = ran.folder.glob("scratch/venv/lib/python3.*/site-packages/*.dist-info")
    return {path.name.removesuffix(".dist-info").lower() for path in packages}


def _locked(lock: Path) -> set[str]:
    found = re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', lock.read_text(encoding="utf-8"))
    return {f"{name}-{version}" for name, version in found}


@pytest.mark.parametrize("manager", LOCKS)
def test_a_locked_project_is_installed_tested_and_packed_by_its_own_program(
    manager: str, programs: Path, sources: dict[str, Path], tmp_path: Path
) -> None:
    agents_own, versions = _on_the_agent(manager, programs) if manager == "poetry" else ({}, {})

    ran = build(sources[manager], tmp_path / "work", BuildProperties(), agents_own, versions)

    assert ran.failed is None, ran.output
    assert (tmp_path / "work" / "scratch" / "tools" / "bin" / manager).exists() is not bool(agents_own)
    assert ran.choice.why == f"python, because pyproject.toml is at the top with {LOCKS[manager]}."
    assert ran.artifacts == ["dist/humanunits-0.3.0-py3-none-any.whl", "dist/humanunits-0.3.0.tar.gz"]
    assert ran.tests is not None
    assert (ran.tests.passed, ran.tests.failed) == (39, 0)
    assert not any(ran.problems.values()), ran.output
    installed, locked = _installed(ran), _locked(sources[manager] / LOCKS[manager])
    assert {one for one in installed if one.startswith(("idna-", "pytest-"))} == {
        one for one in locked if one.startswith(("idna-", "pytest-"))
    }
    assert manager == "poetry" or f"idna-{IDNA}" in installed


@pytest.mark.parametrize("manager", LOCKS)
def test_a_lock_that_does_not_fit_fails_the_restore_with_a_sentence(
    manager: str, programs: Path, sources: dict[str, Path], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(sources[manager], source)
    file = source / "pyproject.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("idna>=3", "idna>=3.7"), encoding="utf-8")

    ran = build(source, tmp_path / "work", BuildProperties(), *_on_the_agent(manager, programs))

    assert ran.failed is not None, ran.output
    tail = tuple(ran.output[StageName.RESTORE].splitlines()[-20:])
    ending = command_ending(ran.failed, ProcessEnd(EndedBy.EXITED, ran.exit_code, "", tail))
    assert ending is not None
    assert f": {LOCKS[manager]} does not fit pyproject.toml; run `{manager} lock` and commit" in ending.reason
    assert ran.failed.argv[0] == str(programs / manager)
