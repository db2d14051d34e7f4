"""Solutions and projects of .NET: restore, build, test, pack and publish with the SDK that the agent has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from buildyard.contracts.builds import StageName
from buildyard.dotnet.project import PROJECT_SUFFIXES
from worker.toolchains.compilers import Family
from worker.toolchains.contract import ArtifactGlob, BuildContext, Command, Detection, FileTree, ReportGlob, StagePlan
from worker.toolchains.dotnet_source import DotnetSource, Project, find_projects, find_solutions, is_wanted
from worker.toolchains.places import DEPTH_PENALTY, base_name, depth, folder, place

_SOLUTION_SCORE = 90
_PROJECT_SCORE = 75
_PROBLEM = re.compile(r"(?:.*?: |\s*)(warning|error) [A-Z]{1,12}[0-9]{1,6} ?: ")
_ENVIRONMENT = {
    "DOTNET_ADD_GLOBAL_TOOLS_TO_PATH": "false",
    "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
    "DOTNET_GENERATE_ASPNET_CERTIFICATE": "false",
    "DOTNET_NOLOGO": "1",
    "DOTNET_SKIP_FIRST_TIME_EXPERIENCE": "1",
    "MSBUILDDISABLENODEREUSE": "1",
}
# compiler servers and reused nodes would outlive the build; the summary would repeat each warning
_BUILD_SWITCHES = ("-nologo", "-nr:false", "-p:UseSharedCompilation=false", "-clp:NoSummary")
_FIRST_SDK_THAT_READS = {".sln": (0,), ".slnf": (5,), ".slnx": (9, 0, 200)}
_ESCAPED = re.compile(r"[%*?@$();',\"]")
_VSTEST_FAILED = 1
_PLATFORM_FAILED = 2
_ANY_FAILURE = tuple(range(1, 256))


class DotnetToolchain:
    """The `dotnet` command."""

    name = "dotnet"
    tools = ("dotnet",)
    compilers: tuple[Family, ...] = ("msbuild",)

    def wanted(self, path: str) -> bool:
        """Solutions, projects, what projects share, and global.json."""
        return is_wanted(path)

    def detect(self, tree: FileTree) -> Detection | None:
        """By the nearest solution, else by the nearest project."""
        solutions, projects = find_solutions(tree), find_projects(tree)
        if not solutions and not projects:
            return None
        found = solutions or projects
        score = (_SOLUTION_SCORE if solutions else _PROJECT_SCORE) - DEPTH_PENALTY * depth(found[0])
        why = f"{base_name(found[0])} is {place(folder(found[0]))}"
        if len(solutions) > 1:
            why += f" (one of {len(solutions)} solutions there; solutionPath chooses)"
        return Detection(self.name, score, why, folder(found[0]), self.tools)

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """The commands of a stage.

        Raises:
            InvalidRequest: `solutionPath` names nothing in the source, a solution or project cannot be read, or
                projects need each other in a circle.
        """
        return _Plans(context).plan(stage)

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """The packages and what was published."""
        del context
        return (
            ArtifactGlob("packages/*.nupkg", "out"),
            ArtifactGlob("packages/*.snupkg", "out"),
            ArtifactGlob("publish/**", "out"),
        )

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """What the trx loggers write, one file per project and framework."""
        del context
        return (ReportGlob("trx", "reports/**/*.trx"),)

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """MSBuild's own form: `file(3,5): warning CS0168: ...`."""
        found = _PROBLEM.match(line)
        if found is None:
            return None
        return "warning" if found.group(1) == "warning" else "error"


