"""A chart fills its cells exactly and never makes up a reading."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.widgets.chart_cells import (
    GAP,
    LABEL,
    UNKNOWN,
    WANTED,
    Chart,
    Mark,
    Panel,
    Runs,
    Sample,
    axis,
    bar,
    column_of,
    lay_out,
    scale_top,
)

PANELS = (Panel("ready"), Panel("unacked"), Panel("workers", line=3, line_name="wanted"))
COUNTS = st.one_of(st.none(), st.integers(0, 10**7))
SAMPLES = st.lists(st.builds(Sample, st.floats(-10, 110), st.tuples(COUNTS, COUNTS, COUNTS, COUNTS)), max_size=40).map(
    lambda samples: sorted(samples, key=lambda sample: sample.at)
)
MARKS = st.lists(st.builds(Mark, st.floats(-10, 110), st.sampled_from(["↑", "↓", "", "=="])), max_size=5)


def text(row: Runs) -> str:
    return "".join(piece for piece, _ in row)


@settings(deadline=None)
@given(SAMPLES, MARKS, st.integers(1, 120), st.integers(0, 30), st.booleans())
def test_a_chart_is_exactly_as_large_as_asked(
    samples: list[Sample], marks: list[Mark], width: int, height: int, ascii_only: bool
) -> None:
    rows = lay_out(Chart(0, 100, PANELS, samples, marks), width, height, ascii_only=ascii_only)
    assert len(rows) == height
    assert all(cell_len(text(row)) == width for row in rows)
    if ascii_only and not any(mark.glyph in {"↑", "↓"} for mark in marks):
        assert all(text(row).isascii() for row in rows)


@settings(deadline=None)
@given(SAMPLES, st.integers(LABEL + 1, 80))
def test_each_column_shows_the_peak_the_gap_or_that_it_is_unknown(samples: list[Sample], width: int) -> None:
    plot = width - LABEL
    chart = Chart(0, 100, (Panel("ready"),), samples)
    [row] = lay_out(chart, width, 1)
    cells = text(row)[LABEL:]
    for column, cell in enumerate(cells):
        values = [sample.values[0] for sample in samples if column_of(sample.at, chart, plot) == column]
        known = [value for value in values if value is not None]
        if not values:
            assert cell == GAP
        elif not known:
            assert cell == UNKNOWN
        else:
            assert (cell == " ") == (max(known) == 0)


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 10))
def test_bars_grow_with_the_value_and_anything_above_none_is_seen(value: int, tall: int) -> None:
    top = scale_top([value])
    drawn = bar(value, top, tall)
    assert len(drawn) == tall
    assert (drawn.strip() == "") == (value == 0)
    assert bar(top, top, tall) == "█" * tall
    heights = ["".join(bar(share * top // 7, top, tall)).rstrip() for share in range(8)]
    assert [len(one) for one in heights] == sorted(len(one) for one in heights)
    assert value <= top <= max(1, 10 * value)


def test_wanted_workers_are_a_line_over_the_bars() -> None:
    samples = [Sample(float(at), (0, 0, 2, 10)) for at in range(0, 100, 2)]
    rows = [text(row) for row in lay_out(Chart(0, 100, PANELS, samples, [Mark(50, "↑")]), LABEL + 40, 11)]
    workers = rows[6:9]
    assert WANTED in workers[0]
    assert "▅" in workers[2]
    assert rows[9].startswith("decisions")
    assert rows[9].index("↑") == LABEL + 20
    assert rows[10].endswith("now")


def test_the_axis_tells_how_long_ago() -> None:
    assert axis(3600, 60).split() == ["-60m", "-45m", "-30m", "-15m", "now"]
    assert axis(60, 3) == "now"
    assert len(axis(60, 1)) == 1


def test_nothing_read_is_not_nothing_there() -> None:
    [row] = lay_out(Chart(0, 100, (Panel("ready"),)), LABEL + 10, 1)
    assert text(row)[LABEL:] == GAP * 10


def test_a_value_stands_until_the_next_one_is_overdue() -> None:
    samples = [Sample(float(at), (5,)) for at in (0, 10, 20, 60)]
    [row] = lay_out(Chart(0, 100, (Panel("ready"),), samples, every=10), LABEL + 50, 1)
    cells = text(row)[LABEL:]
    assert cells.index(GAP) == 21  # twice ten seconds after the third
    assert cells[21:30] == GAP * 9
    assert cells[30] == "█"
    assert cells[41:] == GAP * 9
