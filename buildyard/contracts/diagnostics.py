"""What compilers say: warnings and errors with their place in the source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from buildyard.contracts.wire import Identifier, Text, Value

MAX_DIAGNOSTICS = 50
"""So many a stage, errors first; all are counted."""


class Diagnostic(Value):
    """One warning or error. `file` is relative to the source where it lies in it; lines and columns count from 1."""

    severity: Literal["warning", "error"]
    file: Text
    line: int | None = Field(default=None, ge=1)
    column: int | None = Field(default=None, ge=1)
    code: Text = ""
    """The tool's own name for it, such as `CS0168`, `E0425` or `-Wunused-variable`."""
    message: Text

    @property
    def place(self) -> str:
        """`file:line:column`, as far as it is known."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


class StageDiagnostic(Diagnostic):
    """One of a build's, with the stage and the job that it came from."""

    stage: str
    job_id: Identifier


class DiagnosticList(Value):
    """What the compilers of a build's newest attempts said: errors first, in the order of stages."""

    diagnostics: tuple[StageDiagnostic, ...]
