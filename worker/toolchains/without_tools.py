"""What toolchains have in common that run no tool of their own: commands and results come from elsewhere."""

from __future__ import annotations

from typing import Literal

from buildyard.contracts.builds import StageName
from worker.toolchains.compilers import Family
from worker.toolchains.contract import ArtifactGlob, BuildContext, Detection, FileTree, ReportGlob, StagePlan


class WithoutTools:
    """A `Toolchain` but for its name. `skip_reason` says why no stage has commands."""

    tools: tuple[str, ...] = ()
    compilers: tuple[Family, ...] = ()
    skip_reason = ""

    def wanted(self, path: str) -> bool:
        """No text decides: `buildyard.toml` is read for every source."""
        del path
        return False

    def detect(self, tree: FileTree) -> Detection | None:
        """Never by files alone."""
        del tree
        return None

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """No commands."""
        del context
        return StagePlan(stage, skip_reason=self.skip_reason)

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """None of its own."""
        del context
        return ()

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """None."""
        del context
        return ()

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """Output of tools that nobody knows is not judged."""
        del line
        return None
