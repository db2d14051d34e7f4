"""Whether an attempt still has its lease, as its worker can know it: a call must not go out for one that lost it."""

from __future__ import annotations

import asyncio

from buildyard.contracts.messages import Heartbeat
from worker.attempt import Attempt
from worker.pipeline import StopCause

_BEATS = 4
"""Heartbeats in the length of a lease."""


class LeaseWatch:
    """Counts the lease from heartbeats that the broker confirmed, each from the moment it was sent.

    The producer counts from when it reads them, which is later, so the lease seen from here ends first.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self.held = asyncio.Event()
        """Set once the first heartbeat is confirmed."""

    async def run(self) -> None:
        """Renew the lease; return after having stopped the attempt, when it cannot be renewed in time."""
        attempt, seconds = self._attempt, self._attempt.spec.lease_seconds
        until = attempt.clock.monotonic() + seconds
        while True:
            sent = attempt.clock.monotonic()
            try:
                async with asyncio.timeout(until - sent):
                    await attempt.reports.confirm(self._heartbeat())
            except TimeoutError:
                attempt.stop.stop(StopCause.CUT_OFF)
                return
            until = sent + seconds
            self.held.set()
            await asyncio.sleep(seconds / _BEATS)

    def _heartbeat(self) -> Heartbeat:
        attempt = self._attempt
        return Heartbeat(
            build_id=attempt.spec.build_id,
            job_id=attempt.spec.job_id,
            attempt=attempt.spec.attempt,
            agent=attempt.agent,
            at=attempt.clock.now(),
        )
