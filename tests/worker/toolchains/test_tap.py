from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.builds import TestCase, TestSummary
from worker.toolchains.tap import Tap


def read(text: str) -> TestSummary:
    reader = Tap()
    for line in text.split("\n"):
        assert reader.shown(line.encode()) == line.encode()
        reader.take(line)
    return reader.results().summary


def counts(summary: TestSummary) -> tuple[int, int, int]:
    assert summary.total == summary.passed + summary.failed + summary.skipped
    return (summary.passed, summary.failed, summary.skipped)


NODE = """
> shop@1.0.0 test
TAP version 13
# Subtest: prices
    # Subtest: are rounded
    ok 1 - are rounded
      ---
      duration_ms: 9.96
      ...
    # Subtest: are summed
    not ok 2 - are summed
      ---
      duration_ms: 1797.5
      location: '/w/src/test/a.test.js:3:1'
      failureType: 'testCodeFailure'
      error: |-
        not equal

        1 !== 2

      code: 'ERR_ASSERTION'
      stack: |-
        ok 7 - no point at all
      ...
    1..2
not ok 1 - prices
  ---
  duration_ms: 11
  ...
ok 2 - later # SKIP
1..2
# fail 1
"""


def test_what_node_prints_is_counted_by_its_innermost_tests() -> None:
    summary = read(NODE)

    assert counts(summary) == (1, 1, 1)
    assert summary.failures == (
        TestCase(
            name="are summed",
            suite="prices",
            message="not equal\n\n1 !== 2",
            place="/w/src/test/a.test.js:3",
            duration_seconds=1.7975,
        ),
    )


def test_the_oldest_form_is_read() -> None:
    summary = read(
        "1..4\nok\nnot ok 2 sums\n#   Failed test at a.t line 3\nok 3 # skip no net\nnot ok 4 - x # TODO later"
    )

    assert counts(summary) == (1, 1, 2)
    assert summary.failures[0].name == "sums"


def test_points_that_the_plan_missed_and_a_bail_out_are_failures() -> None:
    summary = read("TAP version 14\n1..3\nok 1\nBail out! no database")

    assert counts(summary) == (1, 2, 0)
    assert [(case.name, case.message) for case in summary.failures] == [
        ("Bail out!", "no database"),
        ("the plan", "3 tests were planned and 1 ran."),
    ]


def test_the_file_and_line_of_a_diagnostic_are_the_place() -> None:
    summary = read("1..1\nnot ok 1 - a\n  ---\n  message: it's 5\n  at:\n    file: a.js\n    line: 7\n  ...")

    assert (summary.failures[0].message, summary.failures[0].place) == ("it's 5", "a.js:7")


@pytest.mark.parametrize("text", ["", "ok", "ok, all is well\nnot ok at all", "built in 3 s\n  1..2", "TAP versions"])
def test_output_without_version_or_plan_is_no_tap(text: str) -> None:
    assert read(text) == TestSummary()


@pytest.mark.parametrize("text", ["1..0 # skip nothing to do", "TAP version 14\n1..0"])
def test_a_plan_of_nothing_is_no_failure(text: str) -> None:
    assert counts(read(text)) == (0, 0, 0)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["ok", "not ok", "ok # SKIP x", "not ok # todo"]), max_size=30))
def test_every_point_counts_once(points: list[str]) -> None:
    bad = points.count("not ok")

    summary = read("\n".join(["TAP version 13", *points, f"1..{len(points)}"]))

    assert counts(summary) == (points.count("ok"), bad, len(points) - bad - points.count("ok"))


_LINES = st.sampled_from(
    ["ok 1", "not ok 2 - x", "---", "...", "1..3", "TAP version 13", "# Subtest: a", "a: |", "x: 'y'"]
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), _LINES | st.text(max_size=10)), max_size=40))
def test_no_lines_crash_the_reader(lines: list[tuple[int, str]]) -> None:
    counts(read("\n".join(" " * indent + text for indent, text in lines)))


@pytest.mark.parametrize(
    "line", ["    " * 40 + "ok", "not ok " + "# " * 2000, "  ---", "not ok 1", "1..999999999"], ids=range(5)
)
def test_hostile_lines_are_read_in_no_time(line: str) -> None:
    reader = Tap()
    started = time.process_time()

    reader.take("1..1")
    for _ in range(500):
        reader.take(line)
    counts(reader.results().summary)

    assert time.process_time() - started < 10
