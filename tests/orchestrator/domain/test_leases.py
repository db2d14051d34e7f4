"""Leases under a clock that somebody sets: who is heard keeps its lease, who is silent loses it in bounded time."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.sweeping import AHEAD, SETTLING, Stretch, had_its_time, lapsed, needs_renewal, proved
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


_SWEEP = 1.0
_outages = st.lists(st.tuples(st.floats(0, 3 * LEASE), st.floats(0, 10 * LEASE)), min_size=1, max_size=40)
"""Seconds in which reports can be heard, then seconds in which they cannot, and so on."""


def _stretches(start: datetime, times: list[tuple[float, float]]) -> tuple[list[Stretch], float]:
    """What a sweeper proves of such times with a look each second, and how many seconds ended them all."""
    stretches: list[Stretch] = []
    at = 0.0
    for heard, unheard in times:
        newest = None
        for look in range(int(heard / _SWEEP) + 1):
            now = start + timedelta(seconds=at + look * _SWEEP)
            newest = proved(newest, LEASE, now)
            stretches = [*(one for one in stretches if one.began != newest.began), newest]
        at += heard + unheard
    return stretches, at


@given(times=_outages)
def test_an_attempt_is_over_once_it_could_be_heard_for_a_lease_in_sum_however_often_that_was_broken(
    times: list[tuple[float, float]],
) -> None:
    start = Machine().clock().now()
    stretches, _ = _stretches(start, times)
    worth = sum(max(0.0, heard - LEASE * SETTLING) for heard, _ in times)
    slack = _SWEEP * len(times)
    assert had_its_time(start, stretches, LEASE) or worth < LEASE + slack
    assert not had_its_time(start, stretches, LEASE) or worth >= LEASE - 1e-3


@settings(deadline=None)
@given(times=_outages, beat=st.floats(1, LEASE / 3), back=st.floats(0, LEASE * SETTLING))
def test_no_outages_end_the_attempt_of_a_worker_that_speaks_whenever_it_can(
    times: list[tuple[float, float]], beat: float, back: float
) -> None:
    """It is heard `back` seconds after each outage, and then every `beat` seconds; unheard, it says nothing else."""
    start = Machine().clock().now()
    until = start + timedelta(seconds=LEASE)
    at = 0.0
    for number, (heard, unheard) in enumerate(times):
        speaks = back
        while speaks <= heard:
            stretches, _ = _stretches(start, [*times[:number], (speaks, 0)])
            assert not had_its_time(until, stretches, LEASE)
            now = start + timedelta(seconds=at + speaks)
            if needs_renewal(until, LEASE, now):
                until = now + timedelta(seconds=LEASE)
            speaks += beat
        at += heard + unheard


def test_looks_too_far_apart_say_nothing_of_the_time_between() -> None:
    start = Machine().clock().now()
    first = proved(None, LEASE, start)
    for seconds in (-1, LEASE * 0.6, LEASE * 100):
        now = start + timedelta(seconds=seconds)
        assert proved(first, LEASE, now) == Stretch(now, now)


def test_a_lease_from_a_clock_ahead_is_not_ended_by_time_in_sum() -> None:
    start = Machine().clock().now()
    long = Stretch(start, start + timedelta(seconds=LEASE * 10))
    assert not had_its_time(start + timedelta(days=1), [long], LEASE)
    assert had_its_time(start, [long], LEASE)
