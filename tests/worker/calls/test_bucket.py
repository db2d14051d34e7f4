from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.calls.bucket import full_bucket, reserve

_RATES = st.floats(0.1, 1000)
_BURSTS = st.integers(1, 64)
_ARRIVALS = st.lists(st.floats(0, 5), min_size=1, max_size=200)


def starts(rate: float, burst: float, pauses: list[float]) -> list[tuple[float, float]]:
    """Arrival and start of each call, when they arrive with these pauses between them."""
    bucket, now, found = full_bucket(rate, burst, 0.0), 0.0, []
    for pause in pauses:
        now += pause
        bucket, wait = reserve(bucket, now)
        found.append((now, now + wait))
    return found


@settings(deadline=None)
@given(_RATES, _BURSTS, _ARRIVALS)
def test_in_no_span_begin_more_calls_than_burst_and_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    begun = [start for _, start in starts(rate, burst, pauses)]
    for first in range(len(begun)):
        for last in range(first, len(begun)):
            allowed = burst + rate * (begun[last] - begun[first])
            assert last - first + 1 <= allowed + 1e-6 * rate + 1e-6


@given(_RATES, _BURSTS, _ARRIVALS)
def test_calls_begin_in_order_and_none_before_it_came(rate: float, burst: int, pauses: list[float]) -> None:
    found = starts(rate, burst, pauses)
    assert all(start >= arrival for arrival, start in found)
    begun = [start for _, start in found]
    assert begun == sorted(begun)


@given(_RATES, _BURSTS, st.integers(1, 100))
def test_no_call_waits_longer_than_its_place_in_the_queue(rate: float, burst: int, calls: int) -> None:
    waits = [start for _, start in starts(rate, burst, [0.0] * calls)]
    assert waits == pytest.approx([max(0, number + 1 - burst) / rate for number in range(calls)])


def test_a_clock_that_stands_still_gives_nothing_away() -> None:
    bucket = full_bucket(10, 1, 100.0)
    bucket, first = reserve(bucket, 100.0)
    bucket, second = reserve(bucket, 99.0)
    assert (first, second) == (0.0, pytest.approx(0.1))
