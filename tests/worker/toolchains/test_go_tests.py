from __future__ import annotations

import json
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.builds import TestCase, TestSummary
from worker.toolchains.go_tests import GoTests

P = "example.org/shop"


def event(action: str, test: str = "", **more: object) -> dict[str, object]:
    return {"Action": action, "Package": P, **({"Test": test} if test else {}), **more}


def read(*events: dict[str, object]) -> TestSummary:
    reader = GoTests()
    for found in events:
        reader.shown(json.dumps(found).encode())
    return reader.results().summary


def counts(summary: TestSummary) -> tuple[int, int, int]:
    assert summary.total == summary.passed + summary.failed + summary.skipped
    return (summary.passed, summary.failed, summary.skipped)


def test_a_failed_test_has_its_message_its_place_and_its_duration() -> None:
    summary = read(
        event("start"),
        event("run", "TestSum"),
        event("output", "TestSum", Output="=== RUN   TestSum\n"),
        event("output", "TestSum", Output="    sum_test.go:12: got 3\n"),
        event("output", "TestSum", Output="        want 4\n"),
        event("output", "TestSum", Output="--- FAIL: TestSum (0.25s)\n"),
        event("fail", "TestSum", Elapsed=0.25),
        event("run", "TestOK"),
        event("pass", "TestOK", Elapsed=0),
        event("run", "TestSkip"),
        event("skip", "TestSkip"),
        event("output", Output="FAIL\texample.org/shop\t0.3s\n"),
        event("fail", Elapsed=0.3),
    )

    assert counts(summary) == (1, 1, 1)
    assert summary.failures == (
        TestCase(
            name="TestSum",
            suite=P,
            message="sum_test.go:12: got 3\n        want 4",
            place="sum_test.go:12",
            duration_seconds=0.25,
        ),
    )


def test_a_test_with_subtests_counts_through_them() -> None:
    summary = read(
        event("start"),
        event("run", "TestAll"),
        event("run", "TestAll/a"),
        event("pass", "TestAll/a"),
        event("run", "TestAll/b"),
        event("fail", "TestAll/b"),
        event("fail", "TestAll"),
        event("run", "TestOwn"),
        event("run", "TestOwn/a"),
        event("pass", "TestOwn/a"),
        event("fail", "TestOwn"),
        event("fail"),
    )

    assert counts(summary) == (2, 2, 0)
    assert [case.name for case in summary.failures] == ["TestAll/b", "TestOwn"]


def test_a_package_that_cannot_be_compiled_is_a_failure_of_its_own_name() -> None:
    summary = read(
        {"ImportPath": f"{P} [{P}.test]", "Action": "build-output", "Output": f"# {P} [{P}.test]\n"},
        {"ImportPath": f"{P} [{P}.test]", "Action": "build-output", "Output": "b_test.go:3:28: not used: y\n"},
        {"ImportPath": f"{P} [{P}.test]", "Action": "build-fail"},
        event("start"),
        event("output", Output=f"FAIL\t{P} [build failed]\n"),
        event("fail", FailedBuild=f"{P} [{P}.test]"),
    )

    assert counts(summary) == (0, 1, 0)
    assert (summary.failures[0].name, summary.failures[0].place) == (P, "b_test.go:3")
    assert "not used: y" in summary.failures[0].message


def test_a_test_that_never_ended_failed() -> None:
    started = (
        event("start"),
        event("run", "TestA"),
        event("run", "TestA/x"),
        event("output", "TestA/x", Output="in\n"),
    )

    for summary in (read(*started), read(*started, event("fail"))):
        assert counts(summary) == (0, 1, 0)
        assert (summary.failures[0].name, summary.failures[0].message) == ("TestA/x", "in")


def test_the_log_shows_the_text_of_events_and_other_lines_as_they_are() -> None:
    reader = GoTests()

    assert reader.shown(b"go: downloading x v1.0.0") == b"go: downloading x v1.0.0"
    assert reader.shown(b'{"not": "an event"}') == b'{"not": "an event"}'
    assert reader.shown(json.dumps(event("output", "TestA", Output="\x1b[31mred\n")).encode()) == b"\x1b[31mred"
    assert reader.shown(json.dumps(event("run", "TestA")).encode()) is None


def test_packages_run_at_the_same_time_and_tests_of_one_name_are_kept_apart() -> None:
    other: dict[str, object] = {"Action": "run", "Package": "other", "Test": "TestA"}

    summary = read(event("run", "TestA"), other, event("pass", "TestA"), {**other, "Action": "fail"})

    assert counts(summary) == (1, 1, 0)
    assert summary.failures[0].suite == "other"


_TEXTS = st.sampled_from(["", "TestA", "TestA/b", "TestA/b/c", "/", "p"])
_EVENTS = st.fixed_dictionaries(
    {"Action": st.sampled_from(["start", "run", "output", "pass", "fail", "skip", "pause", "build-output", "x"])},
    optional={
        "Package": _TEXTS,
        "Test": _TEXTS,
        "Output": st.text(max_size=20),
        "Elapsed": st.floats() | st.text(max_size=3) | st.integers(),
        "ImportPath": _TEXTS,
        "FailedBuild": _TEXTS,
    },
)


@settings(deadline=None)
@given(st.lists(_EVENTS, max_size=30), st.binary(max_size=50))
def test_no_order_of_events_and_no_bytes_crash_the_reader(events: list[dict[str, object]], noise: bytes) -> None:
    reader = GoTests()
    reader.shown(noise)
    for found in events:
        reader.shown(json.dumps(found).encode())

    summary = reader.results().summary

    counts(summary)
    ends = sum(found["Action"] in {"run", "output", "start"} for found in events)
    assert summary.passed + summary.skipped <= ends
    assert all(case.duration_seconds >= 0 for case in summary.failures)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["pass", "fail", "skip"]), st.booleans()), max_size=20))
def test_every_leaf_counts_once(leaves: list[tuple[str, bool]]) -> None:
    events = [event("start"), event("run", "TestAll")]
    for number, (verdict, _) in enumerate(leaves):
        events += [event("run", f"TestAll/{number}"), event(verdict, f"TestAll/{number}")]
    failed = any(verdict == "fail" for verdict, _ in leaves)
    events += [event("fail" if failed else "pass", "TestAll"), event("fail" if failed else "pass")]

    verdicts = [verdict for verdict, _ in leaves] or ["pass"]
    assert counts(read(*events)) == tuple(verdicts.count(word) for word in ("pass", "fail", "skip"))


def test_a_hostile_run_is_read_in_no_time_and_little_memory() -> None:
    reader = GoTests()
    started = time.process_time()

    for number in range(21_000):
        reader.shown(json.dumps(event("run", f"Test{number}")).encode())
        reader.shown(json.dumps(event("output", f"Test{number}", Output=" " * 50)).encode())
    reader.shown(json.dumps(event("run", "/".join("a" * 8000))).encode())
    reader.shown(b'{"Action":' * 2000)
    summary = reader.results().summary

    assert time.process_time() - started < 20
    assert summary.failed <= 20_000
    assert len(summary.failures) == 100
