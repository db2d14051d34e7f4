"""Estimates: when a queued build may start and how long it may take, from what builds took before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

NEWEST_WEIGHT = 0.3
"""Weight of the newest duration in the moving average: about the last six builds count."""


@dataclass(frozen=True)
class Estimate:
    """A guess from history; None where there is no history to guess from."""

    start: datetime | None
    duration_seconds: float | None


def average_seconds(past_seconds: Sequence[float]) -> float:
    """The exponentially weighted moving average of durations, oldest first; there must be one."""
    average = past_seconds[0]
    for seconds in past_seconds[1:]:
        average += NEWEST_WEIGHT * (seconds - average)
    return average


def seconds_until_ended(count: int, agents: int, past_seconds: Sequence[float]) -> float | None:
    """Guess how long it takes until so many builds more have ended; None where there is no history to guess from.

    The model is that of `estimate`: agents take builds of the average duration in turn. Their ends are spread evenly,
    since agents do not start together.
    """
    if not past_seconds:
        return None
    return count * average_seconds(past_seconds) / max(1, agents)


def estimate(position: int, agents: int, past_seconds: Sequence[float], now: datetime) -> Estimate:
    """Guess from the queue position (0 is next), the agents present and past durations, oldest first.

    The duration is an exponentially weighted moving average; the start assumes that agents take builds of such
    a duration in turn.
    """
    if not past_seconds:
        return Estimate(now if position == 0 else None, None)
    average = average_seconds(past_seconds)
    rounds = position // max(1, agents)
    return Estimate(now + timedelta(seconds=rounds * average), average)
