"""The results of a build's tests in full: suites and cases, bounded, as an object beside its log.

The object is a `TestListHead` in its first line and a `TestCase` in each further one, failed cases first. What a report
tells (`TestSummary`) stays small whatever a project's size: this list never goes through the broker or the database.
"""

from __future__ import annotations

from typing import Literal

from buildyard.contracts.builds import TestCase
from buildyard.contracts.wire import Count, Text, Value

MAX_CASES = 10_000
"""So many cases that passed or were skipped are listed; all are counted."""
MAX_FAILED_CASES = 1_000
"""So many failed cases are listed, beside the others."""
MAX_SUITES = 1_000
LIST_NAME = "tests.jsonl"
"""The object's name below an attempt's prefix."""


class TestSuite(Value):
    """Cases that belong together, as their runner says: a class, a file, a package or a program; "" for none.

    The duration is the runner's own for the suite where it tells one, else the sum of the suite's cases.
    """

    __test__ = False  # pytest: not a test class
    name: Text
    passed: Count = 0
    failed: Count = 0
    skipped: Count = 0
    duration_seconds: float = 0.0


class TestListHead(Value):
    """The first line of the object; `cases` counts the lines after it."""

    __test__ = False  # pytest: not a test class
    v: Literal[1] = 1
    suites: tuple[TestSuite, ...] = ()
    cases: Count = 0


class TestPage(Value):
    """A page of a build's tests. The counts are those of the whole build.

    `suites` stand on the first page only, at most 1,000. `cases_left_out` of the build's cases are counted and not
    listed: those beyond the bounds, and those whose runner told no name. `next_cursor` is the `after` of the next page.
    """

    __test__ = False  # pytest: not a test class
    total: Count
    passed: Count
    failed: Count
    skipped: Count
    duration_seconds: float
    suites: tuple[TestSuite, ...]
    cases: tuple[TestCase, ...]
    cases_left_out: Count
    next_cursor: str | None
