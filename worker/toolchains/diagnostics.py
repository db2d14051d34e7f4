"""The warnings and errors of one stage, from the lines that its commands print: each once, bounded, errors first."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from buildyard.contracts.diagnostics import MAX_DIAGNOSTICS, Diagnostic
from worker.toolchains.compilers import Compiler, Family, Found, Severity, compiler_of
from worker.toolchains.results import bounded

_MAX_FILE = 300
_MAX_MESSAGE = 400
_MAX_CODE = 80
_MOST_REMEMBERED = 10_000
"""Beyond so many different ones, repeats are no longer told apart."""


class Diagnostics:
    """Reads the output of a stage's commands, one after the other."""

    def __init__(self, families: Iterable[Family], roots: Iterable[str]) -> None:
        """`roots` are absolute paths of the sources, which fall away from the files' names."""
        self._families = tuple(families)
        self._roots = tuple(posixpath.normpath(root.replace("\\", "/")) for root in roots)
        self._folder = ""
        self._compilers: tuple[Compiler, ...] = ()
        self._seen: set[int] = set()
        self._kept: dict[Severity, list[Diagnostic]] = {"error": [], "warning": []}
        self._counts: dict[Severity, int] = {"error": 0, "warning": 0}

    def begin(self, cwd: str = ".") -> None:
        """A command begins in a folder of the sources: names that it prints are taken from there."""
        self._folder = "" if cwd == "." else cwd
        self._compilers = tuple(compiler_of(family) for family in self._families)

    def take(self, line: str) -> None:
        """One line of output without colours. The first family that knows it has it."""
        for compiler in self._compilers:
            if (found := compiler.take(line)) is not None:
                self._keep(found)
                return

    def count(self, severity: Severity) -> int:
        """How many different ones there were."""
        return self._counts[severity]

    def found(self) -> tuple[Diagnostic, ...]:
        """The first ones, errors before warnings."""
        return (*self._kept["error"], *self._kept["warning"])[:MAX_DIAGNOSTICS]

    def _keep(self, found: Found) -> None:
        one = Diagnostic(
            severity=found.severity,
            file=bounded(self._relative(found.file), _MAX_FILE) or "(unnamed)",
            line=found.line or None,
            column=found.column or None,
            code=bounded(found.code, _MAX_CODE),
            message=bounded(found.message, _MAX_MESSAGE) or "(no message)",
        )
        mark = hash((one.severity, one.file, one.line, one.column, one.code, one.message))
        if mark in self._seen:
            return
        if len(self._seen) < _MOST_REMEMBERED:
            self._seen.add(mark)
        self._counts[one.severity] += 1
        kept = self._kept[one.severity]
        if len(kept) < MAX_DIAGNOSTICS:
            kept.append(one)

    def _relative(self, file: str) -> str:
        """A name as a path below the sources; one that lies elsewhere stays as it is."""
        path = file.strip().replace("\\", "/")
        for root in self._roots:
            if path.startswith(f"{root}/"):
                return posixpath.normpath(path[len(root) + 1 :])
        if path.startswith("/") or path[1:2] == ":":
            return path
        joined = posixpath.normpath(posixpath.join(self._folder, path))
        return path if joined.startswith("..") else joined
