"""Rules of the house that neither ruff nor import-linter can see; each failure names file and line."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests import servers

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: tuple[str, ...] = tuple(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])

LONGEST_FILE, LONGEST_FUNCTION = 400, 50

STARTS_PROCESSES = {
    "worker/process.py",
    "scaler/executors/process.py",
    "scaler/browser.py",  # the dashboard for browsers, by a command line of our own
    "tui/exporting.py",  # the pager that the user's own PAGER names
    "scaler/executors/ssh_remote.py",
    "buildyard/cli/local.py",
    "buildyard/cli/dashboard.py",  # becomes the dashboard: no child
    "buildyard/cli/paging.py",  # the pager that the user's own PAGER names
}
MAY_BE_POSIX_ONLY = re.compile(
    r"worker/process\.py|scaler/executors/process\.py|scaler/leading\.py|buildyard/broker/sqlite\w*\.py"
)
POSIX_ONLY = {"crypt", "fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
PROCESS_MODULES = {"subprocess", "pty", "multiprocessing"}
PROCESS_CALL = re.compile(
    r"create_subprocess_(exec|shell)|subprocess_(exec|shell)|ProcessPoolExecutor"
    r"|fork|forkpty|(exec|spawn)[lv]p?e?|posix_spawnp?|startfile"
)
SHELL_CALL = re.compile(r"create_subprocess_shell|subprocess_shell|getoutput|getstatusoutput")
OS_SHELL_CALLS = {"system", "popen"}  # of `os` alone: platform.system() starts nothing

SUSPICIOUS = """\
import subprocess
from os import execvp as go
import os as system
from asyncio import create_subprocess_exec
def f(loop):
    import fcntl
    system.popen("x")
    loop.subprocess_shell(None, "x")
    run("x", shell=True)
    platform.system()
