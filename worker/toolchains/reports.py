"""Test reports: JUnit XML and trx, read as they stream past, so that a large one does not fill the memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from buildyard.dotnet.safe_xml import parse
from buildyard.errors import InvalidRequest
from worker.toolchains.contract import ReportKind
from worker.toolchains.junit import JUnit
from worker.toolchains.results import Counts, Results
from worker.toolchains.trx import Trx

MAX_REPORT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ReportFile:
    """A report as it was found."""

    kind: ReportKind
    name: str
    data: bytes


def summarise(files: Iterable[ReportFile]) -> tuple[Results | None, tuple[str, ...]]:
    """All reports together, None without any, and a sentence for each that could not be read."""
    counts, problems, any_read = Counts(), [], False
    for file in files:
        try:
            results = read_report(file)
        except InvalidRequest as error:
            problems.append(str(error))
        else:
            any_read = True
            counts.merge(results)
    return (counts.results() if any_read else None), tuple(problems)


def read_report(file: ReportFile) -> Results:
    """Read one report.

    Raises:
        InvalidRequest: it is broken, too large, hostile, or no such report; the sentence starts with its name.
    """
    reader = Trx() if file.kind == "trx" else JUnit()
    results = parse(file.data, reader, name=file.name, max_bytes=MAX_REPORT_BYTES)
    if reader.root not in reader.roots:
        raise InvalidRequest(f"{file.name} is no {file.kind} report: its outermost element is {reader.root[:60]!r}.")
    return results
