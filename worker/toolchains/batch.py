"""Batches: rows of a CSV instead of a project. Only the recognising is here; `worker.batch` works on the rows."""

from __future__ import annotations

from buildyard.project.configuration import FILE_NAME
from worker.toolchains.contract import Detection, FileTree
from worker.toolchains.without_tools import WithoutTools

_SCORE = 100_000


class BatchToolchain(WithoutTools):
    """A CSV file alone, or a source whose `buildyard.toml` has a [batch] section."""

    name = "batch"
    skip_reason = "A batch runs its rows as jobs of their own."

    def declared(self) -> Detection:
        """The detection of a source that declares itself a batch."""
        return Detection(self.name, _SCORE, f"{FILE_NAME} has a [batch] section")

    def detect(self, tree: FileTree) -> Detection | None:
        """A single CSV file is a batch."""
        only = next(iter(tree.files)) if len(tree.files) == 1 else ""
        return Detection(self.name, _SCORE, f"{only} is all there is") if only.lower().endswith(".csv") else None
