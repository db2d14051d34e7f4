"""Text is measured in cells, not letters."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.safe_text import clean
from tui.widgets.text_cells import fit, wrap_points

TEXT = st.text(st.sampled_from("ab 世界한e\u0301🙂Ω"), max_size=40).map(lambda text: clean(text).text)


@settings(deadline=None)
@given(TEXT, st.integers(0, 30), st.booleans())
def test_fitted_text_has_exactly_the_width(text: str, width: int, right: bool) -> None:
    fitted = fit(text, width, right=right)
    assert cell_len(fitted) == width
    if cell_len(text) <= width:
        assert fitted.strip() == text.strip()


@settings(deadline=None)
@given(TEXT, st.integers(1, 30))
def test_wrapped_rows_fit_and_lose_nothing(text: str, width: int) -> None:
    points = wrap_points(text, width)
    rows = [text[start:end] for start, end in itertools.pairwise(points)]
    assert "".join(rows) == text
    assert rows
    assert all(cell_len(row) <= max(2, width) for row in rows)