class _Plans:
    """The commands for one source."""

    def __init__(self, context: BuildContext) -> None:
        self._context = context
        self._properties = context.properties
        self._source = DotnetSource(context.tree, context.properties.solution_path)

    def plan(self, stage: StageName) -> StagePlan:
        match stage:
            case StageName.RESTORE:
                return StagePlan(stage, tuple(self._restore(path) for path in self._targets))
            case StageName.BUILD:
                return StagePlan(stage, tuple(self._build(path) for path in self._targets))
            case StageName.TEST:
                return self._test()
            case _:
                return self._package()

    @property
    def _targets(self) -> tuple[str, ...]:
        """What to restore and build: the solution, or, where this SDK cannot read it, the projects at its top."""
        target = self._source.target
        if target.endswith(PROJECT_SUFFIXES) or (target and self._sdk_reads(target)):
            return (target,)
        self._source.graph.order  # noqa: B018 - a circle of projects is told here, in words
        return self._source.graph.tops

    def _sdk_reads(self, path: str) -> bool:
        suffix = path[path.rindex(".") :]
        version = re.match(r"\d+(?:\.\d+)*", self._context.tool_versions.get("dotnet", ""))
        known = tuple(int(part) for part in version.group().split(".")) if version else ()
        return known >= _FIRST_SDK_THAT_READS[suffix] or suffix == ".sln"

    def _restore(self, path: str) -> Command:
        locked = ("--locked-mode",) if self._source.has_lock_files else ()
        return self._dotnet(StageName.RESTORE, "restore", path, (*locked, *self._switches))

    def _build(self, path: str) -> Command:
        """Without the runtime identifier: it is for programs alone, and newer SDKs refuse it for a solution."""
        return self._dotnet(StageName.BUILD, "build", path, (*self._configuration, "--no-restore", *self._switches))

    # ------------------------------------------------------------ test
    def _test(self) -> StagePlan:
        """`dotnet test` for the solution as a whole, since only MSBuild knows all tests, then the console programs."""
        platform = self._source.own_test_platform
        consoles = [] if platform else [project for project in self._selected if project.is_console_test]
        known = [project for project in self._selected if project.may_be_test and project not in consoles]
        target = self._source.target
        whole = bool(target) and target in self._targets
        paths = ([target] if known else []) if whole else [project.path for project in known]
        if platform:
            reports = all(project.writes_trx_itself for project in known)
            commands = [self._platform_test(path, reports=reports) for path in paths]
        else:
            commands = [self._vstest(path) for path in paths]
        commands += [self._console_test(project) for project in consoles]
        reason = "" if commands else "There is no test project, and no console program is named *Test or *Tests."
        return StagePlan(StageName.TEST, tuple(commands), reason)

    def _vstest(self, path: str) -> Command:
        results = ("--logger", "trx", "--results-directory", self._results(path))
        how = (*self._configuration, "--no-build", *self._given)
        return self._dotnet(StageName.TEST, "test", path, (*how, *results), tests_fail_on=(_VSTEST_FAILED,))

    def _platform_test(self, path: str, *, reports: bool) -> Command:
        verb = "test --project" if path.endswith(PROJECT_SUFFIXES) else "test --solution"
        results = ("--results-directory", self._results(path), *(("--report-trx",) if reports else ()))
        how = (*self._configuration, "--no-build", *self._given)
        return self._dotnet(StageName.TEST, verb, path, (*how, *results), tests_fail_on=(_PLATFORM_FAILED,))

    def _console_test(self, project: Project) -> Command:
        framework = self._properties.target_framework or next(iter(project.frameworks), "")
        chosen = ("--framework", framework) if framework else ()
        return self._dotnet(
            StageName.TEST,
            "run --project",
            project.path,
            ("-c", self._properties.configuration, *chosen, *self._as_built, "--no-launch-profile"),
            # `dotnet run` of older SDKs takes no properties, but the environment's count
            env={"Platform": self._properties.platform} if self._platform else {},
            tests_fail_on=_ANY_FAILURE,
            test_case=project.name,
        )

    def _results(self, path: str) -> str:
        return f"{self._context.out}/reports/{path.rpartition('.')[0]}"

    # ------------------------------------------------------------ package
    def _package(self) -> StagePlan:
        commands: list[Command] = []
        if self._properties.create_packages:
            commands += [self._pack(path) for path in self._packed]
        if self._properties.publish_artifacts:
            names = Counter(project.name for project in self._published)
            for project in self._published:
                alone = names[project.name] == 1
                commands += self._publish(project, project.name if alone else project.path.rpartition(".")[0])
        reason = "" if commands else "There is nothing to publish, and no package was asked for."
        return StagePlan(StageName.PACKAGE, tuple(commands), reason)

    @property
    def _published(self) -> list[Project]:
        """The programs; in a source without any, the libraries that no other one needs."""
        offered = [project for project in self._selected if project.may_be_published]
        needed = frozenset[str]().union(*(self._source.graph.needs[project.path] for project in offered))
        programs = [project for project in offered if project.is_program]
        return programs or [project for project in offered if project.path not in needed]

    @property
    def _packed(self) -> tuple[str, ...]:
        target = self._source.target
        if target and target in self._targets:
            return (target,)
        return tuple(project.path for project in self._selected if project.is_packed)

    def _pack(self, path: str) -> Command:
        output = f"-p:PackageOutputPath={self._context.out}/packages"
        return self._dotnet(
            StageName.PACKAGE,
            "pack",
            path,
            ("-c", self._properties.configuration, "--no-build", *self._switches, output),
        )

    def _publish(self, project: Project, name: str) -> list[Command]:
        wanted = self._properties.target_framework
        frameworks = (wanted,) if wanted else project.frameworks or ("",)
        # a program for one runtime is another build than the one at hand, restored and built once more
        runtime = self._properties.runtime_identifier
        how = ("-r", runtime) if runtime else self._as_built
        commands = []
        for framework in frameworks:
            folders = (name, framework) if len(frameworks) > 1 else (name,)
            output = "/".join((self._context.out, "publish", *folders))
            chosen = ("--framework", framework) if framework else ()
            arguments = ("-c", self._properties.configuration, *chosen, *how, "-o", output)
            commands.append(self._dotnet(StageName.PACKAGE, "publish", project.path, (*arguments, *self._switches)))
        return commands

    # ------------------------------------------------------------ arguments
    @property
    def _selected(self) -> tuple[Project, ...]:
        return self._source.built_in(self._properties.configuration, self._properties.platform)

    @property
    def _configuration(self) -> tuple[str, ...]:
        framework = self._properties.target_framework
        return ("-c", self._properties.configuration, *(("--framework", framework) if framework else ()))

    @property
    def _platform(self) -> tuple[str, ...]:
        platform = self._properties.platform
        return () if platform.replace(" ", "").lower() == "anycpu" else (f"-p:Platform={platform}",)

    @property
    def _as_built(self) -> tuple[str, ...]:
        """Nothing is built twice, unless the solution may map its platform to another one of the project."""
        mapped = self._platform and not self._source.target.endswith(PROJECT_SUFFIXES)
        return () if mapped else ("--no-build",)

    @property
    def _switches(self) -> tuple[str, ...]:
        """What every call of MSBuild gets; the user's own properties come last and win."""
        return (*_BUILD_SWITCHES, f"-m:{self._context.cores}", *self._given)

    @property
    def _given(self) -> tuple[str, ...]:
        given = (_property(name, value) for name, value in self._properties.build_properties.items())
        return (*self._platform, *given)

    def _dotnet(
        self,
        stage: StageName,
        verb: str,
        path: str,
        arguments: tuple[str, ...],
        *,
        env: Mapping[str, str] | None = None,
        tests_fail_on: tuple[int, ...] = (),
        test_case: str = "",
    ) -> Command:
        """Run in the folder of `path`, so that its global.json counts; `./` keeps `-x` or `@x` from being a switch."""
        return Command(
            (self._context.tools.get("dotnet", "dotnet"), *verb.split(), f"./{base_name(path)}", *arguments),
            stage,
            title=f"dotnet {verb} {path}"[:200],
            cwd=folder(path),
            env={**_ENVIRONMENT, **(env or {})},
            tests_fail_on=tests_fail_on,
            test_case=test_case,
        )


def _property(name: str, value: str) -> str:
    """`-p:Name=Value`, the value escaped as MSBuild unescapes it; the contract refused names that load code."""
    return f"-p:{name}={_ESCAPED.sub(lambda mark: f'%{ord(mark.group()):02X}', value)}"
