"""One model of suites and cases, whatever told of them; bounded, and nothing is lost from the counts."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.builds import CaseStatus, TestCase
from buildyard.contracts.testing import MAX_CASES, MAX_FAILED_CASES, MAX_SUITES, TestSuite
from tests.worker.toolchains.test_tap import NODE
from worker.toolchains.contract import OutputKind, ReportKind
from worker.toolchains.printed import reader_of
from worker.toolchains.reports import ReportFile, read_report
from worker.toolchains.results import Counts, Results, bounded, merge

FIXTURES = Path(__file__).parent / "fixtures"


def reported(kind: ReportKind, text: str | bytes) -> Results:
    return read_report(ReportFile(kind, "r.xml", text if isinstance(text, bytes) else text.encode()))


def printed(kind: OutputKind, lines: list[str]) -> Results:
    reader = reader_of(kind)
    for line in lines:
        if (shown := reader.shown(line.encode())) is not None:
            reader.take(shown.decode())
    return reader.results()


def told(results: Results) -> list[tuple[str, str, str, float]]:
    return [(case.status, case.suite, case.name, case.duration_seconds) for case in results.cases]


def suites(results: Results) -> list[tuple[str, int, int, int, float]]:
    return [(one.name, one.passed, one.failed, one.skipped, one.duration_seconds) for one in results.suites]


def test_a_suite_of_surefire_has_its_own_time_and_its_cases_theirs() -> None:
    results = reported(
        "junit",
        "<testsuite name='demo.ATest' time='1.5' tests='3'>"
        "<testcase name='adds' classname='demo.ATest' time='0.25'/>"
        "<testcase name='later' classname='demo.ATest'><skipped/></testcase>"
        "<testcase name='fails' classname='demo.ATest' time='0.5'><failure message='no'/></testcase></testsuite>",
    )

    assert told(results) == [
        ("failed", "demo.ATest", "fails", 0.5),
        ("passed", "demo.ATest", "adds", 0.25),
        ("skipped", "demo.ATest", "later", 0.0),
    ]
    assert suites(results) == [("demo.ATest", 1, 1, 1, 1.5)]
    assert results.summary.duration_seconds == 1.5


def test_suites_of_pytest_are_its_modules_and_classes_with_the_sum_of_their_cases() -> None:
    results = reported("junit", (FIXTURES / "pytest.xml").read_bytes().replace(b'"0.000"', b'"0.125"'))

    assert suites(results) == [("test_shop", 1, 2, 1, 0.5), ("test_shop.TestPrices", 0, 1, 1, 0.25)]
    assert ("passed", "test_shop", "test_adds", 0.125) in told(results)


def test_where_the_class_says_nothing_the_suite_is_the_path_of_those_around_the_case() -> None:
    results = reported(
        "junit",
        "<testsuites><testsuite name='prices' time='0.5'><testsuite name='round' time='0.25'>"
        "<testcase name='up' classname='test'/></testsuite><testcase name='a' classname='a'/></testsuite></testsuites>",
    )

    assert suites(results) == [("prices > round", 1, 0, 0, 0.25), ("prices", 1, 0, 0, 0.5)]


def test_a_trx_names_passed_cases_with_the_class_that_its_later_part_tells() -> None:
    results = reported("trx", (FIXTURES / "vstest.trx").read_bytes())

    assert {(status, suite) for status, suite, _, _ in told(results)} == {
        ("passed", ""),
        ("failed", "Shop.Tests.CartTests"),
        ("skipped", ""),
        ("failed", "Shop.Tests.MoneyTests"),
        ("passed", "Shop.Tests.MoneyTests"),
        ("skipped", "Shop.Tests.MoneyTests"),
    }
    assert ("passed", "Shop.Tests.MoneyTests", "Rounds (1.5)", 0.01) in told(results)
    assert ("Shop.Tests.CartTests", 0, 1, 0, 62.5) in suites(results)


def test_tap_tells_passed_points_and_the_time_of_a_subtest_as_a_suite() -> None:
    results = printed("tap", NODE.split("\n"))

    assert told(results) == [
        ("failed", "prices", "are summed", 1.7975),
        ("passed", "prices", "are rounded", 0.00996),
        ("skipped", "", "later", 0.0),
    ]
    assert suites(results) == [("prices", 1, 1, 0, 0.011), ("", 0, 0, 1, 0.0)]


def test_go_names_passed_tests_and_gives_each_package_its_time() -> None:
    events = [
        {"Action": "start", "Package": "p"},
        {"Action": "run", "Package": "p", "Test": "TestA"},
        {"Action": "run", "Package": "p", "Test": "TestA/x"},
        {"Action": "pass", "Package": "p", "Test": "TestA/x", "Elapsed": 0.5},
        {"Action": "pass", "Package": "p", "Test": "TestA", "Elapsed": 0.5},
        {"Action": "pass", "Package": "p", "Elapsed": 2.0},
    ]

    results = printed("go", [json.dumps(event) for event in events])

    assert told(results) == [("passed", "p", "TestA/x", 0.5)]
    assert suites(results) == [("p", 1, 0, 0, 2.0)]


def test_rust_names_passed_tests_and_counts_those_whose_line_was_torn() -> None:
    results = printed(
        "libtest",
        [
            "     Running unittests src/lib.rs (target/release/deps/roman-0123456789abcdef)",
            "running 3 tests",
            "test writes ... ok",
            "test reads ... noise of a child",
            "ok",
            "test slow ... ignored",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.75s",
        ],
    )

    assert told(results) == [("passed", "roman", "writes", 0.0), ("skipped", "roman", "slow", 0.0)]
    assert suites(results) == [("roman", 2, 0, 1, 0.75)]
    assert results.summary.passed == 2


def test_of_a_huge_run_so_many_cases_are_kept_failures_beside_them_and_all_are_counted() -> None:
    counts = Counts()
    for number in range(MAX_CASES + 5):
        counts.note("passed", f"t{number}", f"s{number % (MAX_SUITES + 3)}", 0.001)
    for number in range(MAX_FAILED_CASES + 5):
        counts.fail(f"f{number}", "s0")

    results = merge([counts.results(), counts.results()])

    assert (results.summary.passed, results.summary.failed) == (2 * (MAX_CASES + 5), 2 * (MAX_FAILED_CASES + 5))
    assert len(results.cases) == MAX_CASES + MAX_FAILED_CASES
    assert {case.status for case in results.cases[:MAX_FAILED_CASES]} == {"failed"}
    assert (len(results.suites), len(results.summary.failures)) == (MAX_SUITES, 100)
    assert abs(results.summary.duration_seconds - 2 * (MAX_CASES + 5) / 1000) < 0.1


def test_names_without_end_do_not_fill_the_memory() -> None:
    counts = Counts()
    for number in range(9000):
        counts.note("passed", f"{number:09}" * 80, "s" * 1000)

    kept = counts.results().cases

    assert sum(len(case.name) + len(case.suite) for case in kept) < 4 * 2**20 + 1000
    assert counts.results().summary.passed == 9000


def test_halves_of_characters_do_not_break_the_wire() -> None:
    assert bounded("a\ud800b", 10) == "a?b"
    assert TestCase(name=bounded("\udfff", 5)).encode()


_STATUSES: tuple[CaseStatus, ...] = ("passed", "failed", "skipped")
_CASES = st.lists(
    st.tuples(st.sampled_from(_STATUSES), st.sampled_from(["", "a", "b"]), st.integers(0, 8)), max_size=30
)


def _counted(cases: list[tuple[CaseStatus, str, int]]) -> Results:
    counts = Counts()
    for status, suite, eighths in cases:
        if status == "failed":
            counts.fail("x", suite, seconds=eighths / 8)
        else:
            counts.note(status, "x", suite, eighths / 8)
    return counts.results()


@settings(deadline=None)
@given(st.lists(_CASES, max_size=4))
def test_results_in_parts_are_the_results_of_the_whole(parts: list[list[tuple[CaseStatus, str, int]]]) -> None:
    whole = _counted([case for part in parts for case in part])
    merged = merge(_counted(part) for part in parts)

    assert merged.summary == whole.summary
    assert sorted(suites(merged)) == sorted(suites(whole))
    assert sorted(told(merged)) == sorted(told(whole))
    assert whole.summary.total == len(whole.cases)
    assert all(isinstance(one, TestSuite) for one in whole.suites)
