"""The join of stored segments and live lines: every line once, in order, whatever comes when."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.messages import LogLines
from orchestrator.api.log_lines import HELD_LINES, Cursor, Line, lines_of
from orchestrator.domain.records import LogSegment
from tests.orchestrator.api.fakes import BUILD_ID, JOB_ID, line_of


def segment(first: int, last: int, build_first: int = 1, attempt: int = 1) -> LogSegment:
    return LogSegment(
        build_first=build_first,
        build_last=build_first + last - first,
        job_id=JOB_ID,
        attempt=attempt,
        first=first,
        key="k",
        size_bytes=1,
        stages=frozenset({"build"}),
    )


def stored_lines(first: int, last: int) -> list[Line]:
    return [Line(n, "", "build", str(n)) for n in range(first, last + 1)]


def live(first: int, last: int, attempt: int = 1) -> LogLines:
    lines = tuple(line_of(n, str(n)) for n in range(first, last + 1))
    return LogLines(build_id=BUILD_ID, job_id=JOB_ID, attempt=attempt, lines=lines)


def numbers(lines: list[Line]) -> list[int]:
    return [line.n for line in lines]


def test_live_lines_follow_what_was_stored() -> None:
    cursor = Cursor()
    cursor.skip([segment(1, 5)])

    assert numbers(cursor.live(live(4, 8))) == [6, 7, 8]


def test_live_lines_behind_a_gap_wait_for_the_store_to_fill_it() -> None:
    cursor = Cursor()
    assert numbers(cursor.live(live(4, 6))) == []

    assert numbers(cursor.stored(segment(1, 4), stored_lines(1, 4))) == [1, 2, 3, 4, 5, 6]


def test_a_segment_that_was_seen_live_brings_nothing() -> None:
    cursor = Cursor()
    cursor.live(live(1, 6))

    assert not cursor.lacks(segment(1, 6))
    assert cursor.stored(segment(1, 6), []) == []


def test_attempts_are_counted_apart() -> None:
    cursor = Cursor()
    cursor.live(live(1, 3))

    assert numbers(cursor.live(live(1, 2, attempt=2))) == [1, 2]


def test_held_lines_are_bounded_and_the_store_fills_what_was_dropped() -> None:
    cursor = Cursor()
    cursor.live(live(2, HELD_LINES + 100))

    fresh = cursor.stored(segment(1, 150), stored_lines(1, 150))

    assert numbers(fresh) == list(range(1, HELD_LINES + 101))


def test_lines_that_nothing_will_store_are_given_out_at_last() -> None:
    cursor = Cursor()
    cursor.live(live(3, 4))

    assert [(job, attempt, numbers(lines)) for job, attempt, lines in cursor.rest()] == [(JOB_ID, 1, [3, 4])]
    assert cursor.rest() == []


def test_a_stored_line_that_cannot_be_read_keeps_its_place() -> None:
    raw = b'{"n":1,"at":"","stage":"build","text":"a"}\n{broken\n[]\n{"n":4,"at":"","stage":"build","text":"d"}\n'

    assert [line.text for line in lines_of(raw)] == ["a", *["[a line that cannot be read]"] * 2, "d"]


@given(
    total=st.integers(1, 60),
    cuts=st.lists(st.integers(1, 59), max_size=6),
    heard=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 20)), max_size=10),
    data=st.data(),
)
def test_every_line_comes_once_and_in_order_whatever_live_messages_are_lost(
    total: int, cuts: list[int], heard: list[tuple[int, int]], data: st.DataObject
) -> None:
    bounds = sorted({0, total, *(cut for cut in cuts if cut < total)})
    steps: list[LogSegment | LogLines] = [segment(before + 1, after, before + 1) for before, after in pairwise(bounds)]
    for first, count in sorted(heard):
        if first <= total:
            steps.insert(data.draw(st.integers(0, len(steps))), live(first, min(total, first + count)))
    cursor = Cursor()

    sent: list[int] = []
    for step in steps:
        if isinstance(step, LogLines):
            sent += numbers(cursor.live(step))
        else:
            last = step.first + step.build_last - step.build_first
            raw = stored_lines(step.first, last) if cursor.lacks(step) else []
            sent += numbers(cursor.stored(step, raw))

    assert sent == list(range(1, total + 1))
