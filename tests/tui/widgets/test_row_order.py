"""Rows stand where a full sort would put them, however they came and changed."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tui.widgets.row_order import RowOrder

KEYS = st.sampled_from([f"k{n}" for n in range(12)])
CHANGES = st.lists(st.tuples(KEYS, st.one_of(st.none(), st.integers(0, 4)), st.booleans()), max_size=40)


def expected(rows: dict[str, int | None], *, by_value: bool, descending: bool, least: int | None) -> list[str]:
    """The order by definition; `rows` is in natural order."""
    shown = [key for key, value in rows.items() if least is None or (value or 0) >= least]
    if not by_value:
        return shown
    present = [key for key in shown if rows[key] is not None]
    missing = [key for key in shown if rows[key] is None]

    def value(key: str) -> Any:
        return rows[key]

    if descending:  # the whole is read backwards, so that the two directions mirror each other
        return [*sorted(present, key=value)[::-1], *missing[::-1]]
    return sorted(present, key=value) + missing


@settings(max_examples=150, deadline=None)
@given(CHANGES, CHANGES, st.booleans(), st.booleans(), st.one_of(st.none(), st.integers(0, 4)))
def test_single_changes_lead_to_the_same_order_as_sorting_all(
    first: list[tuple[str, int | None, bool]],
    then: list[tuple[str, int | None, bool]],
    by_value: bool,
    descending: bool,
    least: int | None,
) -> None:
    rows: dict[str, int | None] = {key: value for key, value, _ in first}
    order = RowOrder()
    order.arrange(
        list(rows),
        sort_key=(lambda key: rows[key]) if by_value else None,
        descending=descending and by_value,
        accepts=(lambda key: (rows[key] or 0) >= least) if least is not None else None,
    )
    for key, value, goes in then:
        before = order.between()
        if goes:
            rows.pop(key, None)
            moved = order.update([], [key])
        else:
            rows[key] = value
            moved = order.update([key])
        now = order.between()
        assert now == expected(rows, by_value=by_value, descending=descending and by_value, least=least)
        assert moved or now == before
        assert order.total == len(rows)
    assert [order.index_of(key) for key in order.between()] == list(range(len(order)))
    assert order.index_of("nobody") is None
    assert order.index_of(None) is None


def test_rows_are_not_asked_for_where_nothing_is_sorted_or_filtered() -> None:
    order = RowOrder()
    order.arrange([str(n) for n in range(100_000)])
    assert order.key_at(99_999) == "99999"
    assert order.index_of("5") == 5
