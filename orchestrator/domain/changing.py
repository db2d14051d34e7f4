"""What people change while builds wait: a pool's intake, a build's priority. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from buildyard.contracts.builds import Priority
from buildyard.contracts.wire import rfc3339
from buildyard.errors import Conflict
from orchestrator.domain.records import Build, EventDraft, Step


@dataclass(frozen=True)
class PoolChange:
    """Somebody paused or resumed a pool's intake; the newest of a pool says how it stands."""

    seq: int
    pool: str
    paused: bool
    reason: str
    requester: str
    at: datetime


def why_paused(change: PoolChange | None) -> str:
    """Why a pool hands out no job, in a sentence; empty where it does."""
    if change is None or not change.paused:
        return ""
    why = f": {change.reason.rstrip('.')}" if change.reason else ""
    return f"The pool {change.pool} was paused by {change.requester} at {rfc3339(change.at)}{why}."


def alone_since(seen_at: datetime | None, change: PoolChange | None, now: datetime) -> datetime | None:
    """From when on the lack of agents counts against a pool: never while it is paused, and anew after that."""
    if change is None:
        return seen_at
    again = now if change.paused else change.at
    return again if seen_at is None else max(seen_at, again)


def reprioritised(build: Build, priority: Priority, requester: str) -> Step | None:
    """A waiting or running build gets another priority, which holds for its jobs that no agent has yet.

    None when it has it already.

    Raises:
        Conflict: it has ended.
    """
    if build.state.terminal:
        raise Conflict(
            f"The build has ended already: {build.state.wire}.", remedy="Retry it to build it with another priority."
        )
    if build.priority is priority:
        return None
    told = {"from": build.priority.wire, "to": priority.wire, "requester": requester}
    return Step(replace(build, priority=priority), events=(EventDraft("build_reprioritised", told),))
