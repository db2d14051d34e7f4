"""What the guides tell people to type is typed here, as it stands there, against a farm of real processes."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.journey.yard import PATIENCE, Yard, open_yard

pytestmark = pytest.mark.journey
GUIDES = Path(__file__).parents[2] / "docs" / "guides"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
GOOD = {"Makefile": "all:\n\techo made > out.txt\n", "buildyard.toml": '[artifacts]\npaths = ["out.txt"]\n'}
BAD = {"Makefile": 'all:\n\techo "main.c:7: error: no" >&2; exit 3\n'}


def _blocks(guide: str, language: str) -> list[str]:
    text = (GUIDES / guide).read_text(encoding="utf-8")
    return [body for found, body in _BLOCK.findall(text) if found == language]


def _environment(yard: Yard, home: Path) -> dict[str, str]:
    """What a user's shell has: the command on its PATH, and where the farm is."""
    bin_folder = home / "bin"
    bin_folder.mkdir(parents=True, exist_ok=True)
    command = bin_folder / "buildyard"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m buildyard.cli "$@"\n')
    command.chmod(0o755)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_")},
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(GUIDES.parents[1]),
        "BUILDYARD_API_URL": yard.farm.api_url,
        "BUILDYARD_SCALER_URL": yard.farm.scaler_url,
        "BUILDYARD_DATA_DIR": str(yard.folder / "data"),
        "HOME": str(home),
    }


async def _sh(script: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a script as CI systems do, ending at the first command that fails; its exit code and all it printed."""
    process = await asyncio.create_subprocess_exec(
        shutil.which("bash") or "bash",
        "-eu",
        "-o",
        "pipefail",
        "-c",
        script,
        cwd=folder,
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE * 3):
        printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


def _project(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


async def test_five_minutes_lead_to_a_build_of_ones_own(tmp_path: Path) -> None:
    async with open_yard(tmp_path, {}) as yard:
        script = "\n".join(_blocks("five-minutes.md", "sh"))
        code, printed = await _sh(script, tmp_path, _environment(yard, tmp_path / "home"))
        assert code == 0, printed
        assert "Hello from the farm" in printed
        assert "First errors:\n  main.c:7: error: expected a semicolon" in printed
        assert "exit code 1" in printed


async def test_the_ci_guide_works_as_it_stands(tmp_path: Path) -> None:
    github, gitlab = (yaml.safe_load(text) for text in _blocks("ci.md", "yaml"))
    async with open_yard(tmp_path, {}) as yard:
        environment = _environment(yard, tmp_path / "home")
        async with asyncio.TaskGroup() as group:
            group.create_task(_github(github["jobs"]["build"]["steps"], tmp_path / "github", environment))
            group.create_task(_gitlab(gitlab["build"]["script"], tmp_path / "gitlab", environment))
            group.create_task(_plain(_blocks("ci.md", "sh"), tmp_path / "plain", environment))


async def _github(steps: list[dict[str, Any]], place: Path, environment: Mapping[str, str]) -> None:
    """A project that builds, one that does not, and a run that is cancelled."""
    good = _project(place / "good", GOOD)
    assert await _steps(steps, good, environment, "1") == ["Submit", "Watch", "Fetch what it made"]
    assert (good / "artifacts" / "out.txt").read_text() == "made\n"
    bad = _project(place / "bad", BAD)
    assert await _steps(steps, bad, environment, "2") == ["Submit", "Watch", "Say why"]
    wanted = [step for step in steps if step.get("name") in {"Submit", "Cancel it, too"}]
    slow = _project(place / "slow", {"Makefile": "all:\n\tsleep 60\n"})
    cancelled = [{name: value for name, value in step.items() if name != "if"} for step in wanted]
    assert await _steps(cancelled, slow, environment, "3") == ["Submit", "Cancel it, too"]


async def _steps(steps: list[dict[str, Any]], folder: Path, environment: Mapping[str, str], run: str) -> list[str]:
    """Run the steps that GitHub would run; the names of those that were."""
    told = folder.parent / f"env{run}"
    told.write_text("")
    given = {**environment, "GITHUB_REPOSITORY": "someone/hello", "GITHUB_RUN_ID": run, "GITHUB_RUN_ATTEMPT": "1"}
    given["GITHUB_ENV"] = str(told)
    done, failed = [], False
    for step in steps:
        if "run" not in step or (step.get("if") == "failure()") is not failed or step.get("if") == "cancelled()":
            continue
        code, printed = await _sh(step["run"], folder, given)
        assert code == 0 or step["name"] == "Watch", printed
        failed = failed or code != 0
        done.append(step["name"])
        given |= dict(line.split("=", 1) for line in told.read_text().splitlines())
    return done


async def _gitlab(script: list[str], place: Path, environment: Mapping[str, str]) -> None:
    for number, (files, wanted) in enumerate([(GOOD, 0), (BAD, 1)]):
        folder = _project(place / str(number), files)
        given = {**environment, "CI_PROJECT_NAME": "hello", "CI_JOB_ID": str(number)}
        code, printed = await _sh("\n".join(script), folder, given)
        assert code == wanted, printed
    assert (place / "0" / "artifacts" / "out.txt").read_text() == "made\n"
    assert "main.c:7: error: no" in printed


async def _plain(scripts: list[str], place: Path, environment: Mapping[str, str]) -> None:
    for number, script in enumerate(scripts):
        folder = _project(place / str(number) / "work", GOOD)
        code, printed = await _sh(script, folder, environment)
        assert code == 0, printed
    assert (place / "1" / "artifacts.zip").stat().st_size > 0


def test_what_is_not_run_is_only_what_starts_a_farm() -> None:
    shown = [block for guide in ("five-minutes.md", "ci.md") for block in _blocks(guide, "console")]
    assert [block.split()[0] for block in shown] == ["./manage.sh", "export"]
