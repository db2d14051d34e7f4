"""Figures made of differences: jobs in and out a second, and what the scaler uses itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.api import HealthAnswer
from buildyard.contracts.health import ProcessUse
from tests.tui.app.farms import dashboard_of, ready, screen_text
from tests.tui.samples import at, decision, pool
from tests.tui.screens.builds_farm import farm
from tui.screens.scaler_facts import share_and_size
from tui.state import Store
from tui.state import events as e
from tui.state.history import Flow, Point, flow
from tui.summary import queue_line

STEP = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))


@given(st.lists(STEP, min_size=6, max_size=60))
def test_rates_are_never_more_than_what_happened_and_their_difference_is_exact(
    steps: list[tuple[int, int, int]],
) -> None:
    queued = held = came = left = 0
    points = [Point(0, queued=0, held=0)]
    for second, (arrivals, most_claims, most_ends) in enumerate(steps, 1):
        claims = min(most_claims, queued + arrivals)
        ends = min(most_ends, held + claims)
        queued, held = queued + arrivals - claims, held + claims - ends
        came, left = came + arrivals, left + ends
        points.append(Point(second, queued=queued, held=held))
    told = flow(points)
    assert told.came is not None
    assert told.left is not None
    assert -1e-9 <= told.came <= came / len(steps) + 1e-9
    assert -1e-9 <= told.left <= left / len(steps) + 1e-9
    assert told.came - told.left == pytest.approx((queued + held) / len(steps))


def test_one_job_a_second_that_comes_is_claimed_and_ends_is_counted_exactly() -> None:
    points = [Point(second, queued=second % 2, held=(second + 1) % 2) for second in range(21)]
    assert flow(points) == Flow(0.5, 0.5)


def test_too_few_counts_and_those_far_apart_say_nothing() -> None:
    assert flow([]) == Flow()
    assert flow([Point(second, queued=1, held=1) for second in range(4)]) == Flow()
    assert flow([Point(second * 60, queued=second, held=0) for second in range(10)]) == Flow()
    assert flow([Point(second, ready=5, leases=1) for second in range(30)]) == Flow(), "the scaler's counts are others"


def test_a_pause_is_no_flow_and_the_scalers_older_counts_do_not_disturb() -> None:
    store = Store()
    for second in range(30):
        paused = second > 15
        view = pool(ready=0 if paused else 4).model_copy(update={"waiting": 4 if paused else 0})
        store.apply(e.PoolsSeen(at(second), (view,)))
        store.apply(e.DecisionsSeen((decision(second + 1, seconds=second),)))
    line = queue_line(store, store.pools["linux"], at(30))
    assert (line.in_rate, line.out_rate) == (0.0, 0.0)


def health(seconds: float, cpu: float | None, memory: int | None = 60_000_000) -> e.HealthSeen:
    use = None if cpu is None else ProcessUse(cpu_seconds=cpu, memory_bytes=memory)
    return e.HealthSeen("scaler", at(seconds), HealthAnswer(status="ok", version="1", checks=()), use)


def test_the_scalers_share_of_a_core_is_that_between_two_answers() -> None:
    store = Store()
    store.apply(health(0, None))
    assert "scaler" not in store.use
    store.apply(health(5, 10.0))
    assert share_and_size(store.use["scaler"]) == "CPU ? of a core, 57.2MiB"
    assert store.apply(health(10, 10.2))
    assert share_and_size(store.use["scaler"]) == "CPU 4.0% of a core, 57.2MiB"
    store.apply(health(7, 10.1))
    assert store.use["scaler"].at == at(10), "what was asked for earlier changes nothing"
    store.apply(health(15, 0.3, None))
    assert share_and_size(store.use["scaler"]) == "CPU ? of a core, ?", "it began anew"


async def test_the_scalers_screen_tells_what_it_uses() -> None:
    told = (health(90, 10.0), health(95, 10.1))
    async with dashboard_of(*farm(), *told, now=at(99)).run_test(size=(80, 24)) as pilot:
        app = await ready(pilot)
        await pilot.press("5")
        await ready(pilot)
        assert "linux, last 5 minutes · scaler: CPU 2.0% of a core, 57.2MiB" in screen_text(app)
