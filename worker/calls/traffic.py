"""The traffic to services: when a call may begin, by the rate, by each service's breaker and by what it asked for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from buildyard.clock import Clock
from buildyard.errors import Conflict
from worker.calls.breaker import Breaker, Rules, State, begun, cool_down, ended, given_up, waits
from worker.calls.bucket import full_bucket, reserve

Say = Callable[[str], Awaitable[None]]


class GivenUp(Conflict):
    """The service failed for so long that it is not called any more."""

    code = "service_given_up"


@dataclass
class _Service:
    breaker: Breaker = field(default_factory=Breaker)
    held_until: float = -math.inf
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Traffic:
    """Lets calls begin one by one. Decisions are those of `bucket` and `breaker`; here is who waits for them.

    Args:
        clock: whose monotonic seconds count.
        rate: calls a second.
        burst: calls that may begin at once.
        rules: of every service's breaker.
        say: told of each change, in words.
    """

    def __init__(self, clock: Clock, *, rate: float, burst: float, rules: Rules, say: Say) -> None:
        self._clock = clock
        self._rules = rules
        self._say = say
        self._bucket = full_bucket(rate, burst, clock.monotonic())
        self._services: dict[str, _Service] = {}

    async def permit(self, name: str) -> int:
        """Wait until a call to the service may begin; what it returns goes to `ended`.

        Raises:
            GivenUp: it will not be called any more.
        """
        service = self._services.setdefault(name, _Service())
        while True:
            await self._passable(name, service)
            self._bucket, pause = reserve(self._bucket, self._clock.monotonic())
            if pause:
                await asyncio.sleep(pause)
            if self._blocked(name, service):  # meanwhile
                continue
            before = service.breaker
            service.breaker = begun(before, self._rules, self._clock.monotonic())
            await self._tell(name, before, service.breaker)
            return service.breaker.generation

    async def ended(self, name: str, ticket: int, *, healthy: bool) -> None:
        """Take a call's end into account."""
        service = self._services[name]
        before = service.breaker
        service.breaker = ended(before, self._rules, ticket, self._clock.monotonic(), healthy=healthy)
        if service.breaker.generation != before.generation:
            service.changed.set()
            service.changed = asyncio.Event()
            await self._tell(name, before, service.breaker)

    async def hold(self, name: str, seconds: float) -> None:
        """Keep calls off a service for so long, as it asked."""
        service = self._services[name]
        now = self._clock.monotonic()
        was_held = service.held_until > now
        service.held_until = max(service.held_until, now + seconds)
        if not was_held and seconds > 0:
            await self._say(f"{name} asks for a pause of {seconds:.3g} s (Retry-After): no call begins before")

    async def _passable(self, name: str, service: _Service) -> None:
        while pause := self._blocked(name, service):
            with suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(pause) else pause):
                    await service.changed.wait()

    def _blocked(self, name: str, service: _Service) -> float:
        if given_up(service.breaker, self._rules):
            raise GivenUp(
                f"{name} did not recover: its circuit breaker opened {service.breaker.openings} times in a row,"
                " so it is not called any more."
            )
        now = self._clock.monotonic()
        return max(waits(service.breaker, self._rules, now), service.held_until - now, 0.0)

    async def _tell(self, name: str, before: Breaker, after: Breaker) -> None:
        if before.state is after.state:
            return
        why = {
            State.CLOSED: "the probe went well, calls go on",
            State.HALF_OPEN: "one call is the probe",
            State.OPEN: "the probe failed"
            if before.state is State.HALF_OPEN
            else f"{self._rules.failures} of the last {min(self._rules.calls, len(before.recent) + 1)} calls failed",
        }[after.state]
        if after.state is State.OPEN:
            given = given_up(after, self._rules)
            seconds = cool_down(self._rules, after.openings)
            why += "; the service is given up" if given else f"; nothing is called for {seconds:.3g} s"
        await self._say(f"circuit breaker of {name}: {before.state.value} -> {after.state.value}: {why}")
