"""One line at full length, safe to draw, JSON one field a row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.tui.test_safe_text import HOSTILE
from tests.tui.widgets.test_hostile_text import NEVER
from tui.expanding import MOST_CHARACTERS, expanded, whole_line
from tui.safe_text import LINE_LIMIT, clean
from tui.state.events import LogLine
from tui.state.logs import Break, Item


def test_json_is_shown_one_field_a_row_with_what_stands_before_it() -> None:
    assert expanded('12:00 INFO {"a": 1, "b": {"c": "é"}}').split("\n") == [
        "12:00 INFO",
        "{",
        '  "a": 1,',
        '  "b": {',
        '    "c": "é"',
        "  }",
        "}",
    ]
    assert expanded("[1]").split("\n") == ["[", "  1", "]"]


def test_what_is_no_json_stays_as_it_is() -> None:
    for text in ("", "plain", "Object { a: 1 }", "[INFO] started", "{" * 5_000):
        assert expanded(text) == text


@given(st.sampled_from([clean(text, limit=500).text for text in HOSTILE]) | st.text(max_size=200))
def test_nothing_that_a_terminal_obeys_comes_out_of_json(text: str) -> None:
    import json

    rows = expanded(json.dumps({"x": text}, ensure_ascii=True)).split("\n")
    assert not any(NEVER.search(row) for row in rows)


def test_a_line_that_was_cut_is_found_whole_in_what_the_source_told() -> None:
    long = "x" * (LINE_LIMIT + 10) + " end"
    items: list[Item] = [Break(0.0, "a break", 0), LogLine("other"), LogLine(f"\x1b[31m{long}")]
    kept = clean(f"\x1b[31m{long}").text
    assert len(kept) == LINE_LIMIT
    assert whole_line(kept, items) == long
    assert whole_line(kept, []) == kept
    assert whole_line("short", items) == "short"


def test_a_line_without_end_is_bounded() -> None:
    long = "y" * (MOST_CHARACTERS + 10)
    assert len(whole_line(clean(long).text, [LogLine(long)])) == MOST_CHARACTERS
