"""Reading what workers say: facts into the service, log lines into the feed."""

from __future__ import annotations

import asyncio

from buildyard.contracts.messages import LOG_LINES, REPORT, read_message
from buildyard.errors import PermanentError, TemporaryError
from buildyard.ports import LOGS, REPORTS, Broker, Delivery, Subscription
from buildyard.telemetry import logger
from orchestrator.feed import Feed
from orchestrator.service import Service

_log = logger("reports")
_PREFETCH = 100
_LONGEST_PAUSE = 5.0


class Reports:
    """Consumes REPORTS and LOGS in the background."""

    def __init__(self, broker: Broker, service: Service, feed: Feed) -> None:
        self._broker = broker
        self._service = service
        self._feed = feed

    async def run(self) -> None:
        """Record reports in their order until cancelled; each is acknowledged once its transaction is durable."""
        subscription = await self._broker.subscribe(REPORTS, _PREFETCH)
        try:
            async for delivery in subscription:
                await self._record(delivery)
        finally:
            await subscription.stop()

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

    async def _record(self, delivery: Delivery) -> None:
        pause = 0.1
        while True:
            try:
                await self._service.record(read_message(REPORT, delivery.body))
                await delivery.ack()
            except TemporaryError as error:
                _log.warning("waiting", reason=str(error), retry_in=pause)
                if error.code == "broker_unavailable":
                    return  # it comes again, and recording it again changes nothing
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
                continue
            except PermanentError as error:
                _log.warning("rejected", reason=str(error))
                await self._reject(delivery, str(error))
            except Exception as error:  # noqa: BLE001 - a fault of ours in one report must not stop all the others
                _log.exception("failed to record")
                await self._reject(delivery, f"{type(error).__name__}: {error}")
            return

    async def _reject(self, delivery: Delivery, reason: str) -> None:
        try:
            await delivery.reject(reason)
        except TemporaryError as error:
            _log.warning("not rejected, it comes again", reason=str(error))
