"""trx, the form of VSTest and of Microsoft.Testing.Platform."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from buildyard.dotnet.safe_xml import local_name
from worker.toolchains.report_text import BeginningOf, clock_seconds_of
from worker.toolchains.results import MAX_NAME, Counts, Results, bounded

_PLACE = re.compile(r" in ([^\n]{1,400}?):line (\d+)")
_RESULTS = frozenset({"UnitTestResult", "TestResultAggregation", "GenericTestResult", "ManualTestResult"})
_PASSED = frozenset({"Passed", "PassedButRunAborted", "Completed", "Warning"})
_RUN_FAILED = frozenset({"Failed", "Error", "Aborted", "Timeout"})
_SKIPPED = frozenset({"NotExecuted", "NotRunnable", "Inconclusive", "Pending", "Disconnected", "InProgress"})
_MOST_IDS = 200_000


@dataclass
class _Result:
    """A result that is still open; one that holds others is counted through them."""

    attributes: dict[str, str]
    message: BeginningOf = field(default_factory=BeginningOf)
    trace: BeginningOf = field(default_factory=BeginningOf)
    has_inner: bool = False


class Trx:
    """Counts the results of a report. The class of a test stands in another part of the file, mostly a later one.

    So results are counted by their test's id first, and cases carry it until the end.
    """

    roots = frozenset({"TestRun"})

    def __init__(self) -> None:
        """Nothing is read yet."""
        self.root = ""
        self._by_id = Counts(suites=_MOST_IDS)
        self._open: list[_Result] = []
        self._classes: dict[str, str] = {}
        self._definition = ""
        self._run_outcome = ""
        self._run_error = BeginningOf()
        self._inside = ""
        self._text: BeginningOf | None = None

    def start(self, tag: str, attrib: dict[str, str]) -> None:
        """An element begins."""
        name = local_name(tag)
        self.root = self.root or name
        if name in _RESULTS:
            if self._open:
                self._open[-1].has_inner = True
            self._open.append(_Result(attrib))
        elif name == "UnitTest":
            self._definition = attrib.get("id", "")
        elif name == "TestMethod" and len(self._classes) < _MOST_IDS:
            self._classes[bounded(self._definition, MAX_NAME)] = attrib.get("className", "").partition(",")[0]
        elif name == "ResultSummary":
            self._run_outcome = attrib.get("outcome", "")
        elif name == "ErrorInfo" or (name == "RunInfo" and attrib.get("outcome") == "Error"):
            self._inside = name
        else:
            self._text = self._text_of(name) or self._text

    def _text_of(self, name: str) -> BeginningOf | None:
        if self._inside == "RunInfo":
            return self._run_error if name == "Text" else None
        if self._inside != "ErrorInfo" or not self._open:
            return None
        return {"Message": self._open[-1].message, "StackTrace": self._open[-1].trace}.get(name)

    def data(self, data: str) -> None:
        """Text of the open element."""
        if self._text is not None:
            self._text.add(data)

    def end(self, tag: str) -> None:
        """An element ends."""
        name = local_name(tag)
        if name in {"Message", "StackTrace", "Text"}:
            self._text = None
        elif name == self._inside:
            self._inside = ""
        elif name in _RESULTS and self._open:
            result = self._open.pop()
            if not result.has_inner:
                self._finish(result)

    def close(self) -> Results:
        """What the report told; a run that failed before any test did is a failure of its own."""
        counts = Counts()
        counts.merge(self._by_id.results(), renamed=lambda test_id: bounded(self._classes.get(test_id, ""), MAX_NAME))
        if not counts.failed and self._run_outcome in _RUN_FAILED:
            counts.fail("the test run", message=str(self._run_error))
        return counts.results()

    def _finish(self, result: _Result) -> None:
        facts = result.attributes
        outcome, name, test_id = (facts.get(key, "") for key in ("outcome", "testName", "testId"))
        seconds = clock_seconds_of(facts.get("duration", ""))
        if outcome in _PASSED or outcome in _SKIPPED:
            self._by_id.note("passed" if outcome in _PASSED else "skipped", name, test_id, seconds)
        else:
            found = _PLACE.search(str(result.trace))
            place = f"{found.group(1)}:{found.group(2)}" if found else ""
            self._by_id.fail(name, test_id, str(result.message), place, seconds)
