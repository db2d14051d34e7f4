"""Reports on their way to the producer: in order, each confirmed by the broker, tried again for as long as it takes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from buildyard.clock import Clock
from buildyard.contracts.messages import AgentHeartbeat, AgentLeft, AttemptReport, Heartbeat
from buildyard.errors import BrokerUnavailable, Unroutable
from buildyard.ports import REPORTS, Broker
from buildyard.telemetry import logger

_BATCH = 100
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 1.0
"""Short, since leases run on meanwhile; a broker that is away is waited for in the attempt itself."""

AnyReport = AttemptReport | AgentHeartbeat | AgentLeft


class Reports(Protocol):
    """Where an attempt's facts go."""

    def send(self, report: AnyReport) -> None:
        """Queue a report; it is sent after all queued before it."""

    async def confirm(self, report: AnyReport) -> None:
        """Queue a report and wait until the broker has it durably."""


class Reporter:
    """Sends reports in the background; `run` is the task that does it."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._log = logger("reporter")
        self._waiting: deque[tuple[AnyReport, asyncio.Future[None] | None]] = deque()
        self._wake = asyncio.Event()
        self.last_contact = clock.monotonic()
        """When the broker last took a report, in seconds of the clock's monotonic time."""

    def send(self, report: AnyReport) -> None:
        """Queue a report; it is sent after all queued before it."""
        self._waiting.append((report, None))
        self._wake.set()

    def offer(self, report: AgentHeartbeat | Heartbeat) -> None:
        """Queue a heartbeat unless one of its kind waits already: they do not pile up while the broker is away."""
        if not any(type(queued) is type(report) for queued, _ in self._waiting):
            self.send(report)

    async def confirm(self, report: AnyReport) -> None:
        """Queue a report and wait until the broker has it durably."""
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((report, confirmed))
        self._wake.set()
        await confirmed

    async def run(self) -> None:
        """Send what waits, for ever. A batch that failed is sent again whole: the producer knows repeated facts."""
        pause = _FIRST_PAUSE
        while True:
            await self._wake.wait()
            batch = [self._waiting[index] for index in range(min(_BATCH, len(self._waiting)))]
            if not batch:
                self._wake.clear()
                continue
            try:
                await self._broker.publish(REPORTS, [report.encode() for report, _ in batch])
            except (BrokerUnavailable, Unroutable) as error:
                self._log.warning("reports wait for the broker", waiting=len(self._waiting), error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                await self._declare_again(error)
                continue
            pause = _FIRST_PAUSE
            self.last_contact = self._clock.monotonic()
            for _ in batch:
                _, confirmed = self._waiting.popleft()
                if confirmed is not None and not confirmed.done():
                    confirmed.set_result(None)

    async def _declare_again(self, error: BrokerUnavailable | Unroutable) -> None:
        if isinstance(error, Unroutable):
            try:
                await self._broker.declare(REPORTS)
            except BrokerUnavailable as again:
                self._log.warning("the channel of reports cannot be declared", error=str(again))
