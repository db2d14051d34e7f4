"""Runs what a toolchain plans, with plain child processes: the tables are right when real tools say so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from buildyard.contracts.builds import BuildProperties, StageName, TestSummary
from buildyard.project.configuration import BuildyardToml
from tests.servers import absent, need
from worker.globs import matches
from worker.sandbox import Workspace, build_environment
from worker.toolchains import choose, wanted
from worker.toolchains.contract import BuildContext, Choice, Command, FileTree
from worker.toolchains.printed import reader_of
from worker.toolchains.reports import ReportFile, summarise
from worker.toolchains.results import Results, command_as_test, merge

EXAMPLES = Path(__file__).parents[3] / "examples"
_STAGES = (StageName.RESTORE, StageName.BUILD, StageName.TEST, StageName.PACKAGE)
_NO_REGISTRY = ("Could not find a version", "NewConnectionError", "Temporary failure in name resolution")


def tree_of(src: Path) -> FileTree:
    files = {path.relative_to(src).as_posix(): path for path in src.rglob("*") if path.is_file()}
    texts = {name: path.read_text(encoding="utf-8-sig") for name, path in files.items() if wanted(name)}
    return FileTree(frozenset(files), texts)


@dataclass
class Ran:
    """What came of a build."""

    choice: Choice
    folder: Path
    output: dict[StageName, str] = field(default_factory=dict)
    problems: dict[StageName, list[str]] = field(default_factory=dict)
    skipped: dict[StageName, str] = field(default_factory=dict)
    failed: Command | None = None
    exit_code: int = 0
    tests: TestSummary | None = None
    results: Results | None = None
    artifacts: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def cache(self) -> Path:
        """What builds of one test module share, as those of one agent do: compilers, packages."""
        return self.folder.parent.parent / "cache"


def build(
    source: Path,
    folder: Path,
    properties: BuildProperties,
    tools: dict[str, str] | None = None,
    versions: dict[str, str] | None = None,
) -> Ran:
    """Copy a source below `folder` and take it through its stages until a command fails."""
    for name in ("out", "scratch", "home"):
        (folder / name).mkdir(parents=True)
    src = folder / "src"
    shutil.copytree(source, src)
    tree = tree_of(src)
    choice = choose(tree, BuildyardToml())
    context = BuildContext(
        properties=properties,
        tree=tree,
        detection=choice.detection,
        config=BuildyardToml(),
        tools={"python": base_python(), **(tools or {})},
        src=str(src),
        out=str(folder / "out"),
        scratch=str(folder / "scratch"),
        cores=2,
        tool_versions={**({"dotnet": _dotnet_version()} if tools and "dotnet" in tools else {}), **(versions or {})},
    )
    ran = Ran(choice, folder)
    started = time.monotonic()
    found = _stages(ran, context)
    ran.seconds = time.monotonic() - started
    ran.artifacts = _artifacts(ran, context)
    files = [
        ReportFile(report.kind, path, (folder / place / path).read_bytes())
        for report in choice.toolchain.test_reports(context)
        for place in ({"source": "src", "out": "out"}[report.place],)
        for path in _below(folder / place)
        if matches(report.pattern, path)
    ]
    reported, problems = summarise(files)
    assert not problems
    found += [reported] if reported else []
    ran.results = merge(found) if found else None
    ran.tests = ran.results.summary if ran.results else None
    return ran


def _stages(ran: Ran, context: BuildContext) -> list[Results]:
    found = []
    for stage in _STAGES:
        plan = ran.choice.toolchain.plan(stage, context)
        if plan.skip_reason:
            ran.skipped[stage] = plan.skip_reason
        for command in plan.commands:
            code, output = _run(ran, context, command)
            if command.prints:
                reader = reader_of(command.prints)
                for raw in output.encode().split(b"\n"):
                    if (shown := reader.shown(raw)) is not None:
                        reader.take(shown.decode())
                found.append(reader.results())
            if command.test_case and not (command.prints and found[-1].summary.total):
                found.append(command_as_test(command.test_case, passed=code == 0, message=output[-500:]))
            if code not in command.ok_exit_codes:
                ran.failed, ran.exit_code = command, code
                return found
    return found


def _run(ran: Ran, context: BuildContext, command: Command) -> tuple[int, str]:
    environment = build_environment(os.environ, Workspace(ran.folder), ran.cache)
    environment |= {"TMPDIR": tempfile.gettempdir(), **command.env}
    done = subprocess.run(
        command.argv,
        cwd=Path(context.src) / command.cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=900,
        check=False,
    )
    output = done.stdout.decode(errors="replace")
    if done.returncode and any(sign in output for sign in _NO_REGISTRY):
        absent(f"the package index cannot be reached: {output[-300:]}")
    ran.output[command.stage] = ran.output.get(command.stage, "") + output
    counted = (ran.choice.toolchain.count_problems(line) for line in output.splitlines())
    ran.problems.setdefault(command.stage, []).extend(kind for kind in counted if kind)
    return done.returncode, output


def _artifacts(ran: Ran, context: BuildContext) -> list[str]:
    places = {"source": Path(context.src), "out": Path(context.out)}
    return sorted(
        {
            path
            for glob in ran.choice.toolchain.artifacts(context)
            for path in _below(places[glob.place])
            if matches(glob.pattern, path)
        }
    )


def _below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def base_python() -> str:
    """The interpreter itself, not that of the environment the tests run in."""
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def _dotnet_version() -> str:
    return subprocess.run([need("dotnet"), "--version"], capture_output=True, text=True, check=True).stdout.strip()
