"""Test results that a tool only prints: readers that take its output line by line and gather them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from worker.toolchains.contract import OutputKind
from worker.toolchains.go_tests import GoTests
from worker.toolchains.libtest import LibtestReader
from worker.toolchains.results import Results
from worker.toolchains.tap import Tap


class Printed(Protocol):
    """Reads the output of one command, in bounded memory however long it is."""

    def shown(self, raw: bytes) -> bytes | None:
        """What the log shows of a line as it came, without its line feed; None for nothing. Asked before `take`."""

    def take(self, line: str) -> None:
        """One shown line, cleaned, without colours and line feed; standard output and error as they came."""

    def results(self) -> Results:
        """What the lines told, to be asked when the command has ended; no tests where they told of none."""


_READERS: Mapping[OutputKind, Callable[[], Printed]] = {"libtest": LibtestReader, "go": GoTests, "tap": Tap}


def reader_of(kind: OutputKind) -> Printed:
    """A new reader for one command."""
    return _READERS[kind]()
