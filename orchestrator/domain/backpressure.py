"""Backpressure: when to refuse new work for now, and when to ask again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from buildyard.errors import ObjectsUnavailable, Overloaded, TemporaryError
from orchestrator.domain.schedule import seconds_until_ended

SHORTEST_WAIT = 1.0
LONGEST_WAIT = 300.0
_DISK_WAIT = 60.0
"""No model tells when somebody makes room on a disk."""
_MIB = 2**20


@dataclass(frozen=True)
class IntakeLimits:
    """What the farm takes at most. `requests_per_minute` and `unbuilt_bytes` 0 mean no limit."""

    open_builds: int
    unbuilt_bytes: int
    free_bytes: int
    requests_per_minute: int


@dataclass(frozen=True)
class IntakeSeen:
    """The farm as a new request meets it; None for what is not known, which refuses nothing.

    `unbuilt_bytes` are those of uploads on their way in or not built yet. `coming_bytes` are those that the request
    announces: 0 for an upload that does not say, None for a request that brings no upload. `agents` and
    `past_seconds` (oldest first) are what the wait is guessed from.
    """

    open_builds: int | None = None
    oldest_wait_seconds: float | None = None
    unbuilt_bytes: int | None = None
    free_bytes: int | None = None
    coming_bytes: int | None = None
    agents: int = 0
    past_seconds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Allowance:
    """What one requester may still ask: a bucket that fills at an even rate. `at` is in seconds."""

    tokens: float
    at: float


def refusal(seen: IntakeSeen, limits: IntakeLimits) -> TemporaryError | None:
    """Why a new upload or build must wait, and for how long; None when it may come in."""
    return _too_many_builds(seen, limits) or _too_many_bytes(seen, limits) or _too_little_disk(seen, limits)


def wait_seconds(ends: int, seen: IntakeSeen) -> float:
    """How long to wait until so many of the builds in hand have ended, from 1 to 300 s.

    It is guessed as the start of a queued build is. Where nothing was built yet, it is as long as the oldest waiting
    job has waited: about the time the queue needs to move on.
    """
    guess = seconds_until_ended(ends, seen.agents, seen.past_seconds)
    if guess is None:
        guess = seen.oldest_wait_seconds or 0.0
    return min(LONGEST_WAIT, max(SHORTEST_WAIT, guess))


def _too_many_builds(seen: IntakeSeen, limits: IntakeLimits) -> TemporaryError | None:
    if seen.open_builds is None or seen.open_builds < limits.open_builds:
        return None
    sentence = f"The farm has {seen.open_builds} builds in hand, and takes at most {limits.open_builds}."
    return _overloaded(sentence, wait_seconds(seen.open_builds - limits.open_builds + 1, seen))


def _too_many_bytes(seen: IntakeSeen, limits: IntakeLimits) -> TemporaryError | None:
    """The wait is that for as many builds as hold the bytes too many, if all hold the same."""
    if not limits.unbuilt_bytes or not seen.unbuilt_bytes or seen.coming_bytes is None:
        return None
    beyond = seen.unbuilt_bytes + max(1, seen.coming_bytes) - limits.unbuilt_bytes
    if beyond <= 0:
        return None
    builds = max(1, seen.open_builds or 0)
    ends = min(builds, math.ceil(beyond * builds / seen.unbuilt_bytes))
    sentence = (
        f"The farm holds {seen.unbuilt_bytes // _MIB} MiB of uploads that are not built yet,"
        f" and takes at most {limits.unbuilt_bytes // _MIB} MiB."
    )
    return _overloaded(sentence, wait_seconds(ends, seen))


def _too_little_disk(seen: IntakeSeen, limits: IntakeLimits) -> TemporaryError | None:
    if seen.free_bytes is None or seen.free_bytes - (seen.coming_bytes or 0) >= limits.free_bytes:
        return None
    return ObjectsUnavailable(
        f"The farm has {seen.free_bytes // _MIB} MiB of disk left, too little for this.",
        remedy="Make room, or lower BUILDYARD_DISK_RESERVE_BYTES.",
        retry_after=_DISK_WAIT,
    )


def _overloaded(sentence: str, wait: float) -> Overloaded:
    remedy = f"Try again in about {math.ceil(wait)} s, or cancel what is no longer wanted."
    return Overloaded(sentence, remedy=remedy, retry_after=wait)


def spend(allowance: Allowance | None, now: float, limits: IntakeLimits) -> tuple[Allowance, float]:
    """Take one request from a requester's allowance: what is left, and how many seconds to wait (0: go ahead).

    A minute's worth may be asked at once; a refused request costs nothing.
    """
    most = float(limits.requests_per_minute)
    if most <= 0:
        return Allowance(0, now), 0.0
    rate = most / 60
    held = most if allowance is None else min(most, allowance.tokens + max(0.0, now - allowance.at) * rate)
    if held < 1:
        return Allowance(held, now), (1 - held) / rate
    return replace(Allowance(held, now), tokens=held - 1), 0.0
