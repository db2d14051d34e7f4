"""JUnit XML, the form that pytest, ctest, surefire, gtest and many others write."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from buildyard.contracts.builds import CaseStatus
from buildyard.dotnet.safe_xml import local_name
from worker.toolchains.report_text import BeginningOf, seconds_of
from worker.toolchains.results import MAX_MESSAGE, Counts, Results

_PYTEST_SAYS_NOTHING = "collection failure"
_CTEST_NOT_FOUND = "Unable to find executable"  # ctest fails for want of it, yet reports the test as skipped
_PLACE = re.compile(r"^[ \t]*([^\s:]+\.\w+:\d+)", re.MULTILINE)
_JAVA_FRAME = re.compile(r"^[ \t]*at ([\w$.]{1,400})\(([\w$-]{1,200}\.\w{1,10}:\d{1,9})\)", re.MULTILINE)
_NODE_FRAME = re.compile(r"^[ \t]*at (?:[^\n/]{1,300}[( ])?(?:file://)?(/[^\s():]{1,400}:\d{1,9}):\d", re.MULTILINE)
_NO_SUITE = frozenset({"", "test", "(empty)", "pytest"})  # what Node's runner, ctest and pytest write in want of a name
_DEEPEST = 32


@dataclass
class _Case:
    """A case that is still open."""

    attributes: dict[str, str]
    verdict: CaseStatus = "passed"
    message: str = ""
    details: BeginningOf = field(default_factory=BeginningOf)
    output: BeginningOf = field(default_factory=BeginningOf)


class JUnit:
    """Counts the cases of a report, and trusts no totals."""

    roots = frozenset({"testsuites", "testsuite"})

    def __init__(self) -> None:
        """Nothing is read yet."""
        self.root = ""
        self._counts = Counts()
        self._suites: list[tuple[str, float]] = []  # the open ones: name and seconds
        self._case: _Case | None = None
        self._text: BeginningOf | None = None

    def start(self, tag: str, attrib: dict[str, str]) -> None:
        """An element begins."""
        name = local_name(tag)
        self.root = self.root or name
        if name == "testcase":
            self._case = _Case(attrib, "skipped" if attrib.get("status") == "disabled" else "passed")
        elif self._case is not None:
            self._inside(self._case, name, attrib)
        elif name == "testsuite":
            self._suites.append((attrib.get("name", ""), seconds_of(attrib.get("time", ""))))

    def _inside(self, case: _Case, name: str, attrib: dict[str, str]) -> None:
        message = attrib.get("message", "")
        if name == "skipped" and message.startswith(_CTEST_NOT_FOUND):
            case.verdict, case.message = "failed", message
        elif name == "skipped" and case.verdict == "passed":
            case.verdict = "skipped"
        elif name in {"failure", "error"} and case.verdict != "failed":
            case.verdict, case.message, self._text = "failed", message, case.details
        elif name in {"system-out", "system-err"}:
            self._text = case.output

    def data(self, data: str) -> None:
        """Text of the open element."""
        if self._text is not None:
            self._text.add(data)

    def end(self, tag: str) -> None:
        """An element ends."""
        name = local_name(tag)
        if name in {"failure", "error", "system-out", "system-err"}:
            self._text = None
        elif name == "testcase" and self._case is not None:
            self._finish(self._case)
            self._case = None
        elif name == "testsuite" and self._suites:
            path = self._path()
            own, seconds = self._suites.pop()
            for suite in {own, path}:
                self._counts.took(suite, seconds)

    def close(self) -> Results:
        """What the report told."""
        return self._counts.results()

    def _finish(self, case: _Case) -> None:
        name, seconds = case.attributes.get("name", ""), seconds_of(case.attributes.get("time", ""))
        suite = case.attributes.get("classname", "")
        if suite in _NO_SUITE or suite == name:
            suite = self._path()
        if case.verdict == "failed":
            details = str(case.details)
            self._counts.fail(name, suite, _told(case, details), _place(case.attributes, details), seconds)
        else:
            self._counts.note(case.verdict, name, suite, seconds)

    def _path(self) -> str:
        """The open suites by their names, the outermost first."""
        return " > ".join(name for name, _ in self._suites[:_DEEPEST] if name not in _NO_SUITE)


def _told(case: _Case, details: str) -> str:
    """What went wrong: the message, unless it says nothing; then the last line of the details, or the output."""
    if case.message == _PYTEST_SAYS_NOTHING:
        return details.rpartition("\n")[2].removeprefix("E").strip() or case.message
    return case.message or details or str(case.output)[-MAX_MESSAGE:]


def _place(case: dict[str, str], details: str) -> str:
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
