"""C, C++ and whatever else has a Makefile or a CMakeLists.txt."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from buildyard.contracts.builds import StageName
from worker.toolchains.compilers import Family
from worker.toolchains.contract import ArtifactGlob, BuildContext, Command, Detection, FileTree, ReportGlob, StagePlan
from worker.toolchains.places import DEPTH_PENALTY, base_name, depth, folder, join, nearest, own_files, place

# in the order in which make looks for them
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_CMAKE = "CMakeLists.txt"
_SCORES = {_CMAKE: 70} | dict.fromkeys(_MAKEFILES, 60)
_RULE = re.compile(r"([^\s#:=][^#:=]*)::?(?![:=])")
_TARGET = re.compile(r"[\w/+][\w./+\-]*")
_DIRECTIVES = frozenset({"ifeq", "ifneq", "ifdef", "ifndef", "else", "define", "export", "override", "private"})
_PROBLEM = re.compile(r"(?:\S.*?: |CMake )(warning|fatal error|error)\b", re.IGNORECASE)
_CTEST_FAILED = 8
_MAKE_FAILED = 2
_NOTHING = StagePlan(StageName.RESTORE, skip_reason="make has nothing to restore.")


class MakeToolchain:
    """make, or cmake with ctest and cpack where a CMakeLists.txt is beside."""

    name = "make"
    tools = ("make", "cmake", "cc", "cxx")
    compilers: tuple[Family, ...] = ("gcc", "javac", "go", "python")

    def wanted(self, path: str) -> bool:
        """The files that name targets."""
        return base_name(path) in _SCORES

    def detect(self, tree: FileTree) -> Detection | None:
        """By the nearest CMakeLists.txt or Makefile; of two in one folder CMakeLists.txt."""
        found = sorted(nearest(tree, _SCORES.__contains__), key=lambda path: -_SCORES[base_name(path)])
        if not found:
            return None
        name, root = base_name(found[0]), folder(found[0])
        needs = ("cmake",) if name == _CMAKE else ("make",)
        score = _SCORES[name] - DEPTH_PENALTY * depth(found[0])
        return Detection(self.name, score, f"{name} is {place(root)}", root, needs)

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """The commands of a stage."""
        if stage is StageName.RESTORE:
            return _NOTHING
        return _CMake(context).plan(stage) if _is_cmake(context) else _Make(context).plan(stage)

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """What was installed and packed; `make dist` leaves its archives beside the Makefile."""
        made = (ArtifactGlob("install/**", "out"), ArtifactGlob("packages/*", "out"))
        if _is_cmake(context):
            return made
        root = context.detection.root
        packed = (join(root, f"*.{suffix}") for suffix in ("tar.gz", "tar.xz", "tar.bz2", "tgz", "zip"))
        fresh = (pattern for pattern in packed if not any(context.tree.matching(pattern)))
        return (*made, *(ArtifactGlob(pattern, strip=root if root != "." else "") for pattern in fresh))

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """What ctest writes; a Makefile's test target counts as one test by its exit code."""
        return (ReportGlob("junit", "reports/ctest.xml"),) if _is_cmake(context) else ()

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """The diagnostics of gcc, clang, the linker and CMake; make's own `***` lines only repeat them."""
        found = _PROBLEM.match(line)
        if found is None:
            return None
        return "warning" if found.group(1).lower() == "warning" else "error"


def _is_cmake(context: BuildContext) -> bool:
    return context.tree.has(join(context.detection.root, _CMAKE))


def makefile_targets(text: str) -> tuple[str, ...]:
    """The targets that a Makefile's own lines name, in their order; not those of included files or of patterns."""
    targets: dict[str, None] = {}
    for line in text.replace("\\\n", " ").splitlines():
        rule = None if line.startswith("\t") else _RULE.match(line)
        if rule:
            names = rule.group(1).split()
            plain = (name for name in names if _TARGET.fullmatch(name) and name not in _DIRECTIVES)
            targets.update(dict.fromkeys(plain))
    return tuple(targets)


