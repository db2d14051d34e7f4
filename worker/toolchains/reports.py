"""Test reports: JUnit XML and trx, read as they stream past, so that a large one does not fill the memory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from buildyard.contracts.builds import TestCase, TestSummary
from buildyard.dotnet.safe_xml import local_name, parse
from buildyard.errors import InvalidRequest
from worker.toolchains.contract import ReportKind

MAX_REPORT_BYTES = 64 * 2**20
MAX_FAILURES = 100
"""So many failures are told by name; all are counted."""

_MAX_NAME = 500
_MAX_MESSAGE = 2000
_MAX_TEXT = 64 * 1024
_MAX_DEFINITIONS = 200_000
_PYTEST_SAYS_NOTHING = "collection failure"
_CTEST_NOT_FOUND = "Unable to find executable"  # ctest fails for want of it, yet reports the test as skipped
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PLACE = re.compile(r"^[ \t]*([^\s:]+\.\w+:\d+)", re.MULTILINE)
_JAVA_FRAME = re.compile(r"^[ \t]*at ([\w$.]{1,400})\(([\w$-]{1,200}\.\w{1,10}:\d{1,9})\)", re.MULTILINE)
_NODE_FRAME = re.compile(r"^[ \t]*at (?:[^\n/]{1,300}[( ])?(?:file://)?(/[^\s():]{1,400}:\d{1,9}):\d", re.MULTILINE)
_TRX_PLACE = re.compile(r" in ([^\n]{1,400}?):line (\d+)")
_TRX_RESULTS = frozenset({"UnitTestResult", "TestResultAggregation", "GenericTestResult", "ManualTestResult"})
_TRX_PASSED = frozenset({"Passed", "PassedButRunAborted", "Completed", "Warning"})
_TRX_RUN_FAILED = frozenset({"Failed", "Error", "Aborted", "Timeout"})
_TRX_SKIPPED = frozenset({"NotExecuted", "NotRunnable", "Inconclusive", "Pending", "Disconnected", "InProgress"})


@dataclass(frozen=True)
class ReportFile:
    """A report as it was found."""

    kind: ReportKind
    name: str
    data: bytes


def summarise(files: Iterable[ReportFile]) -> tuple[TestSummary | None, tuple[str, ...]]:
    """All reports as one summary, None without any, and a sentence for each that could not be read."""
    summaries, problems = [], []
    for file in files:
        try:
            summaries.append(read_report(file))
        except InvalidRequest as error:
            problems.append(str(error))
    return (merge(summaries) if summaries else None), tuple(problems)


def read_report(file: ReportFile) -> TestSummary:
    """Read one report.

    Raises:
        InvalidRequest: it is broken, too large, hostile, or no such report; the sentence starts with its name.
    """
    reader = _Trx() if file.kind == "trx" else _JUnit()
    summary = parse(file.data, reader, name=file.name, max_bytes=MAX_REPORT_BYTES)
    if reader.root not in reader.roots:
        raise InvalidRequest(f"{file.name} is no {file.kind} report: its outermost element is {reader.root[:60]!r}.")
    return summary


def merge(summaries: Iterable[TestSummary]) -> TestSummary:
    """The sum of several summaries, with the first failures of them in order."""
    every = list(summaries)
    return TestSummary(
        total=sum(one.total for one in every),
        passed=sum(one.passed for one in every),
        failed=sum(one.failed for one in every),
        skipped=sum(one.skipped for one in every),
        failures=tuple(case for one in every for case in one.failures)[:MAX_FAILURES],
    )


def command_as_test(name: str, *, passed: bool, message: str = "", duration_seconds: float = 0.0) -> TestSummary:
    """The summary of a command that is itself one test (`Command.test_case`)."""
    if passed:
        return TestSummary(total=1, passed=1)
    case = TestCase(
        name=bounded(name, _MAX_NAME), message=bounded(message, _MAX_MESSAGE), duration_seconds=duration_seconds
    )
    return TestSummary(total=1, failed=1, failures=(case,))


@dataclass
class Counts:
    """What is known so far, with the first failures by name."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[TestCase] = field(default_factory=list)

    def fail(self, case: TestCase) -> None:
        """Count a failure."""
        self.failed += 1
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(case)

    def summary(self) -> TestSummary:
        """The counts as they stand."""
        total = self.passed + self.failed + self.skipped
        return TestSummary(
            total=total, passed=self.passed, failed=self.failed, skipped=self.skipped, failures=tuple(self.failures)
        )


