"""A source that no toolchain knows, but whose `buildyard.toml` says itself what to run."""

from __future__ import annotations

from typing import Literal

from buildyard.contracts.builds import StageName
from worker.toolchains.configuration import FILE_NAME, BuildyardToml
from worker.toolchains.contract import (
    ArtifactGlob,
    BuildContext,
    Choice,
    Detection,
    FileTree,
    ReportGlob,
    StagePlan,
)

_NAME = "custom"


class OwnCommands:
    """The toolchain that knows nothing: every command comes from `buildyard.toml`."""

    name = _NAME
    tools: tuple[str, ...] = ()

    def wanted(self, path: str) -> bool:
        """No text decides."""
        del path
        return False

    def detect(self, tree: FileTree) -> Detection | None:
        """Never by files."""
        del tree
        return None

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """Nothing beyond what the file says."""
        del context
        return StagePlan(stage, skip_reason=f"{FILE_NAME} gives no commands for it.")

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """None of its own."""
        del context
        return ()

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """None."""
        del context
        return ()

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """Output of unknown tools is not judged."""
        del line
        return None


def own_commands(config: BuildyardToml) -> Choice | None:
    """The choice for a source that no toolchain fits; None when its file gives no commands either."""
    if not any(section.commands for section in config.stages.values()):
        return None
    detection = Detection(_NAME, 0, f"{FILE_NAME} gives its commands")
    return Choice(OwnCommands(), detection, f"{_NAME}, because {FILE_NAME} gives its commands and no toolchain fits.")
