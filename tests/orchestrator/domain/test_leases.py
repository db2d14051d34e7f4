"""Leases under a clock that somebody sets: who is heard keeps its lease, who is silent loses it in bounded time."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.sweeping import AHEAD, lapsed, needs_renewal
from tests.buildyard.test_clock import Machine, jumps

LEASE = 30.0


@given(steps=st.lists(st.tuples(st.floats(0.1, LEASE / 3), jumps), min_size=1, max_size=60), silent=st.integers(0, 60))
def test_no_jump_of_the_clock_ends_a_living_lease_or_saves_a_dead_one(
    steps: list[tuple[float, float]], silent: int
) -> None:
    machine = Machine()
    clock = machine.clock()
    until = clock.now() + timedelta(seconds=LEASE)
    unheard = 0.0
    for number, (seconds, jump) in enumerate(steps):
        machine.seconds += seconds
        machine.ahead += jump
        now = clock.now()
        unheard += seconds
        if number < silent:
            if needs_renewal(until, LEASE, now):
                until = now + timedelta(seconds=LEASE)
            unheard = 0.0
        # Reports leave a lease alone while three quarters of it are left.
        assert not lapsed(until, LEASE, now) or unheard * 1.1 >= LEASE * 0.75 - 1e-3
        assert lapsed(until, LEASE, now) or unheard * 0.9 <= LEASE + 1e-3


@given(ahead=st.floats(-7200, 7200))
def test_a_lease_that_a_clock_ahead_set_is_over_unless_its_worker_is_heard(ahead: float) -> None:
    now = Machine().clock().now()
    until = now + timedelta(seconds=LEASE + ahead)
    assert lapsed(until, LEASE, now) == (ahead <= -LEASE or LEASE + ahead > LEASE * AHEAD)
    assert not lapsed(until, LEASE, now) or needs_renewal(until, LEASE, now)