class _Make:
    """The commands where a Makefile rules."""

    def __init__(self, context: BuildContext) -> None:
        self._context = context
        files = (join(context.detection.root, name) for name in _MAKEFILES)
        self._text = next((context.tree.text(path) for path in files if context.tree.has(path)), "")
        self._targets = makefile_targets(self._text)

    def plan(self, stage: StageName) -> StagePlan:
        if stage is StageName.BUILD:
            return StagePlan(stage, (self._make(stage, self._first("all", "build"), parallel=True),))
        if stage is StageName.TEST:
            target = self._first("test", "check", "tests")
            if not target:
                return StagePlan(stage, skip_reason="The Makefile has no test or check target.")
            return StagePlan(stage, (self._make(stage, target),))
        return self._package()

    def _package(self) -> StagePlan:
        stage, properties = StageName.PACKAGE, self._context.properties
        commands = []
        packs = self._first("dist", "package")
        if packs and (properties.create_packages or properties.publish_artifacts):
            commands.append(self._make(stage, packs))
        if properties.publish_artifacts and "install" in self._targets and "DESTDIR" in self._text:
            commands.append(self._make(stage, "install", (f"DESTDIR={self._context.out}/install",)))
        reason = "" if commands else "The Makefile has neither a dist target nor an install target with DESTDIR."
        return StagePlan(stage, tuple(commands), reason)

    def _first(self, *names: str) -> str:
        return next((name for name in names if name in self._targets), "")

    def _make(
        self, stage: StageName, target: str, variables: tuple[str, ...] = (), *, parallel: bool = False
    ) -> Command:
        make = self._context.tools.get("make", "make")
        given = (
            f"{name}={value.replace('$', '$$')}" for name, value in self._context.properties.build_properties.items()
        )
        jobs = (f"-j{self._context.cores}",) if parallel else ()
        title = f"make {target}".strip()
        tests = stage is StageName.TEST
        return Command(
            (make, *jobs, *given, *variables, *((target,) if target else ())),
            stage,
            title,
            cwd=self._context.detection.root,
            tests_fail_on=(_MAKE_FAILED,) if tests else (),
            test_case=title if tests else "",
        )


class _CMake:
    """The commands where a CMakeLists.txt rules."""

    def __init__(self, context: BuildContext) -> None:
        self._context = context
        root = context.detection.root
        lists = (path for path in own_files(context.tree, root) if base_name(path) == _CMAKE)
        self._text = "\n".join(context.tree.text(path) for path in lists).lower()
        self._built = f"{context.scratch}/cmake"

    def plan(self, stage: StageName) -> StagePlan:
        if stage is StageName.BUILD:
            return StagePlan(stage, self._build())
        return self._test() if stage is StageName.TEST else self._package()

    def _build(self) -> tuple[Command, Command]:
        properties = self._context.properties
        given = (f"-D{name}={value}" for name, value in properties.build_properties.items())
        kind = f"-DCMAKE_BUILD_TYPE={properties.configuration}"
        configure = self._command(StageName.BUILD, "cmake", ("-S", ".", "-B", self._built, kind, *given), "cmake -S .")
        jobs = ("--parallel", str(self._context.cores))
        build = ("--build", self._built, "--config", properties.configuration, *jobs)
        return configure, self._command(StageName.BUILD, "cmake", build, "cmake --build")

    def _test(self) -> StagePlan:
        if not re.search(r"enable_testing\s*\(|include\s*\(\s*ctest\s*\)", self._text):
            return StagePlan(StageName.TEST, skip_reason="No CMakeLists.txt says enable_testing().")
        report = f"{self._context.out}/reports/ctest.xml"
        where = ("--test-dir", self._built, "-C", self._context.properties.configuration)
        how = ("--output-on-failure", "--no-tests=error", "--output-junit", report)
        return StagePlan(StageName.TEST, (self._command(StageName.TEST, "ctest", (*where, *how), "ctest"),))

    def _package(self) -> StagePlan:
        stage, properties, out = StageName.PACKAGE, self._context.properties, self._context.out
        commands = []
        if properties.publish_artifacts and re.search(r"\binstall\s*\(", self._text):
            install = self._command(
                stage, "cmake", ("--install", self._built, "--config", properties.configuration), "cmake --install"
            )
            # unlike --prefix it also catches what installs to absolute paths
            commands.append(replace(install, env={"DESTDIR": f"{out}/install"}))
        if properties.create_packages and re.search(r"include\s*\(\s*cpack\s*\)", self._text):
            pack = ("--config", f"{self._built}/CPackConfig.cmake", "-B", f"{out}/packages")
            how = ("-C", properties.configuration, "-D", "CPACK_ERROR_ON_ABSOLUTE_INSTALL_DESTINATION=ON")
            commands.append(self._command(stage, "cpack", (*pack, *how), "cpack"))
        reason = "" if commands else "No CMakeLists.txt installs or packs anything that was asked for."
        return StagePlan(stage, tuple(commands), reason)

    def _command(self, stage: StageName, tool: str, arguments: tuple[str, ...], title: str) -> Command:
        argv = (self._context.tools.get(tool, tool), *arguments)
        fails_on = (_CTEST_FAILED,) if tool == "ctest" else ()
        return Command(argv, stage, title, cwd=self._context.detection.root, tests_fail_on=fails_on)
