"""What test readers gather: counts of all cases, and suites and cases by name within bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from buildyard.contracts.builds import CaseStatus, TestCase, TestSummary
from buildyard.contracts.testing import MAX_CASES, MAX_FAILED_CASES, MAX_SUITES, TestSuite

MAX_FAILURES = 100
"""So many failures are told with the summary."""
MAX_NAME = 500
MAX_MESSAGE = 2000
_MAX_TEXT = 4 * 2**20
"""Characters that the names of cases without a failure may have together."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Results:
    """The results of a run: `cases` hold the failed ones first; what the bounds leave out is in the counts."""

    summary: TestSummary
    suites: tuple[TestSuite, ...] = ()
    cases: tuple[TestCase, ...] = ()


@dataclass
class _Suite:
    """A suite as far as it is known: `told` are its runner's own seconds for all of it, `summed` those of its cases."""

    counts: dict[CaseStatus, int] = field(default_factory=lambda: {"passed": 0, "failed": 0, "skipped": 0})
    told: float | None = None
    summed: float = 0.0

    @property
    def seconds(self) -> float:
        return self.told or self.summed


class Counts:
    """Counts cases one by one and keeps as many of them as it may; bounded however many there are."""

    def __init__(self, suites: int = MAX_SUITES) -> None:
        """`suites` are counted by name at most."""
        self._most_suites = suites
        self._suites: dict[str, _Suite] = {}
        self._others = _Suite()  # of suites that are not listed
        self._failures: list[TestCase] = []
        self._cases: list[TestCase] = []
        self._text = 0

    def fail(self, name: str, suite: str = "", message: str = "", place: str = "", seconds: float = 0.0) -> None:
        """Count a failure, told in whatever words."""
        self._add(
            TestCase(
                name=bounded(name, MAX_NAME) or "(unnamed)",
                suite=bounded(suite, MAX_NAME),
                message=bounded(message, MAX_MESSAGE),
                place=bounded(place, MAX_NAME),
                duration_seconds=seconds,
            )
        )

    def note(self, status: CaseStatus, name: str, suite: str = "", seconds: float = 0.0) -> None:
        """Count a case that did not fail."""
        name, suite = bounded(name, MAX_NAME) or "(unnamed)", bounded(suite, MAX_NAME)
        self._add(TestCase(name=name, status=status, suite=suite, duration_seconds=seconds))

    def unnamed(self, status: CaseStatus, number: int, suite: str) -> None:
        """Count cases whose names nobody told."""
        if number > 0:
            self._suite(bounded(suite, MAX_NAME)).counts[status] += number

    def took(self, suite: str, seconds: float) -> None:
        """The runner's own time for a suite that has cases; of one suite told in parts, each part."""
        found = self._suites.get(bounded(suite, MAX_NAME))
        if found is not None and seconds:
            found.told = (found.told or 0.0) + seconds

    @property
    def failed(self) -> int:
        """How many failed."""
        return sum(suite.counts["failed"] for suite in (*self._suites.values(), self._others))

    def merge(self, results: Results, renamed: Callable[[str], str] = str) -> None:
        """Count another run's results too, its suites by other names where `renamed` says so."""
        for one in results.suites:
            suite = self._suite(renamed(one.name))
            suite.told = suite.seconds + one.duration_seconds
            for status in suite.counts:
                suite.counts[status] += getattr(one, status)
        listed = [sum(getattr(one, status) for one in results.suites) for status in self._others.counts]
        for status, known in zip(self._others.counts, listed, strict=True):
            self._others.counts[status] += getattr(results.summary, status) - known
        self._others.summed += results.summary.duration_seconds - sum(one.duration_seconds for one in results.suites)
        for case in results.cases:
            suite_name = renamed(case.suite)
            self._keep(case if suite_name == case.suite else case.model_copy(update={"suite": suite_name}))

    def results(self) -> Results:
        """All that is known by now."""
        every = [*self._suites.values(), self._others]
        counts = {status: sum(suite.counts[status] for suite in every) for status in self._others.counts}
        summary = TestSummary(
            total=sum(counts.values()),
            passed=counts["passed"],
            failed=counts["failed"],
            skipped=counts["skipped"],
            duration_seconds=_rounded(sum(suite.seconds for suite in every)),
            failures=tuple(self._failures[:MAX_FAILURES]),
        )
        suites = tuple(_told(name, suite) for name, suite in self._suites.items() if any(suite.counts.values()))
        return Results(summary, suites, (*self._failures, *self._cases))

    def _add(self, case: TestCase) -> None:
        suite = self._suite(case.suite)
        suite.counts[case.status] += 1
        suite.summed += case.duration_seconds
        self._keep(case)

    def _suite(self, name: str) -> _Suite:
        found = self._suites.get(name)
        if found is None:
            found = _Suite() if len(self._suites) < self._most_suites else self._others
            if found is not self._others:
                self._suites[name] = found
        return found

    def _keep(self, case: TestCase) -> None:
        if case.status == "failed":
            if len(self._failures) < MAX_FAILED_CASES:
                self._failures.append(case)
        elif len(self._cases) < MAX_CASES and self._text < _MAX_TEXT:
            self._text += len(case.name) + len(case.suite)
            self._cases.append(case)


def merge(every: Iterable[Results]) -> Results:
    """The sum of several results, with the first cases of them in order."""
    counts = Counts()
    for results in every:
        counts.merge(results)
    return counts.results()


def command_as_test(name: str, *, passed: bool, message: str = "", duration_seconds: float = 0.0) -> Results:
    """The result of a command that is itself one test (`Command.test_case`)."""
    counts = Counts()
    if passed:
        counts.note("passed", name, seconds=duration_seconds)
    else:
        counts.fail(name, message=message, seconds=duration_seconds)
    return counts.results()


def bounded(text: str, length: int) -> str:
    """External text, bounded, without control characters other than tabs and line feeds."""
    whole = text.encode("utf-8", "replace").decode()  # JSON may tell of halves of characters, which no wire takes
    plain = _CONTROL.sub("", whole.replace("\r\n", "\n")).strip()
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def _told(name: str, suite: _Suite) -> TestSuite:
    return TestSuite(
        name=name,
        passed=suite.counts["passed"],
        failed=suite.counts["failed"],
        skipped=suite.counts["skipped"],
        duration_seconds=_rounded(suite.seconds),
    )


def _rounded(seconds: float) -> float:
    """Sums of parts that may cancel out, as they are sent."""
    return max(0.0, round(seconds, 6))
