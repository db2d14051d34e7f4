"""Backpressure: when to refuse new work for now, and when to ask again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from buildyard.errors import ObjectsUnavailable, Overloaded, TemporaryError

SHORTEST_WAIT = 1.0
LONGEST_WAIT = 300.0


@dataclass(frozen=True)
class IntakeLimits:
    """What the farm takes at most. `requests_per_minute` 0 means no limit."""

    open_builds: int
    free_bytes: int
    requests_per_minute: int


@dataclass(frozen=True)
class IntakeSeen:
    """The farm as a new request meets it; None for what is not known, which refuses nothing."""

    open_builds: int | None
    oldest_wait_seconds: float | None
    free_bytes: int | None
    coming_bytes: int


@dataclass(frozen=True)
class Allowance:
    """What one requester may still ask: a bucket that fills at an even rate. `at` is in seconds."""

    tokens: float
    at: float


def refusal(seen: IntakeSeen, limits: IntakeLimits) -> TemporaryError | None:
    """Why a new upload or build must wait; None when it may come in.

    The time to wait is how long the oldest waiting job has waited: about the time the queue needs to move on.
    """
    if seen.open_builds is not None and seen.open_builds >= limits.open_builds:
        wait = min(LONGEST_WAIT, max(SHORTEST_WAIT, seen.oldest_wait_seconds or SHORTEST_WAIT))
        return Overloaded(
            f"The farm has {seen.open_builds} builds in hand, and takes at most {limits.open_builds}.",
            remedy="Try again later, or cancel what is no longer wanted.",
            retry_after=wait,
        )
    if seen.free_bytes is not None and seen.free_bytes - seen.coming_bytes < limits.free_bytes:
        return ObjectsUnavailable(
            f"The farm has {seen.free_bytes // 2**20} MiB of disk left, too little for this.",
            remedy="Make room, or lower BUILDYARD_DISK_RESERVE_BYTES.",
            retry_after=60.0,
        )
    return None


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
