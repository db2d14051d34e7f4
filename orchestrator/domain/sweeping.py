"""Sweeping: what to do with a build or an attempt that nobody moves any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from buildyard.contracts.builds import BuildState, ReasonCode
from orchestrator.domain.lifecycle import end
from orchestrator.domain.records import Build, Limits, Step

RENEW_BELOW = 0.75
"""Any report renews its attempt's lease, once a quarter of it is used up: most reports then write less."""
AHEAD = 1.25
"""A lease that ends later than this many leases from now was set by a clock that ran ahead."""
SETTLING = 0.25
"""So much of a lease workers need to be back after an outage: that much of each stretch of hearing does not count."""
UNSURE = 0.5
"""Two proofs that reports can be heard, further apart than so much of a lease, say nothing of the time between."""
SPARE_TICKETS = 100
"""Tickets without a ready job that are left to agents, which drop what they find no job for."""
FIRST_TICKETS = 200
"""As many tickets are reissued at once where the broker counts none: its 0 may be a false one."""


def lapsed(lease_until: datetime, lease_seconds: float, now: datetime) -> bool:
    """Whether a lease is over. One that ends later than any lease can was set by a clock that ran ahead: it is too.

    Whoever renews a lease replaces such a one as well (`needs_renewal`), so only a silent attempt keeps it.
    """
    return lease_until <= now or lease_until - now > timedelta(seconds=lease_seconds * AHEAD)


def needs_renewal(lease_until: datetime, lease_seconds: float, now: datetime) -> bool:
    """Whether a report moves its attempt's lease: once a quarter of it is used up, or when it is longer than any."""
    left = (lease_until - now).total_seconds() / lease_seconds
    return left < RENEW_BELOW or left > 1


@dataclass(frozen=True)
class Stretch:
    """A time in which reports could be heard without a break: the first proof of it and the newest."""

    began: datetime
    until: datetime


def proved(newest: Stretch | None, lease_seconds: float, now: datetime) -> Stretch:
    """The stretch that a proof of hearing belongs to: the newest one, made longer, or a new one."""
    unsure = timedelta(seconds=lease_seconds * UNSURE)
    if newest is None or not newest.until <= now <= newest.until + unsure:
        return Stretch(now, now)
    return Stretch(newest.began, now)


def had_its_time(lease_until: datetime, stretches: Sequence[Stretch], lease_seconds: float) -> bool:
    """Whether an attempt, had it lived, had one lease's time to be heard after its lease, in sum.

    Outages in between do not begin that time anew: else those that come often enough would keep a dead one for ever.
    """
    settling = timedelta(seconds=lease_seconds * SETTLING)
    counted = (one.until - max(one.began + settling, lease_until) for one in stretches)
    return sum((part for part in counted if part > timedelta(0)), timedelta(0)) >= timedelta(seconds=lease_seconds)


def overdue(
    build: Build, agents_seen_at: datetime | None, limits: Limits, now: datetime, why_nobody: str = ""
) -> Step | None:
    """End a build that passed one of its bounds, with the reason; None while it is within all of them.

    `agents_seen_at` is when its pool last had an agent, or this producer began to listen for them, None for never;
    `why_nobody` is a sentence on why it has none, where that is known.
    """
    if build.state is BuildState.CANCELLING and build.cancelling_at is not None:
        if now - build.cancelling_at < timedelta(seconds=limits.cancel_seconds):
            return None
        reason = f"{build.reason} Its agent did not confirm the stop within {limits.cancel_seconds:g} s."
        return end(build, BuildState.CANCELLED, ReasonCode.CANCELLED, reason, now)
    if build.state is BuildState.RUNNING and build.started_at is not None:
        return _running_too_long(build, build.started_at, limits, now)
    if build.state is BuildState.QUEUED and build.queued_at is not None:
        return _queued_too_long(build, build.queued_at, agents_seen_at, limits, now, why_nobody)
    if build.state is BuildState.RECEIVED and now - build.created_at >= timedelta(seconds=limits.queue_seconds):
        reason = f"The upload was not admitted within {limits.queue_seconds / 3600:g} h."
        return end(build, BuildState.TIMED_OUT, ReasonCode.QUEUED_TOO_LONG, reason, now)
    return None


def _running_too_long(build: Build, started_at: datetime, limits: Limits, now: datetime) -> Step | None:
    allowed = timedelta(minutes=build.properties.timeout_minutes, seconds=limits.end_grace_seconds)
    if now - started_at < allowed:
        return None
    reason = f"The build did not end within {build.properties.timeout_minutes:g} min, and its agent did not say so."
    return end(build, BuildState.TIMED_OUT, ReasonCode.TIMED_OUT, reason, now)


def _queued_too_long(
    build: Build,
    queued_at: datetime,
    agents_seen_at: datetime | None,
    limits: Limits,
    now: datetime,
    why_nobody: str,
) -> Step | None:
    if now - queued_at >= timedelta(seconds=limits.queue_seconds):
        reason = f"No agent of the pool {build.pool} took the build within {limits.queue_seconds / 3600:g} h."
        reason = f"{reason} {why_nobody}".rstrip()
        return end(build, BuildState.TIMED_OUT, ReasonCode.QUEUED_TOO_LONG, reason, now)
    alone_since = max(queued_at, agents_seen_at) if agents_seen_at else queued_at
    if now - alone_since >= timedelta(seconds=limits.no_agent_seconds):
        reason = f"The pool {build.pool} had no agent for {limits.no_agent_seconds / 60:g} min. {why_nobody}".rstrip()
        return end(build, BuildState.FAILED, ReasonCode.NO_AGENT, reason, now)
    return None


def suits_nobody(build: Build, why: str, limits: Limits, now: datetime) -> Step | None:
    """End a build that needs what no agent has had for too long; None when it is over or about to be."""
    if build.state not in {BuildState.QUEUED, BuildState.RUNNING}:
        return None
    reason = f"No suited agent came within {limits.no_agent_seconds / 60:g} min. {why}"
    return end(build, BuildState.FAILED, ReasonCode.NO_AGENT, reason, now)


def tickets_to_drop(ready: int, tickets: int) -> int:
    """How many tickets are too many for so many ready jobs; a few are let be, since jobs and tickets come and go."""
    return max(0, tickets - ready - SPARE_TICKETS)


def tickets_to_reissue(ready: int, tickets: int, pending: int) -> int:
    """How many tickets are missing: ready jobs less tickets in the broker less tickets not yet published.

    Where the broker counts none, some are enough to learn whether it counts at all: they let work begin, and the
    next look sees them, or else its 0 is false and only as many again are issued.
    """
    missing = max(0, ready - tickets - pending)
    return min(missing, FIRST_TICKETS) if tickets <= 0 else missing
