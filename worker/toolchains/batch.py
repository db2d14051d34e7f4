"""Batches: rows of a CSV instead of a project. Only the recognising is here; `worker.batch` works on the rows."""

from __future__ import annotations

from typing import Literal

from buildyard.contracts.builds import StageName
from worker.toolchains.configuration import FILE_NAME
from worker.toolchains.contract import ArtifactGlob, BuildContext, Detection, FileTree, ReportGlob, StagePlan

_SCORE = 100_000


class BatchToolchain:
    """A CSV file alone, or a source whose `buildyard.toml` has a [batch] section."""

    name = "batch"
    tools = ()

    def wanted(self, path: str) -> bool:
        """No text decides: `buildyard.toml` is read for every source."""
        del path
        return False

    def declared(self) -> Detection:
        """The detection of a source that declares itself a batch."""
        return Detection(self.name, _SCORE, f"{FILE_NAME} has a [batch] section")

    def detect(self, tree: FileTree) -> Detection | None:
        """A single CSV file is a batch."""
        only = next(iter(tree.files)) if len(tree.files) == 1 else ""
        return Detection(self.name, _SCORE, f"{only} is all there is") if only.lower().endswith(".csv") else None

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """No commands: the rows become jobs of their own."""
        del context
        return StagePlan(stage, skip_reason="A batch runs its rows as jobs of their own.")

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """None: the job that collects the results makes them."""
        del context
        return ()

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """None."""
        del context
        return ()

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """A program's own output is not judged."""
        del line
        return None
