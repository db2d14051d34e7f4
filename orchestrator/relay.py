"""The relay: tickets from the outbox to the broker, at least once.

A ticket normally comes straight from the commit that made it. What a crash left in the outbox is taken up by the
next pass of any producer; a ticket published twice is harmless, since the claim picks the job.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

from buildyard.contracts.messages import Order, Ring, Ticket
from buildyard.errors import TemporaryError
from buildyard.ports import CONTROL, Broker, doorbell, jobs
from buildyard.telemetry import logger
from orchestrator.store import Store

_log = logger("relay")
_SAFETY_SECONDS = 5.0
_QUIET_SECONDS = 0.5
_BATCH = 500
_LONGEST_PAUSE = 5.0


class Relay:
    """Publishes tickets and stop hints in the background."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker
        self._tickets: list[Ticket] = []
        self._controls: list[Order] = []
        self._news = asyncio.Event()
        self._declared: set[str] = set()
        self._published: set[str] = set()
        self._dropped_at = 0.0

    def offer(self, tickets: Iterable[Ticket]) -> None:
        """Publish these soon; they stand in the outbox already."""
        self._tickets.extend(tickets)
        self._news.set()

    def hint(self, controls: Iterable[Order]) -> None:
        """Broadcast these soon, at most once."""
        self._controls.extend(controls)
        self._news.set()

    async def run(self) -> None:
        """Relay until cancelled."""
        everything = not self._store.shared
        pause = 0.1
        while True:
            try:
                if not self._tickets and not self._news.is_set():
                    await self._drop_published()
                    async with self._store.begin() as tx:
                        self._tickets.extend(await tx.take_tickets(_BATCH, everything=everything))
                    everything = False
                await self.flush()
                pause = 0.1
            except TemporaryError as error:
                _log.warning("waiting", reason=str(error), retry_in=round(pause, 1))
                await asyncio.sleep(jittered(pause))
                pause = min(_LONGEST_PAUSE, pause * 2)
                continue
            await self._wait()

    async def finish(self) -> None:
        """Publish all that is offered by now, and leave nothing of it in the outbox."""
        await self.flush()
        await self._drop_published()

    async def flush(self) -> None:
        """Publish all that is offered by now."""
        while self._controls or self._tickets:
            controls, self._controls = self._controls, []
            if controls:
                await self._broker.publish(CONTROL, [control.encode() for control in controls])
            await self._publish_tickets()

    async def _publish_tickets(self) -> None:
        by_pool: dict[str, list[Ticket]] = {}
        for ticket in self._tickets:
            by_pool.setdefault(ticket.pool, []).append(ticket)
        for pool, tickets in by_pool.items():
            if pool not in self._declared:
                await self._broker.declare(jobs(pool))
                await self._broker.declare(doorbell(pool))
                self._declared.add(pool)
            await self._broker.publish(jobs(pool), [ticket.encode() for ticket in tickets])
            published = {ticket.ticket_id for ticket in tickets}
            self._tickets = [ticket for ticket in self._tickets if ticket.ticket_id not in published]
            await self._broker.publish(doorbell(pool), [Ring(pool=pool).encode()])
            self._published |= published
        since_drop = asyncio.get_running_loop().time() - self._dropped_at
        if len(self._published) >= _BATCH or since_drop > _SAFETY_SECONDS:
            await self._drop_published()

    async def _drop_published(self) -> None:
        """Take what is published out of the outbox, many at once: it stays ours there for long enough."""
        self._dropped_at = asyncio.get_running_loop().time()
        if not self._published:
            return
        async with self._store.begin() as tx:
            await tx.drop_tickets(self._published)
        self._published.clear()

    async def _wait(self) -> None:
        """Until there is news; what was published meanwhile is dropped once it is quiet."""
        quiet = _QUIET_SECONDS if self._published else _SAFETY_SECONDS
        try:
            await asyncio.wait_for(self._news.wait(), quiet)
        except TimeoutError:
            return
        finally:
            self._news.clear()


def jittered(seconds: float) -> float:
    """A pause of half to all of it: those that wait for the same server do not come back at the same moment."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret
