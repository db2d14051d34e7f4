from __future__ import annotations

import asyncio

import pytest

from buildyard.clock import SystemClock
from worker.calls.breaker import Rules
from worker.calls.traffic import GivenUp, Traffic

RULES = Rules(calls=3, failures=3, cool_down=0.1, openings=2)


class Heard:
    """A traffic and all it said."""

    def __init__(self, rate: float = 1000, burst: float = 100, rules: Rules = RULES) -> None:
        self.said: list[str] = []
        self.clock = SystemClock()
        self.traffic = Traffic(self.clock, rate=rate, burst=burst, rules=rules, say=self._say)

    async def _say(self, text: str) -> None:
        self.said.append(text)

    async def call(self, *, healthy: bool, service: str = "s:1") -> None:
        await self.traffic.ended(service, await self.traffic.permit(service), healthy=healthy)


async def test_calls_begin_at_the_rate_however_many_wait() -> None:
    heard = Heard(rate=100, burst=2)
    begun: list[float] = []

    async def one() -> None:
        await heard.traffic.permit("s:1")
        begun.append(heard.clock.monotonic())

    began = heard.clock.monotonic()
    await asyncio.gather(*(one() for _ in range(20)))

    assert len(begun) == 20
    assert max(begun) - began >= 0.17, "18 calls beyond the burst take 10 ms each"


async def test_a_failing_service_is_left_alone_probed_and_taken_back() -> None:
    heard = Heard()
    for _ in range(3):
        await heard.call(healthy=False)
    opened = heard.clock.monotonic()
    tickets = [asyncio.create_task(heard.traffic.permit("s:1")) for _ in range(5)]
    other = await heard.traffic.permit("other:1")

    probe, waiting = await asyncio.wait(tickets, return_when=asyncio.FIRST_COMPLETED)
    assert heard.clock.monotonic() - opened >= 0.1 - 0.005
    assert (len(probe), len(waiting)) == (1, 4), "one call is the probe, the others wait for its end"
    await heard.traffic.ended("s:1", probe.pop().result(), healthy=True)
    async with asyncio.timeout(120):
        await asyncio.gather(*waiting)

    await heard.traffic.ended("other:1", other, healthy=True)
    assert heard.said == [
        "circuit breaker of s:1: closed -> open: 3 of the last 3 calls failed; nothing is called for 0.1 s",
        "circuit breaker of s:1: open -> half-open: one call is the probe",
        "circuit breaker of s:1: half-open -> closed: the probe went well, calls go on",
    ]


async def test_who_waited_for_the_rate_still_heeds_a_breaker_that_opened_meanwhile() -> None:
    heard = Heard(rate=20, burst=1, rules=Rules(calls=1, failures=1, cool_down=0.3, openings=9))
    first = await heard.traffic.permit("s:1")
    second = asyncio.create_task(heard.traffic.permit("s:1"))
    await asyncio.sleep(0)
    await heard.traffic.ended("s:1", first, healthy=False)
    opened = heard.clock.monotonic()

    await second
    assert heard.clock.monotonic() - opened >= 0.29
    assert heard.said[-1].endswith("open -> half-open: one call is the probe")


async def test_a_service_that_stays_away_is_given_up_and_who_waits_is_told() -> None:
    heard = Heard()
    for _ in range(3):
        await heard.call(healthy=False)
    waiting = [asyncio.create_task(heard.traffic.permit("s:1")) for _ in range(3)]
    probe, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await heard.traffic.ended("s:1", probe.pop().result(), healthy=False)

    async with asyncio.timeout(120):
        for one in rest:
            with pytest.raises(GivenUp, match="opened 2 times in a row"):
                await one
    assert heard.said[-1] == ("circuit breaker of s:1: half-open -> open: the probe failed; the service is given up")


async def test_a_pause_that_a_service_asks_for_holds_all_its_calls_and_no_others() -> None:
    heard = Heard()
    await heard.call(healthy=True)
    await heard.traffic.hold("s:1", 0.15)
    await heard.traffic.hold("s:1", 0.05)
    began = heard.clock.monotonic()
    held = asyncio.create_task(heard.call(healthy=True))
    await heard.call(healthy=True, service="other:1")
    assert not held.done() or heard.clock.monotonic() - began >= 0.14
    await held

    assert heard.clock.monotonic() - began >= 0.14
    assert heard.said == ["s:1 asks for a pause of 0.15 s (Retry-After): no call begins before"]
