"""Columns fit, and the user's choice of them survives a file."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui.widgets.rows import build_columns
from tui.widgets.columns import GAP, Cell, Column, Layout, place

COLUMNS = st.lists(
    st.builds(
        lambda number, width, grow, priority: Column[str](
            f"c{number}", "title", Cell, width, grow=grow, priority=priority
        ),
        st.integers(0, 20),
        st.integers(2, 30),
        st.booleans(),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda column: column.name,
)
NAMES = st.sampled_from([f"c{n}" for n in range(22)])
LAYOUTS = st.builds(
    Layout,
    shown=st.lists(NAMES, max_size=8, unique=True).map(tuple),
    widths=st.dictionaries(NAMES, st.integers(2, 200)),
    sort=NAMES,
    descending=st.booleans(),
)


@settings(deadline=None)
@given(COLUMNS, LAYOUTS, st.integers(1, 250))
def test_columns_never_overlap_and_never_leave_the_room(columns: list[Column[str]], layout: Layout, room: int) -> None:
    placed = place(columns, layout, room)
    assert placed
    assert placed[0].x == 0
    assert placed[-1].x + placed[-1].width <= room
    assert all(left.x + left.width + GAP == right.x for left, right in itertools.pairwise(placed))
    assert len({one.index for one in placed}) == len(placed)
    left_out = {column.priority for column in columns} - {columns[one.index].priority for one in placed}
    if not layout.shown and left_out and len(placed) > 1:
        assert min(columns[one.index].priority for one in placed) >= min(left_out)


@settings(deadline=None)
@given(LAYOUTS)
def test_a_layout_comes_back_from_a_file_as_it_was(layout: Layout) -> None:
    assert Layout.from_data(json.loads(json.dumps(layout.as_data()))) == layout


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        7,
        {"shown": 3, "widths": [], "sort": None, "descending": "yes"},
        {"shown": [1, None], "widths": {"a": "x", "b": True, 3: 4}},
    ],
)
def test_a_broken_layout_is_the_usual_one(data: Any) -> None:
    assert Layout.from_data(data) == Layout()


def test_widths_from_a_file_are_bounded() -> None:
    assert Layout.from_data({"widths": {"a": -5, "b": 10**9}}).widths == {"a": 2, "b": 200}


def test_a_sort_turns_round_and_ends() -> None:
    once = Layout().sorted_by("wait")
    assert (once.sort, once.descending) == ("wait", False)
    twice = once.sorted_by("wait")
    assert (twice.sort, twice.descending) == ("wait", True)
    assert twice.sorted_by("wait") == Layout()
    assert twice.sorted_by("state") == once.sorted_by("state") == Layout(sort="state")


def test_a_hidden_column_comes_back_to_its_place_and_the_last_one_stays() -> None:
    every = [column.name for column in build_columns()]
    hidden = Layout().toggled("branch", every)
    assert "branch" not in hidden.shown
    assert hidden.toggled("branch", every).shown == tuple(every)
    assert Layout(shown=("state",)).toggled("state", every) == Layout(shown=("state",))


def test_on_a_narrow_screen_what_matters_most_is_left() -> None:
    columns = build_columns()
    names = [columns[one.index].name for one in place(columns, Layout(), 40)]
    assert names == ["state", "build", "stages"]