class _Text:
    """The beginning of a text that comes in pieces."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0

    def add(self, piece: str) -> None:
        if self._length < _MAX_TEXT:
            self._parts.append(piece[: _MAX_TEXT - self._length])
            self._length += len(self._parts[-1])

    def __str__(self) -> str:
        return "".join(self._parts).strip()


class _JUnit:
    """The form that pytest, ctest, surefire, gtest and many others write; counts its cases, trusts no totals."""

    roots = frozenset({"testsuites", "testsuite"})

    def __init__(self) -> None:
        self.root = ""
        self._counts = Counts()
        self._case: dict[str, str] | None = None
        self._verdict = ""
        self._message = ""
        self._text: _Text | None = None
        self._details = _Text()
        self._output = _Text()

    def start(self, tag: str, attrib: dict[str, str]) -> None:
        name = local_name(tag)
        self.root = self.root or name
        if name == "testcase":
            self._case, self._message = attrib, ""
            self._verdict = "skipped" if attrib.get("status") == "disabled" else ""
            self._details, self._output = _Text(), _Text()
        elif self._case is not None:
            self._inside_case(name, attrib)

    def _inside_case(self, name: str, attrib: dict[str, str]) -> None:
        message = attrib.get("message", "")
        if name == "skipped" and message.startswith(_CTEST_NOT_FOUND):
            self._verdict, self._message = "failed", message
        elif name == "skipped":
            self._verdict = self._verdict or "skipped"
        elif name in {"failure", "error"} and self._verdict != "failed":
            self._verdict, self._message, self._text = "failed", message, self._details
        elif name in {"system-out", "system-err"}:
            self._text = self._output

    def data(self, data: str) -> None:
        if self._text is not None:
            self._text.add(data)

    def end(self, tag: str) -> None:
        name = local_name(tag)
        if name in {"failure", "error", "system-out", "system-err"}:
            self._text = None
        elif name == "testcase" and self._case is not None:
            self._finish(self._case)
            self._case = None

    def close(self) -> TestSummary:
        return self._counts.summary()

    def _finish(self, case: dict[str, str]) -> None:
        if self._verdict == "failed":
            details = str(self._details)
            self._counts.fail(
                TestCase(
                    name=bounded(case.get("name", ""), _MAX_NAME) or "(unnamed)",
                    suite=bounded(case.get("classname", ""), _MAX_NAME),
                    message=bounded(self._told(details), _MAX_MESSAGE),
                    place=bounded(_junit_place(case, details), _MAX_NAME),
                    duration_seconds=_seconds(case.get("time", "")),
                )
            )
        elif self._verdict == "skipped":
            self._counts.skipped += 1
        else:
            self._counts.passed += 1

    def _told(self, details: str) -> str:
        """What went wrong: the message, unless it says nothing; then the last line of the details, or the output."""
        if self._message == _PYTEST_SAYS_NOTHING:
            return details.rpartition("\n")[2].removeprefix("E").strip() or self._message
        return self._message or details or str(self._output)[-_MAX_MESSAGE:]


def _junit_place(case: dict[str, str], details: str) -> str:
    """The failing line: last in Python's traces, first in Node's, the test class's own in Java's; else the case's."""
    found = _PLACE.findall(details)
    if found:
        return str(found[-1])
    own = f"{case.get('classname', '')}."
    frames = [str(place) for method, place in _JAVA_FRAME.findall(details) if method.startswith(own)]
    if frames:
        return frames[0]
    own_code = [str(place) for place in _NODE_FRAME.findall(details) if "/node_modules/" not in place]
    if own_code:
        return own_code[0]
    return ":".join(part for part in (case.get("file", ""), case.get("line", "")) if part)


@dataclass
class _Result:
    """A trx result that is still open; one that holds others is counted through them."""

    attributes: dict[str, str]
    message: _Text = field(default_factory=_Text)
    trace: _Text = field(default_factory=_Text)
    has_inner: bool = False


