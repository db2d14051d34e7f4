"""A live farm: the producer's and the scaler's HTTP APIs, read through the typed clients.

    two pollers, one an API     lists, one read at a time
    one follower                of what happens to all builds: their lists are read now and then only
    one follower each           of what is looked at: builds, logs
    one monitor                 tells how both connections are, once a second and when one changes

When a server comes back, what follows it is begun anew: a connection to a server that vanished without a word would
else hang for as long as the network lets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from buildyard.client import ProducerClient, ScalerClient
from buildyard.clock import Clock, SystemClock
from buildyard.contracts.scaling import WhatIf, WhatIfAnswer
from buildyard.errors import ProducerUnavailable, ScalerUnavailable
from tui.orders import Done, Order
from tui.source.builds import BuildReads
from tui.source.hand import carried_out
from tui.source.happenings import FarmFollower
from tui.source.link import Link
from tui.source.outbox import Outbox
from tui.source.poller import Poller, Read
from tui.source.port import NOTHING_WATCHED, Interest
from tui.source.streams import AgentLogFollower, BuildFollower, BuildLogFollower, Follower
from tui.state.events import (
    AgentsSeen,
    DeadSeen,
    DecisionsSeen,
    Event,
    HealthSeen,
    PoolsSeen,
    SourceName,
    WorkersSeen,
)

MOST_BUILDS = 10_000
_MONITOR_SECONDS = 0.25
_TELL_SECONDS = 1.0
_DECISIONS_AT_FIRST = 300
_DECISIONS = 1_000
_SILENT_SECONDS = 3.0
"""A scaler that rests decides every other second: only after this is there reason to doubt its numbers."""
_DEAD_LETTERS = 200
_HAPPENINGS = "all builds"
"""The name of the follower that is always there; no build has it."""


class LiveSource:
    """A farm as it is now.

    Args:
        producer_url: for example http://127.0.0.1:8000.
        scaler_url: for example http://127.0.0.1:8080.
        token: of the farm; "" where it has none.
        clock: the machine's, but in tests.
        most_builds: of the past.

    Raises:
        InvalidSettings: an address is none.
    """

    def __init__(
        self,
        producer_url: str,
        scaler_url: str,
        token: str = "",
        *,
        clock: Clock | None = None,
        most_builds: int = MOST_BUILDS,
    ) -> None:
        self.title = producer_url
        self._clock = clock or SystemClock()
        self._producer = ProducerClient(producer_url, token)
        self._scaler = ScalerClient(scaler_url, token)
        self._outbox = Outbox()
        self._builds = BuildReads(self._producer, self._clock, most_builds)
        self._dead = Read("dead", 5.0, self._read_dead)
        self._happenings = FarmFollower(self._producer, self._outbox, self._builds, self._hurry)
        self._links: dict[SourceName, Link] = {
            "producer": Link("producer", producer_url),
            "scaler": Link("scaler", scaler_url),
        }
        self._pollers = (
            Poller(
                self._links["producer"],
                self._outbox,
                self._clock,
                self._producer_reads(),
                ProducerUnavailable,
            ),
            Poller(self._links["scaler"], self._outbox, self._clock, self._scaler_reads(), ScalerUnavailable),
        )
        self._newest_decision = 0
        self._decided = 0.0
        """When there was a decision last, or the numbers were looked at for want of one; monotonic."""
        self._interest = NOTHING_WATCHED
        self._followers: dict[tuple[SourceName, str], Follower] = {}
        self._following: dict[tuple[SourceName, str], asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(poller.run()) for poller in self._pollers]
        self._tasks.append(asyncio.create_task(self._monitor()))
        self._following["producer", _HAPPENINGS] = asyncio.create_task(self._happenings.run())
        self._followers["producer", _HAPPENINGS] = self._happenings
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self._tasks, *self._following.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._outbox.close()
        await self._producer.aclose()
        await self._scaler.aclose()

    async def batches(self) -> AsyncIterator[tuple[Event, ...]]:
        """News as they come."""
        while events := await self._outbox.take():
            yield events

    def watch(self, interest: Interest) -> None:
        """Look at this from now on; what goes on being looked at is not interrupted."""
        self._interest = interest
        wanted: dict[tuple[SourceName, str], Follower] = {}
        for build_id in interest.builds:
            wanted["producer", build_id] = BuildFollower(build_id, self._producer, self._outbox, self._clock)
        for stream in interest.logs:
            kind, _, name = stream.partition("/")
            if kind == "build":
                wanted["producer", stream] = BuildLogFollower(
                    name, interest.tail, self._producer, self._outbox, self._clock
                )
            elif kind == "agent":
                wanted["scaler", stream] = AgentLogFollower(
                    name, interest.tail, self._scaler, self._outbox, self._clock
                )
        for key in self._followers.keys() - wanted.keys() - {("producer", _HAPPENINGS)}:
            del self._followers[key]
            self._following.pop(key).cancel()
        for key in wanted.keys() - self._followers.keys():
            self._followers[key] = wanted[key]
            self._follow(key)

    def retry_now(self) -> None:
        """Ask at once whoever is down."""
        for poller in self._pollers:
            poller.retry_now()

    def now(self) -> datetime:
        """The time."""
        return self._clock.now()

    async def change(self, order: Order) -> Done:
        """Do what is asked for, once, and look at once at what came of it. Raises BuildyardError."""
        try:
            return await carried_out(self._producer, order)
        finally:
            self._pollers[0].retry_now()

    async def what_if(self, question: WhatIf) -> WhatIfAnswer:
        """What the scaler would decide with other values. Raises BuildyardError."""
        return await self._scaler.what_if(question)

    # ---------------------------------------------------------------- connections and what follows them

    def _follow(self, key: tuple[SourceName, str]) -> None:
        self._following[key] = asyncio.create_task(self._followers[key].run())

    async def _monitor(self) -> None:
        """Tell how the connections are; begin anew what followed a server that came back."""
        told: dict[SourceName, tuple[object, float]] = {}
        recovered = dict.fromkeys(self._links, 0)
        while True:
            now, monotonic = self._clock.now(), self._clock.monotonic()
            for name, link in self._links.items():
                seen = link.seen(now)
                state = (seen.connection, seen.cause, seen.retry_at)
                known, at = told.get(name, (None, 0.0))
                if state != known or monotonic - at >= _TELL_SECONDS:
                    told[name] = (state, monotonic)
                    self._outbox.put_latest(f"source/{name}", seen)
                if link.recoveries != recovered[name]:
                    recovered[name] = link.recoveries
                    await self._begin_anew(name)
            await asyncio.sleep(_MONITOR_SECONDS)

    async def _begin_anew(self, source: SourceName) -> None:
        for key, task in list(self._following.items()):
            if key[0] == source and not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                if key in self._followers and self._following.get(key) is task:
                    self._follow(key)

    # ---------------------------------------------------------------- what is polled

    def _hurry(self, dead_too: bool) -> None:  # noqa: FBT001 - a callback's argument
        """Read at once what is due."""
        if dead_too:
            self._dead.due = 0.0
        self._pollers[0].retry_now()

    async def _read_dead(self) -> Sequence[Event]:
        at = self._clock.now()
        page = await self._producer.dead_letters(limit=_DEAD_LETTERS)
        return (DeadSeen(at, page.dead, page.next_cursor is not None),)

    def _producer_reads(self) -> Sequence[Read]:
        async def pools() -> Sequence[Event]:
            at = self._clock.now()
            return (PoolsSeen(at, (await self._producer.pools()).pools),)

        async def agents() -> Sequence[Event]:
            at = self._clock.now()
            return (AgentsSeen(at, (await self._producer.agents()).agents),)

        async def health() -> Sequence[Event]:
            at = self._clock.now()
            return (HealthSeen("producer", at, await self._producer.health()),)

        return (
            Read("pools", 1.0, pools),
            *self._builds.reads(),
            Read("agents", 2.0, agents),
            self._dead,
            Read("health", 5.0, health),
        )

    def _scaler_reads(self) -> Sequence[Read]:
        async def decisions() -> Sequence[Event]:
            since = self._newest_decision
            limit = _DECISIONS if since else _DECISIONS_AT_FIRST
            found = (await self._scaler.decisions(limit, since=since)).decisions
            now = self._clock.monotonic()
            if found or not since:
                self._decided = now
            elif now - self._decided >= _SILENT_SECONDS:
                self._decided = now
                if not await self._numbers_go_on():
                    self._newest_decision = 0
            self._newest_decision = max([self._newest_decision, *(one.number for one in found)])
            return (DecisionsSeen(found),) if found else ()

        async def workers() -> Sequence[Event]:
            at = self._clock.now()
            answer = await self._scaler.workers()
            return (WorkersSeen(at, answer.workers, answer.readings),)

        async def health() -> Sequence[Event]:
            at = self._clock.now()
            health = await self._scaler.health()
            return (HealthSeen("scaler", at, health, health.process),)

        return (Read("decisions", 1.0, decisions), Read("workers", 2.0, workers), Read("health", 5.0, health))

    async def _numbers_go_on(self) -> bool:
        """Whether the scaler's numbers are not below ours: it may have lost its record and begun anew."""
        newest = (await self._scaler.decisions(1)).decisions
        return not newest or newest[0].number >= self._newest_decision
