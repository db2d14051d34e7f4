"""The ring keeps the newest lines and accounts for every other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.safe_text import LINE_LIMIT
from tui.widgets.log_levels import Level
from tui.widgets.log_ring import LogEntry, LogRing


def entries(first: int, count: int) -> list[LogEntry]:
    return [LogEntry(f"line {number}", float(number)) for number in range(first, first + count)]


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 50), st.lists(st.one_of(st.integers(0, 120), st.just(None)), max_size=20))
def test_received_is_kept_and_dropped_whatever_comes(capacity: int, batches: list[int | None]) -> None:
    ring, sent, history = LogRing(capacity), 0, []
    for batch in batches:
        if batch is None:
            ring.seam("restarted", missing=2)
            history.append("restarted")
        else:
            ring.extend(entries(sent, batch))
            history += [f"line {number}" for number in range(sent, sent + batch)]
            sent += batch
        kept = [ring[number] for number in range(ring.first, ring.end)]
        assert [line.text for line in kept] == history[-capacity:]
        assert ring.end == len(history)
        lines = sum(not line.seam for line in kept)
        assert ring.account.received == sent
        assert lines + ring.account.dropped == sent
    assert ring.account.missing == 2 * batches.count(None)
    assert [number for number, _ in ring.since(0)] == list(range(ring.first, ring.end))
    assert ring.seams() == [number for number, line in ring.since(0) if line.seam]


def test_characters_are_bounded_too() -> None:
    ring = LogRing(1000, most_characters=10_000)
    ring.extend([LogEntry("x" * 900) for _ in range(50)])
    assert sum(len(line.text) for _, line in ring.since(0)) <= 10_000
    assert ring.account.dropped == 50 - len(ring)


def test_long_and_hostile_lines_are_counted() -> None:
    ring = LogRing()
    ring.extend([LogEntry("x" * (LINE_LIMIT + 5)), LogEntry("a\x1b]52;c;AAAA\x07b"), LogEntry("\x1b[31mred\x1b[0m")])
    assert (ring.account.cut, ring.account.sanitised) == (1, 1)
    assert len(ring[0].text) == LINE_LIMIT
    assert ring[1].text == "ab"
    assert ring[2].text == "red"
    assert ring[2].runs is not None


def test_what_is_gone_cannot_be_asked_for() -> None:
    ring = LogRing(2)
    ring.extend(entries(0, 5))
    assert ring[3].text == "line 3"
    for number in (2, 5, -1):
        with pytest.raises(IndexError):
            ring[number]
    ring.clear()
    assert len(ring) == 0
    assert ring.account.dropped == 5


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 60), st.sampled_from(Level))
def test_grave_lines_are_found_after_any_number_of_lines_left(capacity: int, count: int, least: Level) -> None:
    ring, words = LogRing(capacity), ("error", "warning", "fine", "debug")
    for number in range(count):
        ring.extend([LogEntry(words[number % 4])])
        if number % 3 == 0:
            ring.graver(Level.ERROR)
    expected = [number for number in range(ring.first, ring.end) if ring.level(number) >= least]
    assert ring.graver(least) == expected
