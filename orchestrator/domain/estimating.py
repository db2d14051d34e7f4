"""Estimates: how long a build may take and when it may begin, learned from what was built before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heapreplace
from math import inf
from statistics import median

NEWEST = 9
"""How many of the newest successes count: enough that one odd build changes nothing, few enough to follow a change."""
_ENOUGH = 3
"""So many successes of the very same kind are better than more of any kind."""
_ONE_BY_ONE = 100
"""Jobs that are handed out one by one in thought; those behind them count as work that flows."""
_OVERDUE_SHARE = 0.1
"""A job that takes longer than expected is expected to take this share of its expected time more."""


@dataclass(frozen=True)
class Success:
    """A build that succeeded; `rows` is None for what was no batch."""

    seconds: float
    toolchain: str = ""
    configuration: str = ""
    rows: int | None = None


@dataclass(frozen=True)
class Kind:
    """What is known of the build to estimate; "" and None stand for what is not known yet."""

    toolchain: str = ""
    configuration: str = ""
    rows: int | None = None


@dataclass(frozen=True)
class Estimate:
    """A guess from history; None where there is no history to guess from."""

    start: datetime | None
    duration_seconds: float | None


def expected_seconds(kind: Kind, of_project: Sequence[Success], of_farm: Sequence[Success]) -> float | None:
    """How long a build may take: the median of its project's newest successes of its kind; newest first.

    What is known of the kind narrows the choice as long as enough are left: the configuration, then the toolchain.
    A batch whose rows are counted is measured by the row. A project without a success takes what builds of the farm
    take. None when nothing ever succeeded.
    """
    if not of_project:
        return _middle(success.seconds for success in of_farm)
    chosen = list(of_project)
    for wanted in ("configuration", "toolchain"):
        value = getattr(kind, wanted)
        same = [success for success in chosen if getattr(success, wanted) == value]
        if value and len(same) >= _ENOUGH:
            chosen = same
    if kind.rows:
        per_row = _middle(success.seconds / success.rows for success in chosen if success.rows)
        if per_row is not None:
            return per_row * kind.rows
    return _middle(success.seconds for success in chosen)


def remaining_seconds(expected: float, elapsed: float) -> float:
    """How much longer something takes that has run for `elapsed` seconds: never nothing, however late it is."""
    return max(expected - elapsed, expected * _OVERDUE_SHARE)


def seconds_until_start(position: int, free_in: Sequence[float], job_seconds: float) -> float:
    """When the job begins that has `position` jobs before it.

    `free_in` are the seconds until each agent is free, 0 for an idle one; the first that is free takes the next job,
    and each takes `job_seconds`. Where there is no agent, one is expected to come for the work.
    """
    free = list(free_in) or [0.0]
    heapify(free)
    ahead = min(position, _ONE_BY_ONE)
    for _ in range(ahead):
        heapreplace(free, free[0] + job_seconds)
    return _worked_off((position - ahead) * job_seconds, sorted(free))


def _worked_off(work_seconds: float, free_in: Sequence[float]) -> float:
    """When so much work is done that any agent may do any part of; `free_in` in order."""
    begun = 0.0
    done = free_in[0]
    for agents, (free, following) in enumerate(zip(free_in, (*free_in[1:], inf), strict=True), start=1):
        begun += free
        done = (work_seconds + begun) / agents
        if done <= following:
            break
    return done


def estimate(
    position: int, free_in: Sequence[float], job_seconds: float | None, duration: float | None, now: datetime
) -> Estimate:
    """The guess that an answer shows. `job_seconds` is what a job of the pool takes, `duration` what this build does.

    Without a past only the next in line can be told when it begins, and only where an agent waits for it.
    """
    if job_seconds is None:
        begins_now = position == 0 and (not free_in or min(free_in) == 0)
        return Estimate(now if begins_now else None, duration)
    return Estimate(now + timedelta(seconds=seconds_until_start(position, free_in, job_seconds)), duration)


def _middle(seconds: Iterable[float]) -> float | None:
    newest = list(seconds)[:NEWEST]
    return median(newest) if newest else None
