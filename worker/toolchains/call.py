"""Calls: rows of a CSV sent to an HTTP service. Only the recognising is here; `worker.calls` does the calling."""

from __future__ import annotations

from typing import Literal

from buildyard.contracts.builds import StageName
from worker.toolchains.configuration import FILE_NAME
from worker.toolchains.contract import ArtifactGlob, BuildContext, Detection, FileTree, ReportGlob, StagePlan

_SCORE = 100_000


class CallToolchain:
    """A source whose `buildyard.toml` has a [call] section.

    A CSV alone is found to be calls by its columns, which the job that reads its rows sees (`worker.batch.prepare`).
    """

    name = "call"
    tools = ()

    def wanted(self, path: str) -> bool:
        """No text decides: `buildyard.toml` is read for every source."""
        del path
        return False

    def declared(self) -> Detection:
        """The detection of a source that declares its calls."""
        return Detection(self.name, _SCORE, f"{FILE_NAME} has a [call] section")

    def detect(self, tree: FileTree) -> Detection | None:
        """Never by files alone."""
        del tree
        return None

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """No commands: the rows become jobs."""
        del context
        return StagePlan(stage, skip_reason="Calls run as jobs of their own.")

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """None: the job that collects the results makes them."""
        del context
        return ()

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """None."""
        del context
        return ()

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """No tool prints anything."""
        del line
        return None
