from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.builds import TestCase, TestSummary
from worker.toolchains.libtest import LibtestReader
from worker.toolchains.printed import reader_of

FIXTURES = Path(__file__).parent / "fixtures"


def read(text: str) -> TestSummary:
    reader = LibtestReader()
    for line in text.splitlines():
        reader.take(line)
    return reader.results().summary


def counts(summary: TestSummary) -> tuple[int, int, int, int]:
    return (summary.total, summary.passed, summary.failed, summary.skipped)


def test_names_messages_and_places_of_failures_are_read_from_all_programs() -> None:
    summary = read((FIXTURES / "cargo-test.txt").read_text(encoding="utf-8"))

    assert counts(summary) == (7, 3, 3, 1)
    err, fails, no_panic = summary.failures
    assert err == TestCase(name="tests::err", suite="roman", message='Error: "bad"')
    assert (fails.name, fails.place) == ("tests::fails", "src/lib.rs:10")
    assert fails.message == 'assertion `left == right` failed: wrong\nsum\n  left: "2"\n right: "3"'
    assert (no_panic.name, no_panic.place) == ("tests::nopanic", "src/lib.rs:12")


def test_an_older_compilers_panic_is_understood() -> None:
    summary = read(
        "running 1 test\ntest a ... FAILED\n\nfailures:\n\n---- a stdout ----\n"
        "thread 'a' panicked at 'it's\nbroken', src/a.rs:7:5\n"
        "note: run with `RUST_BACKTRACE=1`\n\n\nfailures:\n    a\n\n"
        "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n"
    )

    assert summary.failures == (TestCase(name="a", suite="tests", message="it's\nbroken", place="src/a.rs:7"),)


def test_a_program_that_dies_is_a_failure_and_what_it_told_counts() -> None:
    summary = read(
        "     Running tests/it.rs (target/release/deps/it-a2dc2b12d63e599f)\n\nrunning 3 tests\ntest a ... ok\n"
        "error: test failed, to rerun pass `--test it`\n\nCaused by:\n  process didn't exit successfully (signal: 6)\n"
        "     Running tests/other.rs (target/release/deps/other-0123456789abcdef)\n\nrunning 1 test\ntest b ... ok\n\n"
        "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
    )

    assert counts(summary) == (3, 2, 1, 0)
    assert summary.failures == (
        TestCase(name="it", message="The test program ended early: 1 of 3 tests told their result."),
    )


def test_a_program_without_libtest_is_one_failure_when_cargo_says_it_failed() -> None:
    summary = read(
        "     Running tests/own.rs (target/release/deps/own-a2dc2b12d63e599f)\nsome words\n"
        "error: test failed, to rerun pass `--test own`\n"
    )

    assert counts(summary) == (1, 0, 1, 0)
    assert summary.failures[0].name == "own"


def test_output_that_stops_in_a_run_is_a_failure() -> None:
    assert counts(read("running 2 tests\ntest a ... ignored, slow")) == (2, 0, 1, 1)


def test_output_between_the_lines_does_not_disturb_the_counts() -> None:
    summary = read(
        "running 2 tests\ntest a ... noise of a child\nok\n"
        "test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
        "test b ... ok\n\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
    )

    assert counts(summary) == (2, 2, 0, 0)


def test_no_tests_are_no_tests() -> None:
    assert counts(reader_of("libtest").results().summary) == (0, 0, 0, 0)


_LINES = st.sampled_from(
    [
        "running 2 tests",
        "test a ... ok",
        "test b ... FAILED",
        "failures:",
        "---- b stdout ----",
        "thread 'b' panicked at src/b.rs:1:2:",
        "    b",
        "",
        "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
        "     Running tests/it.rs (target/it-a2dc2b12d63e599f)",
        "   Doc-tests roman",
        "error: test failed, to rerun pass `--lib`",
    ]
)


@given(st.lists(_LINES | st.text(max_size=30), max_size=60))
def test_whatever_is_printed_the_counts_add_up(printed: list[str]) -> None:
    summary = read("\n".join(printed))

    assert summary.total == summary.passed + summary.failed + summary.skipped
    assert len(summary.failures) <= min(summary.failed, 100)


@pytest.mark.parametrize(
    "part", ["thread '", "thread 'a' panicked at ", "thread 'a' panicked at 'b', c:1:1x", "test a ... "]
)
def test_hostile_output_is_read_in_no_time(part: str) -> None:
    section = "\n".join([part * 200] * 400)
    started = time.process_time()

    read(
        f"running 1 test\nfailures:\n---- a stdout ----\n{section}\nfailures:\n    a\n\n"
        "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n"
    )

    assert time.process_time() - started < 5