"""


# ---------------------------------------------------------------- names
def test_no_dependency_installs_a_package_of_our_name() -> None:
    installed = packages_distributions()
    for name in (*PACKAGES, "bench", "tests"):
        assert set(installed.get(name, ())) <= {PROJECT["project"]["name"]}, name


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_comes_from_its_own_folder_and_not_from_its_tests(name: str) -> None:
    assert importlib.import_module(name).__file__ == str(ROOT / name / "__init__.py")


# ---------------------------------------------------------------- processes and platforms
def test_processes_are_started_in_reviewed_places_only() -> None:
    found = [where for file in _ours() if file not in STARTS_PROCESSES for where in _process_starts(file)]
    assert not found, found


def test_no_shell_is_started_anywhere() -> None:
    found = [where for file in _ours() for where in _shells(file)]
    assert not found, found


def test_posix_only_modules_stay_where_windows_never_comes() -> None:
    found = [
        f"{file}:{line} {module}"
        for file in _ours()
        if not MAY_BE_POSIX_ONLY.fullmatch(file)
        for line, module, _ in _imports(file)
        if module.partition(".")[0] in POSIX_ONLY
    ]
    assert not found, found


def test_the_checks_see_what_they_look_for(tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text(SUSPICIOUS, encoding="utf-8")
    file = str(source)
    lines = [int(where.removeprefix(f"{file}:").partition(" ")[0]) for where in _process_starts(file)]
    assert sorted(set(lines)) == [1, 2, 4, 7, 8]
    assert [where.rpartition(":")[2] for where in _shells(file)] == ["7 popen", "8 subprocess_shell", "9 shell=True"]
    assert (6, "fcntl", "") in _imports(file)


# ---------------------------------------------------------------- what an import costs
@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("worker.app", {"fastapi", "sqlalchemy", "starlette", "textual", "uvicorn"}),
        ("buildyard.cli.main", {"httpx", "obstore", "pydantic"}),
    ],
)
def test_importing_a_program_loads_nothing_it_can_do_without(module: str, unwanted: set[str]) -> None:
    code = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert not unwanted & set(json.loads(run.stdout))


# ---------------------------------------------------------------- sizes
def test_files_and_functions_stay_short_enough_to_be_read() -> None:
    long = [f"{file}: {lines} lines" for file in _ours() if (lines := _text(file).count("\n")) > LONGEST_FILE]
    for file in _ours():
        for node in ast.walk(_tree(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{file}:{node.lineno} {node.name}: {lines} lines")
    assert not long, long


# ---------------------------------------------------------------- addresses
def test_no_file_names_the_host_of_a_package_registry() -> None:
    hosts = _registry_hosts()
    assert hosts, "neither pip nor npm tells where it gets packages from"
    named = re.compile("|".join(rf"(?<![\w.-]){re.escape(host)}(?![\w-])" for host in sorted(hosts)), re.IGNORECASE)
    found = [
        f"{file}:{number}"
        for file in _files_in_git()
        for number, line in enumerate((ROOT / file).read_bytes().decode("utf-8", "replace").splitlines(), 1)
        if named.search(line)
    ]
    assert not found, found


def _registry_hosts() -> set[str]:
    """The hosts that this machine's own package clients use; no list of them stands in any file."""
    code = "import pip._internal.models.index as i; print(i.PyPI.netloc, i.PyPI.file_storage_domain)"
    questions = [
        [sys.executable, "-W", "ignore", "-c", code],
        [sys.executable, "-m", "pip", "config", "list"],
        ["npm", "config", "get", "registry"],
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"],
    ]
    words: list[str] = []
    for question in questions:
        if shutil.which(question[0]):
            run = subprocess.run(question, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
            words += run.stdout.split()
    addresses = re.findall(r"(?:https?://(?:[^/@\s]*@)?)([\w.-]+)", " ".join(words))
    bare = [word for word in words if re.fullmatch(r"[a-z0-9.-]+", word)]
    return {host for host in (*addresses, *bare) if re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]+", host)}


def _files_in_git() -> list[str]:
    """Every file that is tracked or would be with the next commit."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        servers.absent("this is no git clone")
    return [file for file in listing.stdout.split("\0") if file and (ROOT / file).is_file()]


# ---------------------------------------------------------------- reading code
@cache
def _ours() -> tuple[str, ...]:
    """Every Python file of our packages, as a path from the root."""
    return tuple(sorted(path.relative_to(ROOT).as_posix() for name in PACKAGES for path in (ROOT / name).rglob("*.py")))


@cache
def _text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse(_text(file), file)


def _imports(file: str) -> Iterator[tuple[int, str, str]]:
    """Each import, wherever it stands: line, module, and the name taken from it (or "")."""
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, node.module or "", alias.name) for alias in node.names)


def _uses(file: str) -> Iterator[tuple[int, str, str]]:
    """Each name that is imported or reached through a dot: line, what it is taken from, the name."""
    aliases = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    yield from ((line, module, name) for line, module, name in _imports(file) if name)
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Attribute):
            base = node.value.id if isinstance(node.value, ast.Name) else ""
            yield node.lineno, aliases.get(base, base), node.attr


def _process_starts(file: str) -> Iterator[str]:
    for line, module, name in _imports(file):
        if module.partition(".")[0] in PROCESS_MODULES or (module == "asyncio" and name == "subprocess"):
            yield f"{file}:{line} {module}"
    for line, module, name in _uses(file):
        if PROCESS_CALL.fullmatch(name) or (module == "os" and name in OS_SHELL_CALLS):
            yield f"{file}:{line} {name}"


def _shells(file: str) -> Iterator[str]:
    for line, module, name in _uses(file):
        if SHELL_CALL.fullmatch(name) or (module == "os" and name in OS_SHELL_CALLS):
            yield f"{file}:{line} {name}"
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.keyword) and node.arg == "shell" and not _is_false(node.value):
            yield f"{file}:{node.value.lineno} shell=True"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False
