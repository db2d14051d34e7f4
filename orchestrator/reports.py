"""Reading what workers say: facts into the service, log lines into the feed.

Reports that wait together are recorded in one transaction, in the order in which they came, and acknowledged once it
is durable. Where one of them spoils it, each is recorded by itself: the fault costs the others nothing but time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from buildyard.contracts.messages import LOG_LINES, REPORT, AgentHeartbeat, AgentLeft, AttemptReport, read_message
from buildyard.errors import BrokerUnavailable, DeliveryLost, PermanentError, TemporaryError, UnreadableMessage
from buildyard.grouping import runs
from buildyard.ports import LOGS, REPORTS, Broker, Delivery, Subscription
from buildyard.telemetry import logger
from orchestrator.feed import Feed
from orchestrator.relay import jittered
from orchestrator.service import Service

_log = logger("reports")
_PREFETCH = 100
_GROUP_MOST = 32
"""Reports in one transaction: it holds their builds, and claims of these wait meanwhile."""
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class _Read:
    """A delivery and what it says; None where that cannot be read."""

    delivery: Delivery
    report: AttemptReport | AgentHeartbeat | AgentLeft | None

    @property
    def of_attempt(self) -> bool:
        """Whether it may share a transaction: those hold builds in one order, and nothing else."""
        return not (self.report is None or isinstance(self.report, AgentHeartbeat | AgentLeft))


class Reports:
    """Consumes REPORTS and LOGS in the background."""

    def __init__(self, broker: Broker, service: Service, feed: Feed) -> None:
        self._broker = broker
        self._service = service
        self._feed = feed
        self._runs = 0
        self._taken = 0
        self._recorded = 0
        self._progress = asyncio.Event()
        self._late: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Record reports in their order until cancelled; each is acknowledged once its transaction is durable."""
        subscription = await self._broker.subscribe(REPORTS, _PREFETCH)
        in_hand: asyncio.Queue[Delivery | None] = asyncio.Queue()
        taking = asyncio.create_task(self._take(subscription, in_hand))
        waiting: list[Delivery] = []
        try:
            while (delivery := await in_hand.get()) is not None:
                waiting += [delivery, *_more_of(in_hand)]
                for run in runs(map(_read, tuple(waiting)), lambda one: one.of_attempt, _GROUP_MOST):
                    del waiting[: len(run)]
                    await self._record_run(run)
                    self._recorded += len(run)
                    self._progress.set()
                    _end_if_cancelled()
            await taking
        finally:
            self._runs += 1
            self._recorded = self._taken
            self._progress.set()
            for task in (taking, *self._late):
                task.cancel()
            await subscription.stop()
            await _release_all(waiting, in_hand)

    async def recorded(self) -> bool:
        """Wait until all reports that are in hand now are recorded; False when some went back to the broker instead."""
        run, until = self._runs, self._taken
        while self._runs == run and self._recorded < until:
            self._progress.clear()
            await self._progress.wait()
        return self._runs == run

    async def run_logs(self) -> None:
        """Hand fresh log lines to whoever watches, until cancelled."""
        subscription: Subscription = await self._broker.subscribe(LOGS, _PREFETCH)
        try:
            async for delivery in subscription:
                try:
                    self._feed.publish([read_message(LOG_LINES, delivery.body)])
                except PermanentError as error:
                    _log.warning("unreadable log lines", reason=str(error))
                await delivery.ack()
        finally:
            await subscription.stop()

    async def _take(self, subscription: Subscription, in_hand: asyncio.Queue[Delivery | None]) -> None:
        """Take what arrives at once: what is in hand is then known, and counted by nobody else."""
        try:
            async for delivery in subscription:
                self._taken += 1
                in_hand.put_nowait(delivery)
        finally:
            in_hand.put_nowait(None)

    async def _record_run(self, run: Sequence[_Read]) -> None:
        """Record a run of reports: many in one transaction, or one by one."""
        if len(run) > 1:
            reports = [one.report for one in run if isinstance(one.report, AttemptReport)]
            try:
                await self._service.record_together(reports)
            except Exception as error:  # noqa: BLE001 - each by itself shows whose fault it was
                _log.warning("recorded one by one", reports=len(reports), reason=str(error) or type(error).__name__)
            else:
                await asyncio.gather(*(self._ack(one.delivery) for one in run))
                return
        for one in run:
            await self._record(one.delivery, one.report)

    async def _record(
        self, delivery: Delivery, report: AttemptReport | AgentHeartbeat | AgentLeft | None = None
    ) -> None:
        """Record one report, for as long as the store takes to answer; `report` where it is read already."""
        pause = 0.1
        while True:
            try:
                await self._service.record(report or read_message(REPORT, delivery.body))
            except TemporaryError as error:
                _log.warning("waiting", reason=str(error), retry_in=pause)
                await asyncio.sleep(jittered(pause))
                pause = min(_LONGEST_PAUSE, pause * 2)
                continue
            except PermanentError as error:
                _log.warning("rejected", reason=str(error))
                await self._reject(delivery, str(error))
            except Exception as error:  # noqa: BLE001 - a fault of ours in one report must not stop all the others
                _log.exception("failed to record")
                await self._reject(delivery, f"{type(error).__name__}: {error}")
            else:
                await self._ack(delivery)
            return

    async def _ack(self, delivery: Delivery) -> None:
        """Acknowledge, or go on to do so beside what comes next: what is recorded must not hold up the others."""
        try:
            await delivery.ack()
        except DeliveryLost as error:
            _log.warning("it comes again, and recording it again changes nothing", reason=str(error))
        except BrokerUnavailable as error:
            _log.warning("recorded, not yet acknowledged", reason=str(error))
            task = asyncio.create_task(_ack_later(delivery))
            self._late.add(task)
            task.add_done_callback(self._late.discard)

    async def _reject(self, delivery: Delivery, reason: str) -> None:
        pause = 0.1
        while True:
            try:
                await delivery.reject(reason)
            except DeliveryLost as error:
                _log.warning("not rejected, it comes again", reason=str(error))
            except TemporaryError as error:
                _log.warning("not rejected yet", reason=str(error), retry_in=pause)
                await asyncio.sleep(jittered(pause))
                pause = min(_LONGEST_PAUSE, pause * 2)
                continue
            return


def _more_of(in_hand: asyncio.Queue[Delivery | None]) -> Iterator[Delivery]:
    """What waits beside the first one, as far as it fits into a group; the end of all stays where it is."""
    for _ in range(_GROUP_MOST - 1):
        if in_hand.empty():
            return
        delivery = in_hand.get_nowait()
        if delivery is None:
            in_hand.put_nowait(None)
            return
        yield delivery


def _end_if_cancelled() -> None:
    """A cancellation may have come out of a library as an error, which is no reason to go on."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _read(delivery: Delivery) -> _Read:
    try:
        return _Read(delivery, read_message(REPORT, delivery.body))
    except UnreadableMessage:  # it is refused with its reason when its turn comes
        return _Read(delivery, None)


async def _ack_later(delivery: Delivery) -> None:
    pause = 0.1
    while True:
        await asyncio.sleep(jittered(pause))
        pause = min(_LONGEST_PAUSE, pause * 2)
        try:
            await delivery.ack()
        except DeliveryLost:
            return
        except BrokerUnavailable:
            continue
        return


async def _release_all(waiting: Sequence[Delivery], in_hand: asyncio.Queue[Delivery | None]) -> None:
    for delivery in waiting:
        await delivery.release()
    while not in_hand.empty():
        delivery_or_end = in_hand.get_nowait()
        if delivery_or_end is not None:
            await delivery_or_end.release()
