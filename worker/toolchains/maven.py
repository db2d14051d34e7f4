"""Java projects with a pom.xml: Maven's own phases, surefire's reports, jars."""

from __future__ import annotations

import re
from typing import Literal

from buildyard.contracts.builds import StageName
from worker.toolchains.compilers import Family
from worker.toolchains.contract import ArtifactGlob, BuildContext, Command, Detection, FileTree, ReportGlob, StagePlan
from worker.toolchains.places import DEPTH_PENALTY, base_name, depth, folder, nearest, place

_POM = "pom.xml"
_SCORE = 73
_MODULES = re.compile(r"<(?:modules|subprojects)>")
_PROPERTY = re.compile(r"[A-Za-z][\w.\-]{0,200}")
_PACKAGES = ("jar", "war", "ear")
_QUIET = ("--batch-mode", "--no-transfer-progress", "--fail-at-end")
_FAILED = 1  # Maven's one code for failed tests and everything else; surefire's reports tell them apart
_WARNING = re.compile(r"\[WARNING\] \S")
_ERROR = re.compile(r"\[(?:ERROR|FATAL)\] (?:Failed to execute goal |Non-\w+ |Malformed |'[\w.]+' |Could not )")


class MavenToolchain:
    """The agent's mvn; a wrapper in the source is not started, it would fetch a Maven of its own."""

    name = "maven"
    tools = ("mvn", "java")
    compilers: tuple[Family, ...] = ("maven", "javac")

    def wanted(self, path: str) -> bool:
        """The pom files."""
        return base_name(path) == _POM

    def detect(self, tree: FileTree) -> Detection | None:
        """By the nearest pom.xml."""
        found = nearest(tree, _POM.__eq__)
        if not found:
            return None
        root = folder(found[0])
        why = f"{_POM} is {place(root)}"
        return Detection(self.name, _SCORE - DEPTH_PENALTY * depth(found[0]), why, root, self.tools)

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """One phase per stage. A later phase passes through the earlier ones, whose results are up to date by then."""
        properties = context.properties
        match stage:
            case StageName.RESTORE:
                return StagePlan(stage, (_mvn(context, stage, _restore(context)),))
            case StageName.BUILD:
                phase = "test-compile" if properties.run_tests else "compile"
                return StagePlan(stage, (_mvn(context, stage, (phase,)),))
            case StageName.TEST:
                return StagePlan(stage, (_mvn(context, stage, ("test",)),))
            case _:
                if not (properties.create_packages or properties.publish_artifacts):
                    return StagePlan(stage, skip_reason="The request asks for neither packages nor artifacts.")
                return StagePlan(stage, (_mvn(context, stage, ("package", "-DskipTests")),))

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """The jars, wars and ears of all modules."""
        root = context.detection.root
        below = "" if root == "." else f"{root}/"
        own = tuple(ArtifactGlob(f"{below}target/*.{kind}", strip=f"{below}target") for kind in _PACKAGES)
        return (*own, *(ArtifactGlob(f"{below}**/target/*.{kind}", strip=below) for kind in _PACKAGES))

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """What surefire writes, in each module."""
        below = "" if context.detection.root == "." else f"{context.detection.root}/"
        return (ReportGlob("junit", f"{below}**/target/surefire-reports/TEST-*.xml", "source"),)

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """Each warning; of errors each failed goal, since Maven tells a compiler's errors twice in the same words."""
        if _ERROR.match(line):
            return "error"
        return "warning" if _WARNING.match(line) else None


def _restore(context: BuildContext) -> tuple[str, ...]:
    """Modules that need each other's jars cannot be resolved before they are built: these only fetch as they go."""
    root = context.detection.root
    text = context.tree.text(_POM if root == "." else f"{root}/{_POM}")
    return ("validate",) if _MODULES.search(text) else ("dependency:go-offline",)


def _mvn(context: BuildContext, stage: StageName, goals: tuple[str, ...]) -> Command:
    given = context.properties.build_properties.items()
    properties = tuple(f"-D{name}={value}" for name, value in given if _PROPERTY.fullmatch(name))
    argv = (context.tools.get("mvn", "mvn"), *_QUIET, *goals, *properties)
    fails_on = (_FAILED,) if stage is StageName.TEST else ()
    return Command(argv, stage, f"mvn {goals[0]}", cwd=context.detection.root, tests_fail_on=fails_on)
