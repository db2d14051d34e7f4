"""Java and Kotlin projects that Gradle builds: the agent's own Gradle, the reports of its test task, jars."""

from __future__ import annotations

import re
from typing import Literal

from buildyard.contracts.builds import StageName
from worker.toolchains.compilers import Family
from worker.toolchains.contract import ArtifactGlob, BuildContext, Command, Detection, FileTree, ReportGlob, StagePlan
from worker.toolchains.places import DEPTH_PENALTY, base_name, depth, folder, join, nearest, place

_SETTINGS = ("settings.gradle", "settings.gradle.kts")
_BUILDS = ("build.gradle", "build.gradle.kts")
_SCORE = 73
_PROPERTY = re.compile(r"[A-Za-z][\w.\-]{0,200}")
_QUIET = ("--no-daemon", "--console=plain")
_PACKAGES = ("libs/*.jar", "libs/*.war", "libs/*.ear", "distributions/*.zip", "distributions/*.tar")
_FAILED = 1  # Gradle's one code for failed tests and everything else; the reports tell them apart
_TASK_FAILED = re.compile(r"(?:> Task )?:[\w:.\-]{1,300} FAILED$")


class GradleToolchain:
    """The agent's gradle; a wrapper in the source is not started, it would fetch a Gradle of its own."""

    name = "gradle"
    tools = ("gradle", "java")
    compilers: tuple[Family, ...] = ("javac",)

    def wanted(self, path: str) -> bool:
        """No text decides: the files are programs."""
        del path
        return False

    def detect(self, tree: FileTree) -> Detection | None:
        """By the nearest build file; a settings file beside or without it tells the root as well."""
        found = nearest(tree, frozenset((*_BUILDS, *_SETTINGS)).__contains__)
        if not found:
            return None
        file = next((path for path in found if base_name(path) in _BUILDS), found[0])
        root = folder(file)
        wrapper = " (its wrapper is not started)" if tree.has(join(root, "gradlew")) else ""
        why = f"{base_name(file)} is {place(root)}{wrapper}"
        return Detection(self.name, _SCORE - DEPTH_PENALTY * depth(file), why, root, self.tools)

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """Tasks that every project or every Java project has, in all modules that have them."""
        match stage:
            case StageName.RESTORE:
                return StagePlan(stage, skip_reason="Gradle fetches what a task needs when it comes to it.")
            case StageName.BUILD:
                return StagePlan(stage, (_gradle(context, stage, "assemble"),))
            case StageName.TEST:
                return StagePlan(stage, (_gradle(context, stage, "test", "--continue"),))
            case _:
                return StagePlan(stage, skip_reason="Build makes the jars.")

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """The jars, wars, ears and distributions of all modules."""
        below = _below(context)
        own = tuple(ArtifactGlob(f"{below}build/{kind}", strip=f"{below}build") for kind in _PACKAGES)
        return (*own, *(ArtifactGlob(f"{below}**/build/{kind}", strip=below) for kind in _PACKAGES))

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """What test tasks write, in each module."""
        return (ReportGlob("junit", f"{_below(context)}**/build/test-results/**/TEST-*.xml", "source"),)

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """Each failed task; what compilers say is counted by itself."""
        return "error" if _TASK_FAILED.match(line) else None


def _below(context: BuildContext) -> str:
    return "" if context.detection.root == "." else f"{context.detection.root}/"


def _gradle(context: BuildContext, stage: StageName, task: str, *options: str) -> Command:
    given = context.properties.build_properties.items()
    properties = tuple(f"-P{name}={value}" for name, value in given if _PROPERTY.fullmatch(name))
    argv = (context.tools.get("gradle", "gradle"), *_QUIET, task, *options, *properties)
    fails_on = (_FAILED,) if stage is StageName.TEST else ()
    return Command(argv, stage, f"gradle {task}", cwd=context.detection.root, tests_fail_on=fails_on)
