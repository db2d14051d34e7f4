"""The steady clock: whatever is done to the machine's clock, spans stay what they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from buildyard.clock import SteadyClock

START = datetime(2026, 1, 1, tzinfo=UTC)
jumps = st.sampled_from([-3600.0, -30.0, 0.0, 0.0, 0.0, 30.0, 3600.0])


@dataclass
class Machine:
    """A clock that somebody sets, and seconds that nobody can."""

    ahead: float = 0.0
    seconds: float = 0.0

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: START + timedelta(seconds=self.seconds + self.ahead), lambda: self.seconds)


@given(steps=st.lists(st.tuples(st.floats(0, 100), jumps), max_size=50))
def test_no_span_is_off_by_more_than_a_tenth_and_time_never_goes_back(steps: list[tuple[float, float]]) -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now()
    for seconds, jump in steps:
        machine.seconds += seconds
        machine.ahead += jump
        now = clock.now()
        assert 0.9 * seconds - 1e-3 <= (now - before).total_seconds() <= 1.1 * seconds + 1e-3
        before = now


def test_it_comes_back_to_the_machines_time_slowly_or_when_it_is_told_to() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.ahead = 60
    machine.seconds = 300
    assert clock.now() == START + timedelta(seconds=330)
    machine.seconds = 1000
    assert clock.now() == START + timedelta(seconds=1060)

    machine.ahead = -3600
    assert clock.now() == START + timedelta(seconds=1060)
    clock.settle()
    assert clock.now() == START + timedelta(seconds=1000 - 3600)
