"""How soon builds end, all in all: from what the newest ones took."""

from __future__ import annotations

from collections.abc import Sequence

NEWEST_WEIGHT = 0.3
"""Weight of the newest duration in the moving average: about the last six builds count."""


def average_seconds(past_seconds: Sequence[float]) -> float:
    """The exponentially weighted moving average of durations, oldest first; there must be one."""
    average = past_seconds[0]
    for seconds in past_seconds[1:]:
        average += NEWEST_WEIGHT * (seconds - average)
    return average


def seconds_until_ended(count: int, agents: int, past_seconds: Sequence[float]) -> float | None:
    """Guess how long it takes until so many builds more have ended; None where there is no history to guess from.

    Agents take builds of the average duration in turn. Their ends are spread evenly, as agents do not start together.
    """
    if not past_seconds:
        return None
    return count * average_seconds(past_seconds) / max(1, agents)
