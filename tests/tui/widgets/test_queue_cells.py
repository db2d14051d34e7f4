"""Queues are shown with what is known of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.tui.test_safe_text import HOSTILE
from tui.safe_text import plain
from tui.widgets.queue_cells import QueueLine, history, queue_rows, worst_first
from tui.widgets.stage_bar import StageMark, stage_pieces

QUEUE = QueueLine("linux", 12, 3, 1.2, 3.4, 42.0, 4, history=[(1, 2), None, (None, 0), (9, 0)])
COUNTS = st.one_of(st.none(), st.integers(0, 10**9))


def test_the_worst_queue_stands_first_and_an_unknown_one_before_it() -> None:
    calm, late = replace(QUEUE, name="calm", oldest=0.0), replace(QUEUE, name="late", oldest=900.0)
    unknown = replace(QUEUE, name="unknown", ready=None)
    assert [queue.name for queue in worst_first([calm, late, unknown, QUEUE])] == ["unknown", "late", "linux", "calm"]


def test_an_unknown_count_is_never_none() -> None:
    words = "".join(text for text, _ in queue_rows(replace(QUEUE, ready=None), 120)[0])
    assert "? ready" in words
    assert " 0 ready" not in words


def test_history_tells_gap_unknown_and_zero_apart() -> None:
    assert history([(4,), None, (None,), (0,)], 6) == "  ▆·? "
    assert history([(4,), None, (None,), (0,)], 2) == "? "


@settings(deadline=None)
@given(
    st.sampled_from([*HOSTILE, "linux"]),
    COUNTS,
    st.integers(1, 200),
    st.booleans(),
    st.booleans(),
    st.lists(st.one_of(st.none(), st.tuples(COUNTS, COUNTS)), max_size=50),
)
def test_rows_of_any_queue_fit_or_are_cut_whole(
    name: str, ready: int | None, width: int, tall: bool, utf8: bool, past: list[tuple[int | None, int | None] | None]
) -> None:
    queue = replace(QUEUE, name=name, ready=ready, state=name, history=past)
    rows = queue_rows(queue, width, tall=tall, utf8=utf8)
    assert len(rows) == 1 + tall
    for row in rows[: 1 + tall]:
        cells = sum(cell_len(plain(text)) for text, _ in row)
        assert cells <= max(width, 27) or not tall


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["Succeeded", "Failed", "Running", "Pending", "Odd\x1b[2J"]), max_size=7),
    st.integers(1, 120),
)
def test_stages_are_told_in_words_where_it_matters(states: list[str], width: int) -> None:
    stages = [StageMark(name, state, 61.0) for name, state in zip("abcdefg", states, strict=False)]
    told = "".join(text for text, _ in stage_pieces(stages, width))
    if "Failed" in states and "Running" not in states and "Odd\x1b[2J" not in states:
        assert "failed" in told.lower()
    assert stage_pieces([], width) == []
