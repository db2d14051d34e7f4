"""What a toolchain is: pure knowledge of one kind of project, asked by the worker, which does everything itself.

A toolchain never touches a disk or starts a process. It says which small files it must read (`wanted`), whether a
tree is its kind (`detect`), which commands a stage runs (`plan`), and where results will lie (`artifacts`,
`test_reports`). Stage overrides of `buildyard.toml` are applied by `worker.pipeline`, not by the toolchains.

`worker.toolchains.choose(tree, config, asked)` picks one, `worker.toolchains.reports` reads test reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from buildyard.contracts.builds import BuildProperties, StageName
from buildyard.project.configuration import BuildyardToml
from worker.globs import matches
from worker.toolchains.compilers import Family

MAX_TREE_FILES = 50_000
"""A tree lists at most so many files; larger trees are cut and say so."""
MAX_TEXT_BYTES = 256 * 1024
"""Files above this size are never handed to a toolchain as text."""

TOOL_NAMES = (
    "python",
    "make",
    "cmake",
    "cc",
    "cxx",
    "dotnet",
    "git",
    "node",
    "npm",
    "pnpm",
    "yarn",
    "go",
    "cargo",
    "rustc",
    "java",
    "mvn",
    "gradle",
    "uv",
    "poetry",
)
"""The tools an agent looks for; `worker.capabilities` knows which programs they are."""

OutputKind = Literal["libtest", "go", "tap"]
"""The forms of test results that a tool only prints; `worker.toolchains.printed` reads them."""

Place = Literal["source", "out"]
"""Below which folder of the workspace a pattern is looked up: the sources, or `BuildContext.out`."""


@dataclass(frozen=True)
class FileTree:
    """The regular files of a checkout as relative POSIX paths, with the texts that toolchains asked for."""

    files: frozenset[str]
    texts: Mapping[str, str] = field(default_factory=dict)
    truncated: bool = False

    def has(self, path: str) -> bool:
        """Whether this very file is there."""
        return path in self.files

    def text(self, path: str) -> str:
        """The text of a wanted file; empty when it is missing, too large or not UTF-8."""
        return self.texts.get(path, "")

    def matching(self, pattern: str) -> Iterator[str]:
        """The paths that fit a pattern of `worker.globs`, in order of name."""
        return (path for path in sorted(self.files) if matches(pattern, path))


@dataclass(frozen=True)
class Command:
    """One child process.

    `argv[0]` is an absolute path (from `BuildContext.tools`, or a file the build makes) or a name looked up on PATH.
    `cwd` is relative to the sources. `env` is added to the sandbox's environment. Codes in `ok_exit_codes` are a
    success, those in `tests_fail_on` mean "the tests ran and some failed", every other code is a failed command.
    A non-empty `test_case` makes the command itself one test of that name: exit code 0 is a pass, any other a failed
    test; it is counted beside what the reports tell. So are the results in the output of a command with `prints`;
    where both are set, the command is a test only if neither its output nor a report told of one. `explains` maps
    words that one of its last lines may hold to what such a failure means and what to do, a clause for people.
    """

    argv: tuple[str, ...]
    stage: StageName
    title: str
    cwd: str = "."
    env: Mapping[str, str] = field(default_factory=dict)
    ok_exit_codes: tuple[int, ...] = (0,)
    tests_fail_on: tuple[int, ...] = ()
    test_case: str = ""
    prints: OutputKind | None = None
    explains: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StagePlan:
    """What one stage runs, in order; a non-empty `skip_reason` skips it and is shown."""

    stage: StageName
    commands: tuple[Command, ...] = ()
    skip_reason: str = ""
    tasks: tuple[str, ...] = ()
    """The tasks of `buildyard.toml` that its first commands work off."""


@dataclass(frozen=True)
class Detection:
    """A tree is of this kind. The highest score wins; `why` is a clause for people: "pyproject.toml is at the top".

    `root` is the subfolder the project lies in ("." for the top), `needs` the tools this very tree cannot do without.
    """

    toolchain: str
    score: int
    why: str
    root: str = "."
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuildContext:
    """All that a plan may depend on. `src`, `out` and `scratch` are absolute paths of existing folders.

    `out` takes what a stage makes for people (packages, publish output, test reports), `scratch` what nobody keeps
    (virtual environments, object files). Both are outside the sources.
    """

    properties: BuildProperties
    tree: FileTree
    detection: Detection
    config: BuildyardToml
    tools: Mapping[str, str]
    """Tool name -> absolute path, for every tool of `TOOL_NAMES` this agent has."""
    src: str
    out: str
    scratch: str
    cores: int = 1
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    """Tool name -> version, as in this agent's capabilities; some command lines depend on it."""


@dataclass(frozen=True)
class ArtifactGlob:
    """Files to hand back. The part of a path below `strip` (a folder, "" for none) is the artifact's path."""

    pattern: str
    place: Place = "source"
    strip: str = ""


ReportKind = Literal["junit", "trx"]


@dataclass(frozen=True)
class ReportGlob:
    """Where a test run leaves its reports."""

    kind: ReportKind
    pattern: str
    place: Place = "out"


class Toolchain(Protocol):
    """One kind of project."""

    @property
    def name(self) -> str:
        """A lower-case word: `python`, `make`, `dotnet`, `batch`."""

    @property
    def tools(self) -> tuple[str, ...]:
        """Every tool it may use."""

    @property
    def compilers(self) -> tuple[Family, ...]:
        """Whose warnings and errors its output may hold, the likeliest first."""

    def wanted(self, path: str) -> bool:
        """Whether this file's text decides anything."""

    def detect(self, tree: FileTree) -> Detection | None:
        """Whether the tree is of this kind."""

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """The commands of restore, build, test or package."""

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """What a finished build hands back, besides `dist/`, `out/` and `artifacts/`."""

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """Where the test stage leaves reports."""

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """Whether a line of output, colours removed, is one warning or one error."""


@dataclass(frozen=True)
class Choice:
    """The toolchain that was chosen; `why` is a full sentence that also names the others that would have fitted."""

    toolchain: Toolchain
    detection: Detection
    why: str
