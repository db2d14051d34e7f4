from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.builds import TestCase, TestSummary
from buildyard.errors import InvalidRequest
from worker.toolchains.contract import ReportKind
from worker.toolchains.reports import ReportFile, read_report, summarise
from worker.toolchains.results import Results, command_as_test, merge

FIXTURES = Path(__file__).parent / "fixtures"


def fixture(name: str) -> TestSummary:
    kind: ReportKind = "trx" if name.endswith(".trx") else "junit"
    return read_report(ReportFile(kind, name, (FIXTURES / name).read_bytes())).summary


def read_junit(text: str) -> Results:
    return read_report(ReportFile("junit", "r.xml", text.encode()))


def junit(text: str) -> TestSummary:
    return read_junit(text).summary


def counts(summary: TestSummary) -> tuple[int, int, int, int]:
    return (summary.total, summary.passed, summary.failed, summary.skipped)


def test_pytest_reports_are_counted_with_their_failures() -> None:
    summary = fixture("pytest.xml")

    assert counts(summary) == (6, 1, 3, 2)
    assert [(case.name, case.suite, case.place) for case in summary.failures] == [
        ("test_subtracts", "test_shop", "test_shop.py:13"),
        ("test_rounds", "test_shop.TestPrices", "test_shop.py:17"),
        ("test_closing", "test_shop", "test_shop.py:7"),
    ]
    assert summary.failures[0].message == "AssertionError: three less one\nassert (3 - 1) == 1"


def test_a_test_file_that_cannot_be_imported_says_why() -> None:
    summary = junit(
        "<testsuites><testsuite><testcase classname='' name='test_import'><error message='collection failure'>"
        "test_import.py:1: in &lt;module&gt;\nE   ModuleNotFoundError: No module named 'nothere'</error>"
        "</testcase></testsuite></testsuites>"
    )

    assert summary.failures == (
        TestCase(
            name="test_import", message="ModuleNotFoundError: No module named 'nothere'", place="test_import.py:1"
        ),
    )


def test_a_java_failure_is_placed_where_its_own_class_called() -> None:
    summary = junit(
        "<testsuite><testcase name='fails' classname='demo.ATest' time='0.005'><failure message='expected:&lt;4&gt;'>"
        "java.lang.AssertionError: expected:&lt;4&gt;\n\tat org.junit.Assert.fail(Assert.java:89)\n"
        "\tat demo.ATest.fails(ATest.java:6)\n\tat java.base/java.lang.reflect.Method.invoke(Method.java:569)\n"
        "</failure></testcase></testsuite>"
    )

    assert [(case.suite, case.place) for case in summary.failures] == [("demo.ATest", "ATest.java:6")]


def test_the_place_in_a_trace_of_node_is_its_first_frame_outside_of_libraries() -> None:
    trace = (
        "  cause: AssertionError: 1 !== 2\n      at deep (/w/src/node_modules/x/i.js:9:1)\n"
        "      at TestContext.&lt;anonymous> (file:///w/src/test/a.test.js:14:70)\n"
        "      at Test.run (node:internal/test_runner/test:796:25)\n"
    )

    summary = junit(f"<testsuites><testcase name='a'><failure>{trace}</failure></testcase></testsuites>")

    assert summary.failures[0].place == "/w/src/test/a.test.js:14"


def test_ctest_reports_are_counted_and_a_missing_program_is_a_failure() -> None:
    summary = fixture("ctest.xml")

    assert counts(summary) == (4, 0, 2, 2)
    assert [(case.name, case.message) for case in summary.failures] == [
        ("bad", ""),
        ("nf", "Unable to find executable"),
    ]


def test_a_failure_without_words_shows_the_end_of_the_output() -> None:
    summary = junit(
        "<testsuite><testcase name='a'><failure message=''/><system-out>early\nthe reason</system-out></testcase>"
        "<testcase name='b'><system-out>fine</system-out></testcase></testsuite>"
    )

    assert counts(summary) == (2, 1, 1, 0)
    assert summary.failures[0].message == "early\nthe reason"


