"""What all parts of the service stand on: the farm's facts, the outlets, and telling after a commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from buildyard.clock import Clock
from buildyard.contracts.api import Links
from buildyard.contracts.builds import BuildState, Outcome, ReasonCode
from buildyard.contracts.events import BuildEvent
from buildyard.contracts.messages import Order, Ticket
from buildyard.contracts.scaling import PoolConfig
from buildyard.ports import ObjectStore
from orchestrator.domain.records import Build, Limits
from orchestrator.feed import Feed
from orchestrator.store import Store
from orchestrator.store.transaction import Saved

AGENT_LOST_AFTER = 3
"""Heartbeats that may be missed before an agent counts as lost."""
_CUT = {
    (Outcome.LOST.wire, ReasonCode.WORKER_LOST.value): Outcome.LOST,
    (Outcome.HANDED_BACK.wire, ReasonCode.HANDED_BACK.value): Outcome.HANDED_BACK,
}
"""Ends of an attempt, with their reason, that its worker's own end brought about."""


@dataclass(frozen=True)
class Outlets:
    """Where the consequences of a commit go. None of these may block or raise."""

    tickets: Callable[[tuple[Ticket, ...]], None]
    controls: Callable[[tuple[Order, ...]], None]
    ended: Callable[[Build], None]
    received: Callable[[Build], None]
    """A build waits for its upload to be looked at."""
    refused: Callable[[str], None] = lambda _report: None
    """A report of this type came came from an attempt that is over or that nobody knows."""
    cut: Callable[[str, Outcome], None] = lambda _pool, _outcome: None
    """A worker of this pool ended with a lease in hand: LOST, or HANDED_BACK."""


@dataclass(frozen=True)
class Farm:
    """The farm's fixed facts that requests are checked against."""

    pools: tuple[PoolConfig, ...]
    limits: Limits
    max_build_minutes: float
    upload_keep_hours: float
    heartbeat_seconds: float
    git_hosts: tuple[str, ...]
    git_local_roots: tuple[str, ...]
    admits_at_once: bool
    """Whether uploads need no scan."""


class Core:
    """The parts, and what follows a commit."""

    def __init__(
        self, store: Store, objects: ObjectStore, feed: Feed, farm: Farm, clock: Clock, outlets: Outlets
    ) -> None:
        self._store = store
        self._objects = objects
        self._feed = feed
        self._farm = farm
        self._clock = clock
        self._outlets = outlets

    @property
    def _silence(self) -> timedelta:
        """How long an agent may be silent before it counts as lost."""
        return silence(self._farm.heartbeat_seconds)

    def _tell(self, saved: Saved) -> None:
        """Hand on what a committed step brought about."""
        self._feed.publish(saved.events)
        if saved.tickets:
            self._outlets.tickets(saved.tickets)
        for event in saved.events:
            if event.type == "build_ended":
                self._outlets.ended(saved.build)
            elif event.type == "build_received" and saved.build.state is BuildState.RECEIVED:
                self._outlets.received(saved.build)
            elif cut := _cut(event):
                self._outlets.cut(saved.build.pool, cut)


def _cut(event: BuildEvent) -> Outcome | None:
    """How an attempt was cut off, if it was; not one that was handed on to an agent that suits."""
    if event.type != "attempt_ended" or "needs" in event.data:
        return None
    return _CUT.get((event.data["outcome"], event.data["reasonCode"]))


def silence(heartbeat_seconds: float) -> timedelta:
    """How long an agent may be silent before it counts as lost."""
    return timedelta(seconds=heartbeat_seconds * AGENT_LOST_AFTER)


def links_of(build_id: str) -> Links:
    """Where to read on about a build."""
    base = f"/api/v1/builds/{build_id}"
    return Links(self_=base, logs=f"{base}/logs", events=f"{base}/events", trace=f"{base}/trace")
