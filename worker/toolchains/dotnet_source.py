"""Which solution or projects of a source a .NET build is about, and what each project is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from buildyard.dotnet.graph import SolutionGraph, build_graph
from buildyard.dotnet.paths import resolve
from buildyard.dotnet.project import PROJECT_SUFFIXES, ProjectFacts, read_project
from buildyard.dotnet.solution import SOLUTION_SUFFIXES, Solution, SolutionProject, read_filter, read_solution
from buildyard.errors import InvalidRequest
from worker.toolchains.contract import FileTree
from worker.toolchains.places import base_name, folder, nearest, own_files

_SHARED_FILES = ("Directory.Build.props", "Directory.Build.targets")
_TEST_SDK = "Microsoft.NET.Test.Sdk"
_TEST_PROJECT_SDK = "MSTest.Sdk"
_TEST_WORDS = frozenset({"test", "tests", "tester", "unittests", "spec", "specs"})
_TRX_REPORT = "Microsoft.Testing.Extensions.TrxReport"


def is_wanted(path: str) -> bool:
    """Whether a file's text takes part in the decisions below."""
    name = base_name(path)
    return name.endswith((*SOLUTION_SUFFIXES, *PROJECT_SUFFIXES)) or name in {*_SHARED_FILES, "global.json"}


def find_solutions(tree: FileTree) -> tuple[str, ...]:
    """The solutions nearest to the top; before others those that every SDK reads, then by name."""
    found = nearest(tree, lambda name: name.endswith(SOLUTION_SUFFIXES))
    return tuple(path for suffix in SOLUTION_SUFFIXES for path in found if path.endswith(suffix))


def find_projects(tree: FileTree) -> tuple[str, ...]:
    """The project files nearest to the top."""
    return nearest(tree, lambda name: name.endswith(PROJECT_SUFFIXES))


