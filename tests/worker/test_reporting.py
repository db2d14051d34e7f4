from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from buildyard.clock import SystemClock
from buildyard.contracts.agents import AgentHealth
from buildyard.contracts.messages import REPORT, AgentHeartbeat, AgentLeft, read_message
from buildyard.errors import BrokerUnavailable, BuildyardError, Unroutable
from buildyard.ports import Channel
from tests.worker.fakes import FakeBroker
from worker.reporting import Reporter


class _Flaky(FakeBroker):
    """Fails as often as it is told to."""

    def __init__(self, *failures: BuildyardError) -> None:
        super().__init__()
        self.failures = list(failures)
        self.declared = 0

    async def publish(
        self, channel: Channel, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        if self.failures:
            raise self.failures.pop()
        await super().publish(channel, bodies, headers)

    async def declare(self, _channel: Channel) -> None:
        self.declared += 1


def _left(reason: str) -> AgentLeft:
    return AgentLeft(agent="a", at=datetime.now(UTC), reason=reason)


def _reasons(broker: FakeBroker) -> list[str]:
    reports = [read_message(REPORT, body) for _, body in broker.published]
    return [report.reason for report in reports if isinstance(report, AgentLeft)]


async def _confirmed(broker: FakeBroker, *reasons: str) -> None:
    reporter = Reporter(broker, SystemClock())
    running = asyncio.create_task(reporter.run())
    for reason in reasons[:-1]:
        reporter.send(_left(reason))
    async with asyncio.timeout(60):
        await reporter.confirm(_left(reasons[-1]))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_reports_arrive_in_their_order() -> None:
    broker = FakeBroker()
    await _confirmed(broker, *(str(number) for number in range(250)))

    assert _reasons(broker) == [str(number) for number in range(250)]


async def test_a_broker_that_comes_back_gets_every_report() -> None:
    broker = _Flaky(BrokerUnavailable("away"), BrokerUnavailable("away"))
    await _confirmed(broker, "one", "two")

    assert _reasons(broker) == ["one", "two"]


async def test_a_missing_channel_is_declared() -> None:
    broker = _Flaky(Unroutable("nowhere"))
    await _confirmed(broker, "one")

    assert (_reasons(broker), broker.declared) == (["one"], 1)


async def test_heartbeats_do_not_pile_up() -> None:
    reporter = Reporter(FakeBroker(), SystemClock())
    for _ in range(10):
        reporter.offer(AgentHeartbeat(agent="a", at=datetime.now(UTC), health=AgentHealth()))

    assert len(reporter._waiting) == 1