def test_vstest_reports_are_counted_by_their_innermost_results() -> None:
    summary = fixture("vstest.trx")

    assert counts(summary) == (6, 2, 2, 2)
    discount, rounds = summary.failures
    assert discount.message == "Assert.Equal() Failure\nExpected: 90\nActual:   100"
    assert discount.suite == "Shop.Tests.CartTests"
    assert discount.place == "/build/src/Shop/Cart.cs:27"
    assert discount.duration_seconds == 62.5
    assert (rounds.name, rounds.suite) == ("Rounds (2.5)", "Shop.Tests.MoneyTests")


def test_reports_of_the_testing_platform_are_counted() -> None:
    summary = fixture("platform.trx")

    assert counts(summary) == (3, 1, 2, 0)
    assert [case.suite for case in summary.failures] == ["Shop.Tests.CartTests", ""]


def test_a_run_that_was_aborted_before_any_test_counts_as_a_failure() -> None:
    summary = fixture("vstest-aborted.trx")

    assert counts(summary) == (1, 0, 1, 0)
    assert "Unable to find" in summary.failures[0].message


def test_several_reports_become_one_summary_and_broken_ones_a_sentence() -> None:
    files = [
        ReportFile("junit", "pytest.xml", (FIXTURES / "pytest.xml").read_bytes()),
        ReportFile("junit", "cut.xml", (FIXTURES / "pytest.xml").read_bytes()[:500]),
        ReportFile("trx", "vstest.trx", (FIXTURES / "vstest.trx").read_bytes()),
        ReportFile("trx", "other.trx", b"<html><body/></html>"),
    ]

    results, problems = summarise(files)

    assert results is not None
    assert counts(results.summary) == (12, 3, 5, 4)
    assert problems[0].startswith("cut.xml is not well-formed XML")
    assert problems[1] == "other.trx is no trx report: its outermost element is 'html'."
    assert summarise([]) == (None, ())


def test_a_hundred_failures_are_named_and_all_are_counted() -> None:
    cases = "".join(f"<testcase name='t{n}'><failure/></testcase>" for n in range(250))

    summary = merge([read_junit(f"<testsuite>{cases}</testsuite>")] * 2).summary

    assert (summary.total, summary.failed, len(summary.failures)) == (500, 500, 100)


def test_long_and_coloured_messages_are_bounded_and_plain() -> None:
    summary = junit(f"<testsuite><testcase name='a&#x9b;b'><failure>{'x' * 300_000}</failure></testcase></testsuite>")

    assert summary.failures[0].name == "ab"
    assert len(summary.failures[0].message) == 2000


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY a "b">]><testsuite>&a;</testsuite>',
        '<!DOCTYPE testsuite SYSTEM "file:///etc/passwd"><testsuite/>',
        "<a>" * 200 + "</a>" * 200,
        "",
        "no xml",
        "<?xml version='1.0' encoding='no-such'?><testsuite/>",
    ],
)
def test_hostile_and_broken_xml_is_a_sentence(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^r\.xml .*\.$"):
        junit(text)


def test_utf16_reports_are_read() -> None:
    summary = read_report(ReportFile("junit", "r.xml", "<testsuite><testcase/></testsuite>".encode("utf-16"))).summary

    assert counts(summary) == (1, 1, 0, 0)


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "1e999", "soon", ""])
def test_a_strange_duration_is_zero(seconds: str) -> None:
    summary = junit(f"<testsuite><testcase name='a' time='{seconds}'><failure/></testcase></testsuite>")

    assert summary.failures[0].duration_seconds == 0


def test_a_command_can_be_a_test_of_its_own() -> None:
    assert counts(command_as_test("Shop.Tests", passed=True).summary) == (1, 1, 0, 0)
    failed = command_as_test("Shop.Tests", passed=False, message="5 of 6 checks passed", duration_seconds=2)
    assert failed.summary.failures == (TestCase(name="Shop.Tests", message="5 of 6 checks passed", duration_seconds=2),)


@given(st.binary(max_size=300), st.sampled_from(["junit", "trx"]), st.integers(0, 2000))
def test_no_bytes_crash_the_reader(noise: bytes, kind: str, cut: int) -> None:
    name = "pytest.xml" if kind == "junit" else "vstest.trx"
    real = (FIXTURES / name).read_bytes()
    results, problems = summarise(
        [ReportFile("trx" if kind == "trx" else "junit", name, real[:cut] + noise + real[cut:])]
    )

    assert (results is None) == bool(problems)
    if results:
        summary = results.summary
        assert summary.total == summary.passed + summary.failed + summary.skipped
