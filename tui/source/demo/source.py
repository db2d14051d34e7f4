"""The simulated farm as a source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from buildyard.clock import Clock, SystemClock
from tui.source.demo import answers
from tui.source.demo.farm import PAST_BUILDS, DemoFarm
from tui.source.port import NOTHING_WATCHED, Interest
from tui.state.events import (
    AgentsSeen,
    ArtifactsSeen,
    BuildSeen,
    Connection,
    DeadSeen,
    DecisionsSeen,
    DiagnosticsSeen,
    Event,
    HealthSeen,
    LogEnded,
    LogLine,
    LogSeen,
    PoolsSeen,
    SourceName,
    SourceSeen,
    WorkersSeen,
    log_of_build,
)

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
_ADDRESSES: dict[SourceName, str] = {"producer": "demo://producer", "scaler": "demo://scaler"}
_SCALER_AWAY_FROM, _SCALER_AWAY_SECONDS, _DOWN_AFTER = 300, 40, 15
"""In each quarter of an hour the scaler does not answer for a while."""
_TURN_SECONDS = 0.05
_MOST_SECONDS_AT_ONCE = 5


class DemoSource:
    """A farm that lives as fast as the clock goes.

    Args:
        seed: which story.
        clock: only its monotonic seconds count; the story's time begins at `START`.
        speed: seconds of the story in one.
        past: builds before the beginning.
    """

    def __init__(
        self, seed: int = 1, *, clock: Clock | None = None, speed: float = 1.0, past: int = PAST_BUILDS
    ) -> None:
        self.title = f"demo {seed}"
        self._clock = clock or SystemClock()
        self._speed = speed
        self._farm = DemoFarm(seed, START, past)
        self._views = answers.AgentViews()
        self._interest = NOTHING_WATCHED
        self._sent: dict[str, int] = {}
        self._scaler_ok = START
        self._began = self._clock.monotonic()
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._began = self._clock.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()

    async def batches(self) -> AsyncIterator[tuple[Event, ...]]:
        """What happens, second by second."""
        yield (*self._sources(), *self._farm.past())
        while not self._closed.is_set():
            due = int((self._clock.monotonic() - self._began) * self._speed)
            for _ in range(min(due - self._farm.second, _MOST_SECONDS_AT_ONCE)):
                yield self.next_second()
                await asyncio.sleep(0)
            with suppress(TimeoutError):
                async with asyncio.timeout(_TURN_SECONDS):
                    await self._closed.wait()

    def watch(self, interest: Interest) -> None:
        """Logs and builds of the farm that are told of from now on."""
        self._interest = interest
        self._sent = {stream: sent for stream, sent in self._sent.items() if stream in interest.logs}

    def retry_now(self) -> None:
        """The scaler of the story is away for as long as the story says."""

    def now(self) -> datetime:
        """The story's time; it may be a part of a second ahead of what was told."""
        passed = (self._clock.monotonic() - self._began) * self._speed
        return START + timedelta(seconds=max(float(self._farm.second), min(passed, self._farm.second + 1.0)))

    def next_second(self) -> tuple[Event, ...]:
        """Let one second go by; what is told in it."""
        farm = self._farm
        events: list[Event] = [*farm.step(), *self._sources()]
        events.append(PoolsSeen(farm.now, answers.pools(farm)))
        if farm.second % 2 == 0:
            events.append(AgentsSeen(farm.now, self._views.of(farm)))
        if farm.second % 5 == 0:
            events.append(DeadSeen(farm.now, answers.dead(farm)))
            events.append(HealthSeen("producer", farm.now, answers.health(farm, "producer")))
        if self._scaler_ok == farm.now:
            events.append(DecisionsSeen(answers.decisions(farm)))
            if farm.second % 2 == 0:
                events.append(WorkersSeen(farm.now, answers.workers(farm), answers.readings(farm)))
            if farm.second % 5 == 0:
                events.append(HealthSeen("scaler", farm.now, answers.health(farm, "scaler")))
        self._tell_builds(events)
        self._tell_logs(events)
        return tuple(events)

    def _sources(self) -> tuple[Event, ...]:
        now = self._farm.now
        producer = SourceSeen("producer", now, "connected", _ADDRESSES["producer"], now)
        away = self._farm.second % 900 - _SCALER_AWAY_FROM
        if not 0 <= away < _SCALER_AWAY_SECONDS:
            self._scaler_ok = now
            return producer, SourceSeen("scaler", now, "connected", _ADDRESSES["scaler"], now)
        cause = f"The scaler at {_ADDRESSES['scaler']} cannot be reached: nobody listens there."
        connection: Connection = "down" if away >= _DOWN_AFTER else "stale"
        retry = now + timedelta(seconds=2)
        remedy = "It comes back by itself: this is a demo."
        return producer, SourceSeen(
            "scaler", now, connection, _ADDRESSES["scaler"], self._scaler_ok, cause, remedy, retry
        )

    def _tell_builds(self, events: list[Event]) -> None:
        farm = self._farm
        for build_id in sorted(self._interest.builds):
            build = farm.builds.get(build_id)
            if build is not None:
                events.append(BuildSeen(farm.now, answers.build(farm, build)))
                events.append(DiagnosticsSeen(farm.now, build_id, answers.diagnostics(build)))
                if build.ended:
                    events.append(ArtifactsSeen(farm.now, build_id, answers.artifacts(build)))

    def _tell_logs(self, events: list[Event]) -> None:
        farm = self._farm
        for stream in sorted(self._interest.logs):
            kind, _, name = stream.partition("/")
            if kind == "agent" and name in farm.agents:
                text = f"{farm.now:%H:%M:%S} {name} heartbeat build={farm.agents[name].build or '-'}"
                events.append(LogSeen(stream, (LogLine(text, None, farm.now.timestamp()),)))
            build = farm.builds.get(name) if kind == "build" else None
            if build is None:
                continue
            sent = self._sent.get(stream, max(0, build.written - self._interest.tail))
            if lines := tuple(line for line in build.lines if line.n is not None and line.n > sent):
                events.append(LogSeen(log_of_build(name), lines))
            self._sent[stream] = build.written
            if build.ended:
                events.append(LogEnded(stream))
