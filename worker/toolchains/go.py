"""Go modules: `go mod download`, `go build`, `go test -json`, and the commands of main packages by `go install`."""

from __future__ import annotations

import re
from typing import Literal

from buildyard.contracts.builds import StageName
from worker.toolchains.compilers import Family
from worker.toolchains.contract import ArtifactGlob, BuildContext, Command, Detection, FileTree, ReportGlob, StagePlan
from worker.toolchains.places import DEPTH_PENALTY, depth, folder, join, nearest, own_files, place

_SCORE = 75
_ALL = "./..."
_ERROR = re.compile(r"(?:vet: )?[^\s:]{1,1000}\.go:\d{1,9}:\d{1,9}: \S")

# go test: 1 = a test failed or a package's tests cannot be compiled; what cannot be started at all tells no test
_TESTS_FAIL_ON = (1,)


class GoToolchain:
    """The go command, in module mode."""

    name = "go"
    tools = ("go",)
    compilers: tuple[Family, ...] = ("go", "gcc")

    def wanted(self, path: str) -> bool:
        """No text decides: the go command reads its files itself."""
        del path
        return False

    def detect(self, tree: FileTree) -> Detection | None:
        """By the nearest go.mod."""
        found = nearest(tree, "go.mod".__eq__)
        if not found:
            return None
        root = folder(found[0])
        return Detection(
            self.name, _SCORE - DEPTH_PENALTY * depth(found[0]), f"go.mod is {place(root)}", root, self.tools
        )

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """The commands of a stage."""
        match stage:
            case StageName.RESTORE:
                return self._restore(context)
            case StageName.BUILD:
                return StagePlan(stage, (_go(context, stage, "build", "-p", str(context.cores), _ALL),))
            case StageName.TEST:
                return self._test(context)
            case _:
                return self._package(context)

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """The programs of the main packages."""
        del context
        return (ArtifactGlob("bin/*", "out"),)

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """None: `go test -json` prints."""
        del context
        return ()

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """The diagnostics of the compiler and of vet, which start with a place; Go has no warnings."""
        return "error" if _ERROR.match(line) else None

    @staticmethod
    def _restore(context: BuildContext) -> StagePlan:
        stage = StageName.RESTORE
        if context.tree.has(join(context.detection.root, "vendor/modules.txt")):
            return StagePlan(stage, skip_reason="The modules are in vendor/.")
        # writable, so that the cache can be removed as any other folder
        return StagePlan(stage, (_go(context, stage, "mod", "download", "-modcacherw"),))

    @staticmethod
    def _test(context: BuildContext) -> StagePlan:
        stage = StageName.TEST
        if not any(path.endswith("_test.go") for path in own_files(context.tree, context.detection.root)):
            return StagePlan(stage, skip_reason="There are no test files (*_test.go).")
        return StagePlan(stage, (_go(context, stage, "test", "-json", "-p", str(context.cores), _ALL),))

    @staticmethod
    def _package(context: BuildContext) -> StagePlan:
        stage, properties = StageName.PACKAGE, context.properties
        if not (properties.create_packages or properties.publish_artifacts):
            return StagePlan(stage, skip_reason="The request asks for no artifacts.")
        # unlike `go build -o`, this takes modules that have no main package too
        return StagePlan(stage, (_go(context, stage, "install", _ALL),))


def _go(context: BuildContext, stage: StageName, *arguments: str) -> Command:
    tests = stage is StageName.TEST
    return Command(
        (context.tools.get("go", "go"), *arguments),
        stage,
        f"go {' '.join(arguments)}",
        cwd=context.detection.root,
        env={"GOBIN": f"{context.out}/bin"} if stage is StageName.PACKAGE else {},
        tests_fail_on=_TESTS_FAIL_ON if tests else (),
        prints="go" if tests else None,
    )