@dataclass(frozen=True)
class Project:
    """One project with what its shared files (`Directory.Build.*`) add; own words win."""

    path: str
    facts: ProjectFacts
    shared: tuple[ProjectFacts, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return base_name(self.path).rpartition(".")[0]

    @property
    def frameworks(self) -> tuple[str, ...]:
        """The frameworks where there are several; empty for one, or where the text does not tell."""
        named = next((facts.target_frameworks for facts in self._all if facts.target_frameworks), ())
        return named if len(named) > 1 else ()

    @property
    def uses_test_sdk(self) -> bool:
        """Whether `dotnet test` runs it."""
        by_sdk = any(sdk.partition("/")[0] == _TEST_PROJECT_SDK for sdk in self.facts.sdks)
        return by_sdk or self._flag("IsTestProject") is True or self._refers_to(_TEST_SDK)

    @property
    def is_console_test(self) -> bool:
        """Whether its exit code is the verdict: a program named like a test that `dotnet test` does not know."""
        return self.is_program and not self.uses_test_sdk and self.name.lower().endswith(("test", "tests"))

    @property
    def may_be_test(self) -> bool:
        """Whether `dotnet test` may know more of it than the text tells: it lies where tests lie."""
        words = set(re.split(r"[/._-]", self.path.lower()))
        return self.uses_test_sdk or bool(words & _TEST_WORDS) or self.name.lower().endswith(("test", "tests"))

    @property
    def writes_trx_itself(self) -> bool:
        """Whether its own test platform knows `--report-trx`."""
        return self._refers_to(_TRX_REPORT)

    @property
    def is_test(self) -> bool:
        """Whether it tests others, one way or the other."""
        return self.uses_test_sdk or self.is_console_test

    @property
    def is_program(self) -> bool:
        """Whether it makes an executable."""
        return any(facts.is_program for facts in self._all)

    @property
    def may_be_published(self) -> bool:
        """Whether publishing it makes sense: it is no test, and does not say no."""
        return not self.is_test and self._flag("IsPublishable") is not False

    @property
    def is_packed(self) -> bool:
        """Whether it may become a package; `dotnet pack` itself has the last word."""
        return not self.is_test and self._flag("IsPackable") is not False

    @property
    def _all(self) -> tuple[ProjectFacts, ...]:
        return (self.facts, *self.shared)

    def _flag(self, name: str) -> bool | None:
        return next((flag for facts in self._all if (flag := facts.flag(name)) is not None), None)

    def _refers_to(self, package: str) -> bool:
        return any(facts.refers_to_package(package) for facts in self._all)


class DotnetSource:
    """A source, seen as one .NET build: `target` is the solution or project to build, "" for all projects."""

    def __init__(self, tree: FileTree, solution_path: str | None) -> None:
        self._tree = tree
        self.target = _target(tree, solution_path)

    @cached_property
    def solution(self) -> Solution:
        """The solution; one made of the project itself, or of all projects, where there is none or it is too long."""
        if self.target.endswith(PROJECT_SUFFIXES):
            return _made_of(self.target, [self.target])
        text = self._tree.text(self.target)
        if not text:
            return _made_of(self.target, (path for path in own_files(self._tree) if path.endswith(PROJECT_SUFFIXES)))
        if not self.target.endswith(".slnf"):
            return read_solution(self.target, text)
        narrowed = read_filter(self.target, text)
        if not self._tree.has(narrowed.solution):
            raise InvalidRequest(f"{self.target} narrows {narrowed.solution}, which is not in the source.")
        return narrowed.apply(read_solution(narrowed.solution, self._tree.text(narrowed.solution)))

    @cached_property
    def projects(self) -> tuple[Project, ...]:
        """The solution's projects that are there and can be read, in its order."""
        return tuple(
            Project(entry.path, self._facts[entry.path], self._shared(entry.path))
            for entry in self.solution.projects
            if entry.path in self._facts
        )

    @cached_property
    def graph(self) -> SolutionGraph:
        """Who needs whom."""
        return build_graph(self.solution, self._facts)

    def built_in(self, configuration: str, platform: str) -> tuple[Project, ...]:
        """The projects that the solution builds in a configuration."""
        chosen = {entry.path for entry in self.solution.projects if entry.builds_in(configuration, platform)}
        return tuple(project for project in self.projects if project.path in chosen)

    @property
    def own_test_platform(self) -> bool:
        """Whether global.json switches `dotnet test` to Microsoft.Testing.Platform."""
        start = folder(self.target) if self.target else "."
        path = next((path for path in _upwards(start, "global.json") if self._tree.has(path)), "")
        try:
            runner = json.loads(self._tree.text(path) or "{}")["test"]["runner"]
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            return False
        return bool(runner == "Microsoft.Testing.Platform")

    @property
    def has_lock_files(self) -> bool:
        """Whether the versions of packages are locked."""
        return any(base_name(path) == "packages.lock.json" for path in own_files(self._tree))

    @cached_property
    def _facts(self) -> dict[str, ProjectFacts]:
        """What the solution reaches, and no more: sources hold projects that are broken on purpose."""
        facts: dict[str, ProjectFacts] = {}
        waiting = [entry.path for entry in self.solution.projects]
        while waiting:
            path = waiting.pop()
            found = None if path in facts else self._read(path)
            if found is not None:
                facts[path] = found
                waiting += [reference.path for reference in found.references if reference.path]
        return facts

    def _read(self, path: str) -> ProjectFacts | None:
        """None where nothing can be read; `dotnet` then says what is wrong with it."""
        text = self._tree.text(path)
        try:
            return read_project(path, text) if text else None
        except InvalidRequest:
            return None

    def _shared(self, path: str) -> tuple[ProjectFacts, ...]:
        places = (
            next((found for found in _upwards(folder(path), name) if self._tree.has(found)), "")
            for name in _SHARED_FILES
        )
        return tuple(facts for found in places if (facts := self._read(found)) is not None)


def _made_of(path: str, projects: Iterable[str]) -> Solution:
    return Solution(path, tuple(SolutionProject(project, base_name(project)) for project in projects))


def _target(tree: FileTree, solution_path: str | None) -> str:
    if solution_path is None:
        return next(iter((*find_solutions(tree), *_only(find_projects(tree)))), "")
    try:
        path = resolve("", solution_path)
    except InvalidRequest as error:
        raise InvalidRequest(f"solutionPath: {error}", field="solutionPath") from None
    if not tree.has(path) or not path.endswith((*SOLUTION_SUFFIXES, *PROJECT_SUFFIXES)):
        there = ", ".join((*find_solutions(tree), *find_projects(tree))[:5])
        raise InvalidRequest(
            f"solutionPath: {path[:200]} is no solution or project of this source.",
            remedy=f"There is {there}." if there else "",
            field="solutionPath",
        )
    return path


def _only(found: tuple[str, ...]) -> tuple[str, ...]:
    return found if len(found) == 1 else ()


def _upwards(start: str, name: str) -> Iterable[str]:
    parts = [] if start == "." else start.split("/")
    return ("/".join([*parts[:length], name]) for length in range(len(parts), -1, -1))
