"""What the guides tell people to type is typed here, as it stands there, against one farm of real processes.

A block of `sh` is typed; each line of a block of `text` must be among what the guide's commands printed, `…` standing
for anything. What a guide needs beside Python, it says in a comment: `<!-- needs: make cc -->`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from buildyard.pools_file import load_pools
from buildyard.project.reading import read_buildyard_toml
from buildyard.settings import load_settings
from tests.journey.yard import PATIENCE, Yard, open_yard
from tests.servers import need

pytestmark = pytest.mark.journey
ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs" / "guides"
PAGES = sorted(path.relative_to(GUIDES).as_posix() for path in GUIDES.rglob("*.md"))
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NEEDS = re.compile(r"^<!-- needs: (.*) -->$", re.MULTILINE)
_PORT = "9000"
_AT_ONCE = 3
GOOD = {"Makefile": "all:\n\techo made > out.txt\n", "buildyard.toml": '[artifacts]\npaths = ["out.txt"]\n'}
BAD = {"Makefile": 'all:\n\techo "main.c:7: error: no" >&2; exit 3\n'}
on_one_farm = pytest.mark.asyncio(loop_scope="module")


def _blocks(guide: str, language: str) -> list[str]:
    text = (GUIDES / guide).read_text(encoding="utf-8")
    return [body for found, body in _BLOCK.findall(text) if found == language]


def _needs(guide: str) -> list[str]:
    found = _NEEDS.search((GUIDES / guide).read_text(encoding="utf-8"))
    return found[1].split() if found else []


TYPED = [guide for guide in PAGES if guide != "ci.md" and _blocks(guide, "sh")]


class Terminal:
    """A shell beside one farm: guides are typed into it, some at the same time, each in a folder of its own."""

    def __init__(self, yard: Yard, place: Path, port: int) -> None:
        self.place = place
        self._environment = _environment(yard, place / "home")
        self._port = str(port)
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self.typed: dict[str, asyncio.Task[tuple[int, str]]] = {}

    @property
    def environment(self) -> dict[str, str]:
        return dict(self._environment)

    def begin(self, guide: str) -> None:
        """Type a guide's commands, in a folder that has the examples as a clone has them."""
        self.typed[guide] = asyncio.create_task(self._type(guide))

    async def _type(self, guide: str) -> tuple[int, str]:
        folder = self.place / guide.removesuffix(".md").replace("/", "-")
        leavings = shutil.ignore_patterns("node_modules", "bin", "obj", "target", "dist", "__pycache__")
        await asyncio.to_thread(shutil.copytree, ROOT / "examples", folder / "examples", ignore=leavings)
        script = re.sub(rf"\b{_PORT}\b", self._port, "\n".join(_blocks(guide, "sh")))
        async with self._at_once:
            return await _sh(script, folder, self._environment)


@asynccontextmanager
async def _open_terminal(place: Path) -> AsyncIterator[Terminal]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    settings = {"BUILDYARD_CALL_HOSTS": f"127.0.0.1:{port}"}
    async with open_yard(place, settings, f"max_workers = {_AT_ONCE}") as yard:
        terminal = Terminal(yard, place, port)
        try:
            yield terminal
        finally:
            for task in terminal.typed.values():
                task.cancel()
            await asyncio.gather(*terminal.typed.values(), return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def terminal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Terminal]:
    """One farm for all guides; those that this run asks for begin at once, since most of their time is waiting."""
    asked = [guide for item in request.session.items if (guide := _guide_of(item))]
    async with _open_terminal(tmp_path_factory.mktemp("guides")) as opened:
        for guide in asked:
            if all(shutil.which(tool) for tool in _needs(guide)):
                opened.begin(guide)
        yield opened


def _guide_of(item: pytest.Item) -> str:
    """The guide that a test types; "" for the other tests."""
    if getattr(item, "originalname", "") != test_each_command_of_a_guide_works_as_it_stands.__name__:
        return ""
    given = getattr(item, "callspec", None)
    return str(given.params["guide"]) if given else ""


def _environment(yard: Yard, home: Path) -> dict[str, str]:
    """What a user's shell has: the command on its PATH, and where the farm is."""
    bin_folder = home / "bin"
    bin_folder.mkdir(parents=True, exist_ok=True)
    for name, words in {"buildyard": " -P -m buildyard.cli", "python": ""}.items():
        command = bin_folder / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
        command.chmod(0o755)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_")},
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
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
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(PATIENCE * 4):
            printed, _ = await process.communicate()
    except TimeoutError:
        pytest.fail(f"It hangs: {script}")
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 9)
            await process.wait()
    return process.returncode or 0, printed.decode()


def _project(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


# ---------------------------------------------------------------- guides


@pytest.mark.parametrize("guide", TYPED)
@on_one_farm
async def test_each_command_of_a_guide_works_as_it_stands(guide: str, terminal: Terminal) -> None:
    for tool in _needs(guide):
        need(tool)
    code, printed = await terminal.typed[guide]
    assert code == 0, printed
    missing = [line for block in _blocks(guide, "text") for line in block.splitlines() if not _is_in(line, printed)]
    assert missing == [], printed


def _is_in(line: str, printed: str) -> bool:
    """Whether what a guide shows was printed; `…` stands for anything, and white space for white space."""
    parts = (r"\s+".join(re.escape(word) for word in re.split(r"\s+", part)) for part in line.split("…"))
    return re.search(".*".join(parts), printed) is not None


def test_a_line_that_was_not_printed_is_noticed() -> None:
    assert _is_in('{"id":"…",…}', 'so: {"id":"17","more":1}')
    assert _is_in("Tests: 39,  39 passed", "Tests: 39, 39 passed, 0 failed")
    assert not _is_in("Tests: 39, 39 passed", "Tests: 39, 38 passed")
    assert not _is_in("a…b", "a\nb")


@on_one_farm
async def test_the_ci_guide_works_as_it_stands(terminal: Terminal) -> None:
    github, gitlab = (yaml.safe_load(text) for text in _blocks("ci.md", "yaml"))
    place = terminal.place / "ci"
    async with asyncio.TaskGroup() as group:
        group.create_task(_github(github["jobs"]["build"]["steps"], place / "github", terminal.environment))
        group.create_task(_gitlab(gitlab["build"]["script"], place / "gitlab", terminal.environment))
        group.create_task(_plain(_blocks("ci.md", "sh"), place / "plain", terminal.environment))


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


# ---------------------------------------------------------------- what is shown and not typed


def test_what_is_not_run_is_only_what_starts_a_farm() -> None:
    shown = {line.split()[0] for guide in PAGES for block in _blocks(guide, "console") for line in block.splitlines()}
    assert shown == {"./manage.sh", "export"}


def test_every_block_of_a_guide_is_of_a_kind_that_is_checked() -> None:
    kinds = {kind for guide in PAGES for kind, _ in _BLOCK.findall((GUIDES / guide).read_text(encoding="utf-8"))}
    assert kinds == {"sh", "console", "text", "toml", "yaml"}


@pytest.mark.parametrize(("guide", "text"), [(guide, text) for guide in PAGES for text in _blocks(guide, "toml")])
def test_every_toml_that_a_guide_shows_is_understood(guide: str, text: str, tmp_path: Path) -> None:
    if "[pools." in text:
        (tmp_path / "pools.toml").write_text(text)
        assert load_pools(load_settings(pools_file=tmp_path / "pools.toml")), guide
    else:
        read_buildyard_toml(text)
