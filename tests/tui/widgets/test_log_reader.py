"""A reader keeps its place while lines come, go and wrap anew."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.widgets.filter_terms import parse
from tui.widgets.log_levels import Level
from tui.widgets.log_reader import FILTER_KEYS, LogReader
from tui.widgets.log_ring import LogEntry, LogRing

WORDS = ("fine", "error one", "warning two", "long " * 12, "世界 " * 9, "")


def reader(lines: int = 0, capacity: int = 1000, height: int = 5, width: int = 20) -> LogReader:
    made = LogReader(LogRing(capacity))
    made.width, made.height = width, height
    add(made, lines)
    return made


def add(to: LogReader, lines: int) -> None:
    end = to.ring.end
    to.ring.extend(
        [LogEntry(f"{n} {WORDS[n % len(WORDS)]}", float(n), f"agent-{n % 3}") for n in range(end, end + lines)]
    )
    to.catch_up()


def numbers(of: LogReader) -> list[int]:
    return [row.number for row in of.window()]


def expected_numbers(of: LogReader) -> list[int]:
    wanted = []
    for number, line in of.ring.since(0):
        hidden = of.ring.level(number) < of.minimum
        if of.filter and of.only:
            fields = {"": line.text, "level": of.ring.level(number).word, "source": line.source, "agent": line.source}
            hidden = hidden or not of.filter.matches(fields.__getitem__)
        if line.seam or not hidden:
            wanted.append(number)
    return wanted


def seam(on: LogReader, _: int) -> None:
    on.ring.seam("restarted")
    on.catch_up()


def resize(on: LogReader, number: int) -> None:
    on.width, on.height, on.wrap = number + 1, number % 9 + 1, number % 2 == 0


FILTERS = ["", "error", "!error", "agent:1 fine|two", "level:warning", "nothing such"]
STEPS: dict[str, Callable[[LogReader, int], object]] = {
    "add": add,
    "seam": seam,
    "resize": resize,
    "scroll": lambda on, n: on.scroll(n - 20),
    "move": lambda on, n: on.move(n - 20),
    "filter": lambda on, n: on.set_filter(parse(FILTERS[n % len(FILTERS)], FILTER_KEYS)),
    "only": lambda on, n: on.set_filter(on.filter, only=n % 2 == 0),
    "level": lambda on, n: on.set_minimum(Level(n % 4)),
    "match": lambda on, n: on.next_match(backwards=n % 2 == 0),
    "error": lambda on, n: on.next_error(backwards=n % 2 == 0),
    "start": lambda on, _: on.to_start(),
    "resume": lambda on, _: on.resume(),
    "stop": lambda on, _: on.stop(),
}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 40)), max_size=30))
def test_whatever_is_done_the_screen_is_full_in_order_and_right(steps: list[tuple[str, int]]) -> None:
    on = reader(10, capacity=60)
    for name, number in steps:
        found = STEPS[name](on, number)
        shown = expected_numbers(on)
        assert on.count == len(shown)
        assert [on.number_at(index) for index in range(on.count)] == shown
        rows = on.window()
        assert [(row.number, row.part) for row in rows] == sorted((row.number, row.part) for row in rows)
        assert {row.number for row in rows} <= set(shown)
        total = sum(len(on.rows_of(number)) for number in shown)
        assert len(rows) == min(on.height, total)
        if on.follow and rows:
            assert rows[-1].number == shown[-1]
        if on.wrap:
            assert all(cell_len(on.ring[r.number].text[r.start : r.end]) <= max(2, on.width) for r in rows)
        if on.cursor is not None:
            assert on.ring.first <= on.cursor < on.ring.end
        if (name == "move" or found) and on.cursor is not None and on.cursor in shown:
            assert on.cursor in numbers(on)


def test_following_stops_on_scroll_and_counts_what_comes() -> None:
    on = reader(100)
    assert numbers(on)[-1] == 99
    on.scroll(-3)
    before = numbers(on)
    assert before[-1] == 96
    add(on, 40)
    assert (numbers(on), on.new) == (before, 40)
    on.scroll(10_000)
    assert numbers(on)[-1] == 139
    assert not on.follow
    on.resume()
    assert (on.new, on.follow) == (0, True)


def test_new_lines_are_those_that_the_filter_shows() -> None:
    on = reader(60)
    on.set_filter(parse("error"))
    on.scroll(-1)
    add(on, 60)
    assert on.new == 10


def test_the_place_is_kept_while_old_lines_leave_and_moves_on_when_its_line_goes() -> None:
    on = reader(50, capacity=50)
    on.scroll(-10)
    before = numbers(on)
    add(on, 20)
    assert numbers(on) == before
    add(on, 1000)
    assert numbers(on)[0] == on.ring.first
    assert on.new == 1020


def test_matches_go_round_and_stay_in_context() -> None:
    on = reader(60)
    on.set_filter(parse("error"), only=False)
    assert on.count == 60
    assert on.next_match(backwards=True) == (10, 10)
    assert on.cursor == 55
    assert 54 in numbers(on)
    assert on.next_match() == (1, 10)
    assert on.next_match() == (2, 10)
    assert on.cursor == 7
    on.set_filter(parse("nothing such"))
    assert on.next_match() is None


def test_errors_are_jumped_to_both_ways() -> None:
    on = reader(30)
    assert on.next_error(backwards=True)
    assert on.cursor == 25
    assert on.next_error(backwards=True)
    assert on.cursor == 19
    assert on.next_error()
    assert on.cursor == 25
    assert not reader(1).next_error()


def test_a_seam_is_shown_whatever_the_filter_hides() -> None:
    on = reader(10)
    on.ring.seam("agent restarted", missing=14)
    on.catch_up()
    on.set_filter(parse("nothing such"))
    on.set_minimum(Level.ERROR)
    assert [on.ring[number].text for number in numbers(on)] == ["agent restarted"]
