from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from worker.calls.breaker import LONGEST_COOL_DOWN, Breaker, Rules, State, begun, cool_down, ended, given_up, waits

RULES = Rules(calls=4, failures=2, cool_down=5, openings=3)


def after(breaker: Breaker, now: float, *, healthy: bool) -> Breaker:
    """One call that begins and ends at this moment."""
    breaker = begun(breaker, RULES, now)
    return ended(breaker, RULES, breaker.generation, now, healthy=healthy)


def test_it_opens_at_so_many_failures_probes_after_the_cool_down_and_closes_after_a_success() -> None:
    breaker = after(after(Breaker(), 0, healthy=False), 1, healthy=True)
    assert breaker.state is State.CLOSED

    breaker = after(breaker, 2, healthy=False)
    assert (breaker.state, waits(breaker, RULES, 2), waits(breaker, RULES, 6.5)) == (State.OPEN, 5, 0.5)

    probing = begun(breaker, RULES, 7)
    assert (probing.state, waits(probing, RULES, 7)) == (State.HALF_OPEN, math.inf)
    good = ended(probing, RULES, probing.generation, 8, healthy=True)
    assert (good.state, good.openings, waits(good, RULES, 8)) == (State.CLOSED, 0, 0)
    bad = ended(probing, RULES, probing.generation, 8, healthy=False)
    assert (bad.state, waits(bad, RULES, 8)) == (State.OPEN, 10)


def test_old_failures_are_forgotten() -> None:
    breaker = after(Breaker(), 0, healthy=False)
    for now in range(1, 10):
        breaker = after(breaker, now, healthy=now % 4 != 0)
    assert breaker.state is State.CLOSED


def test_a_result_from_before_the_opening_changes_nothing() -> None:
    breaker = begun(Breaker(), RULES, 0)
    early = breaker.generation
    breaker = after(after(breaker, 1, healthy=False), 1, healthy=False)
    for healthy in (True, False):
        assert ended(breaker, RULES, early, 2, healthy=healthy) == breaker


def test_a_service_that_never_recovers_is_given_up_after_so_many_openings() -> None:
    breaker, now = after(after(Breaker(), 0, healthy=False), 0, healthy=False), 0.0
    seen = [waits(breaker, RULES, now)]
    while not given_up(breaker, RULES):
        now += waits(breaker, RULES, now)
        breaker = after(breaker, now, healthy=False)
        seen.append(waits(breaker, RULES, now))
    assert seen == [5, 10, 20]


@given(st.floats(0.01, 600), st.integers(1, 1000))
def test_the_cool_down_grows_and_has_a_bound(first: float, openings: int) -> None:
    rules = Rules(1, 1, first, 1)
    assert first <= cool_down(rules, openings) <= cool_down(rules, openings + 1) <= max(first, LONGEST_COOL_DOWN)


class AnyTraffic(RuleBasedStateMachine):
    """Calls that begin whenever the breaker lets them, and end in any order."""

    @initialize(calls=st.integers(1, 6), data=st.data())
    def start(self, calls: int, data: st.DataObject) -> None:
        self.when = Rules(calls, data.draw(st.integers(1, calls)), data.draw(st.floats(0.1, 10)), 1000)
        self.breaker, self.now, self.out, self.streak = Breaker(), 0.0, list[int](), 0
        self.reopens = 0.0

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: waits(self.breaker, self.when, self.now) == 0)
    @rule()
    def a_call_begins(self) -> None:
        assert self.now >= self.reopens, "a call began during the cool-down"
        self.breaker = begun(self.breaker, self.when, self.now)
        self.out.append(self.breaker.generation)

    @precondition(lambda self: self.out)
    @rule(healthy=st.booleans(), data=st.data())
    def a_call_ends(self, healthy: bool, data: st.DataObject) -> None:
        ticket = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.breaker
        self.breaker = ended(before, self.when, ticket, self.now, healthy=healthy)
        if before.state is not State.OPEN and self.breaker.state is State.OPEN:
            assert not healthy, "a success opened it"
            self.reopens = self.now + cool_down(self.when, self.breaker.openings)
        if before.state is State.HALF_OPEN and ticket == before.generation:
            assert self.breaker.state is (State.CLOSED if healthy else State.OPEN)

    @invariant()
    def only_one_probe_is_out(self) -> None:
        if self.breaker.state is State.HALF_OPEN:
            assert self.out.count(self.breaker.generation) == 1
            assert waits(self.breaker, self.when, self.now) == math.inf

    @invariant()
    def a_closed_one_has_fewer_failures_than_open_it(self) -> None:
        if self.breaker.state is State.CLOSED:
            assert self.breaker.recent.count(False) < self.when.failures
            assert len(self.breaker.recent) <= self.when.calls


TestAnyTraffic = AnyTraffic.TestCase
TestAnyTraffic.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
