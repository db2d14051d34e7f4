"""A circuit breaker as a value: whether a service that fails is called at all; pure.

Closed: calls go out, and the newest results are remembered. When enough of them are failures it opens: nothing goes out
for a cool-down. Then it is half-open: one call is the probe. Its success closes the circuit, its failure opens it anew
for twice as long. A result counts only in the state its call began in. (M. Nygard, Release It!, "Circuit Breaker".)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

LONGEST_COOL_DOWN = 60.0


class State(Enum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True)
class Rules:
    """When to open, and for how many seconds; `openings` in a row give the service up."""

    calls: int
    failures: int
    cool_down: float
    openings: int


@dataclass(frozen=True)
class Breaker:
    """`recent` are the newest results while it is closed, `openings` how often it opened since a call succeeded."""

    state: State = State.CLOSED
    recent: tuple[bool, ...] = ()
    opened_at: float = 0.0
    openings: int = 0
    generation: int = 0
    """Grows with each change of state: a call belongs to the one it began in."""


def cool_down(rules: Rules, openings: int) -> float:
    """Seconds that the breaker stays open when it opened so often in a row."""
    longest = max(LONGEST_COOL_DOWN, rules.cool_down)
    return min(longest, rules.cool_down * 2.0 ** min(openings - 1, 32))


def waits(breaker: Breaker, rules: Rules, now: float) -> float:
    """Seconds until a call may begin: 0 at once, infinity while a probe is out whose end nobody knows."""
    if breaker.state is State.CLOSED:
        return 0.0
    if breaker.state is State.HALF_OPEN:
        return math.inf
    return max(0.0, breaker.opened_at + cool_down(rules, breaker.openings) - now)


def given_up(breaker: Breaker, rules: Rules) -> bool:
    """Whether the service failed for so long that no call is worth waiting for."""
    return breaker.state is State.OPEN and breaker.openings >= rules.openings


def begun(breaker: Breaker, rules: Rules, now: float) -> Breaker:
    """After a call began, which `waits` allowed; the call remembers the new breaker's generation."""
    assert waits(breaker, rules, now) == 0, "the breaker does not let a call begin now"
    if breaker.state is State.CLOSED:
        return breaker
    return replace(breaker, state=State.HALF_OPEN, generation=breaker.generation + 1)


def ended(breaker: Breaker, rules: Rules, generation: int, now: float, *, healthy: bool) -> Breaker:
    """After a call of that generation ended; `healthy` when the service answered as one that works."""
    if generation != breaker.generation:
        return breaker
    if breaker.state is State.HALF_OPEN:
        return Breaker(generation=generation + 1) if healthy else _opened(breaker, now)
    recent = (*breaker.recent, healthy)[-rules.calls :]
    if recent.count(False) >= rules.failures:
        return _opened(breaker, now)
    return replace(breaker, recent=recent)


def _opened(breaker: Breaker, now: float) -> Breaker:
    return Breaker(State.OPEN, (), now, breaker.openings + 1, breaker.generation + 1)