class _Trx:
    """The form of VSTest and of Microsoft.Testing.Platform; the class of a test stands in another part of the file."""

    roots = frozenset({"TestRun"})

    def __init__(self) -> None:
        self.root = ""
        self._counts = Counts()
        self._open: list[_Result] = []
        self._failed_ids: list[str] = []
        self._classes: dict[str, str] = {}
        self._definition = ""
        self._run_outcome = ""
        self._run_error = _Text()
        self._inside = ""
        self._text: _Text | None = None

    def start(self, tag: str, attrib: dict[str, str]) -> None:
        name = local_name(tag)
        self.root = self.root or name
        if name in _TRX_RESULTS:
            if self._open:
                self._open[-1].has_inner = True
            self._open.append(_Result(attrib))
        elif name == "UnitTest":
            self._definition = attrib.get("id", "")
        elif name == "TestMethod" and len(self._classes) < _MAX_DEFINITIONS:
            self._classes[self._definition] = attrib.get("className", "")
        elif name == "ResultSummary":
            self._run_outcome = attrib.get("outcome", "")
        elif name == "ErrorInfo" or (name == "RunInfo" and attrib.get("outcome") == "Error"):
            self._inside = name
        else:
            self._text = self._text_of(name) or self._text

    def _text_of(self, name: str) -> _Text | None:
        if self._inside == "RunInfo":
            return self._run_error if name == "Text" else None
        if self._inside != "ErrorInfo" or not self._open:
            return None
        return {"Message": self._open[-1].message, "StackTrace": self._open[-1].trace}.get(name)

    def data(self, data: str) -> None:
        if self._text is not None:
            self._text.add(data)

    def end(self, tag: str) -> None:
        name = local_name(tag)
        if name in {"Message", "StackTrace", "Text"}:
            self._text = None
        elif name == self._inside:
            self._inside = ""
        elif name in _TRX_RESULTS and self._open:
            result = self._open.pop()
            if not result.has_inner:
                self._finish(result)

    def close(self) -> TestSummary:
        self._counts.failures = [
            case.model_copy(update={"suite": bounded(self._classes.get(test_id, "").partition(",")[0], _MAX_NAME)})
            for case, test_id in zip(self._counts.failures, self._failed_ids, strict=True)
        ]
        if not self._counts.failed and self._run_outcome in _TRX_RUN_FAILED:
            self._counts.fail(TestCase(name="the test run", message=bounded(str(self._run_error), _MAX_MESSAGE)))
        return self._counts.summary()

    def _finish(self, result: _Result) -> None:
        outcome = result.attributes.get("outcome", "Error")
        if outcome in _TRX_PASSED:
            self._counts.passed += 1
        elif outcome in _TRX_SKIPPED:
            self._counts.skipped += 1
        else:
            found = _TRX_PLACE.search(str(result.trace))
            if len(self._failed_ids) < MAX_FAILURES:
                self._failed_ids.append(result.attributes.get("testId", ""))
            self._counts.fail(
                TestCase(
                    name=bounded(result.attributes.get("testName", ""), _MAX_NAME) or "(unnamed)",
                    message=bounded(str(result.message), _MAX_MESSAGE),
                    place=bounded(f"{found.group(1)}:{found.group(2)}" if found else "", _MAX_NAME),
                    duration_seconds=_clock_seconds(result.attributes.get("duration", "")),
                )
            )


def bounded(text: str, length: int) -> str:
    """External text, bounded, without control characters other than tabs and line feeds."""
    plain = _CONTROL.sub("", text.replace("\r\n", "\n")).strip()
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def _seconds(text: str) -> float:
    """A duration of a JUnit report; 0 where it is none. Some tools group digits: `1,234.5`."""
    try:
        seconds = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < float("inf") else 0.0


def _clock_seconds(text: str) -> float:
    """A duration of a trx: `00:00:01.5000000`, with days in front where it took that long (`1.00:00:00`)."""
    found = re.fullmatch(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)", text.strip())
    if found is None:
        return 0.0
    days, hours, minutes = (int(part or 0) for part in found.groups()[:3])
    return days * 86_400 + hours * 3600 + minutes * 60 + float(found.group(4))
