"""A farm in memory: a producer, a broker, an executor and a clock that a test turns by hand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count

from buildyard.contracts.agents import AgentHealth, AgentState, AgentView, Capabilities
from buildyard.contracts.api import (
    AgentList,
    BuildStatus,
    BuildSummary,
    Links,
    PoolList,
    PoolView,
    SourceView,
    WorkerInfo,
)
from buildyard.errors import BuildyardError, NotFound
from buildyard.ports import Channel, ChannelKind, Delivery, Depth, Subscription, Uncounted
from scaler.readings import slot_of

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._ids = count(1)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def new_id(self) -> str:
        return f"00000000-0000-7000-8000-{next(self._ids):012d}"


def agent_view(name: str, state: AgentState, pool: str = "linux") -> AgentView:
    return AgentView(
        name=name,
        pool=pool,
        state=state.wire,
        hostname="here",
        pid=1,
        version="0",
        capabilities=Capabilities(),
        health=AgentHealth(),
        joined_at=START,
        seen_at=START,
    )


def build_summary(duration: float | None) -> BuildSummary:
    return BuildSummary(
        execution_id="00000000-0000-7000-8000-000000000001",
        project_name="demo",
        target_pool="linux",
        priority="Normal",
        status="Succeeded",
        created_at=START,
        start_time=START,
        duration=duration,
        toolchain="make",
        rows=None,
        reason="",
        reason_code=None,
    )


def build_status() -> BuildStatus:
    return BuildStatus(
        execution_id="00000000-0000-7000-8000-000000000001",
        project_name="demo",
        configuration="Release",
        target_pool="linux",
        priority="Normal",
        strategy="Incremental",
        strategy_used="Clean",
        status="Queued",
        current_stage=None,
        created_at=START,
        start_time=None,
        end_time=None,
        duration=None,
        queue_position=None,
        stages=(),
        agent=None,
        toolchain="make",
        toolchain_why="",
        tests=None,
        rows=None,
        artifacts_count=0,
        reason="",
        reason_code=None,
        attempts=(),
        source=SourceView(type="upload"),
        metadata={},
        warnings=(),
        links=Links(self_="/", logs="/logs", events="/events", trace="/trace"),
    )


class FakeProducer:
    """Counts what the test says; `trouble` is raised instead of every answer."""

    def __init__(self) -> None:
        self.ready = 0
        self.leases = 0
        self.oldest: float | None = None
        self.registry: dict[str, AgentState] = {}
        self.trouble: BuildyardError | None = None
        self.drained: list[tuple[str, str]] = []
        self.asked_for_agents = 0
        self.job_seconds: float | None = None
        self.status: BuildStatus | None = None

    async def pools(self) -> PoolList:
        self._answer()
        generations: dict[int, int] = {}
        for name in self.registry:
            if place := slot_of("linux", name):
                generations[place[0]] = max(place[1], generations.get(place[0], 0))
        present = Counter(state.value for state in self.registry.values() if state.present)
        view = PoolView(
            name="linux",
            ready=self.ready,
            waiting=0,
            leases=self.leases,
            oldest_wait_seconds=self.oldest,
            agents=dict(present),
            generations=generations,
            job_seconds=self.job_seconds,
        )
        return PoolList(pools=(view,), at=START)

    async def agents(self) -> AgentList:
        self._answer()
        self.asked_for_agents += 1
        return AgentList(agents=tuple(agent_view(name, state) for name, state in self.registry.items()))

    async def build(self, build_id: str) -> BuildStatus:
        self._answer()
        if self.status is None or self.status.execution_id != build_id:
            raise NotFound(f"There is no build {build_id}.")
        return self.status

    async def drain_agent(self, name: str, reason: str) -> AgentView:
        self._answer()
        if name not in self.registry:
            raise NotFound(f"There is no agent {name}.")
        self.drained.append((name, reason))
        self.registry[name] = AgentState.DRAINING
        return agent_view(name, AgentState.DRAINING)

    def _answer(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class FakeRing:
    """One ring of the doorbell."""

    def __init__(self) -> None:
        self.body = b""
        self.headers: Mapping[str, str] = {}
        self.redelivered = False

    async def ack(self) -> None:
        """Nothing to acknowledge."""

    async def release(self) -> None:
        """Nothing to give back."""

    async def reject(self, reason: str) -> None:
        """Nothing to reject."""


class FakeRings:
    """The doorbell as a subscription."""

    def __init__(self) -> None:
        self.rings: asyncio.Queue[FakeRing] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        while True:
            yield await self.rings.get()

    async def stop(self) -> None:
        """It ends with the test."""

    async def close(self) -> None:
        """It ends with the test."""


class FakeBroker:
    """Counts what the test says. `gate` holds every count back until it is set."""

    def __init__(self) -> None:
        self.ready = 0
        self.unacked: int | None = 0
        self.took = 0.0
        self.further: tuple[Depth | Uncounted, ...] = ()
        self.trouble: BuildyardError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.counted = 0
        self.counting = asyncio.Event()
        self.subscribed = asyncio.Event()
        self.doorbell = FakeRings()
        self.declared: list[str] = []

    async def declare(self, channel: Channel) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.declared.append(channel.name)

    async def subscribe(self, channel: Channel, prefetch: int = 1) -> Subscription:
        if self.trouble is not None:
            raise self.trouble
        assert (channel.kind, prefetch) == (ChannelKind.DOORBELL, 1)
        self.subscribed.set()
        return self.doorbell

    async def witnesses(self, channel: Channel) -> tuple[Depth | Uncounted, ...]:
        assert channel.kind is ChannelKind.WORK
        self.counted += 1
        self.counting.set()
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        counted = Depth(
            ready=self.ready, unacked=self.unacked, consumers=None, source="fake", age_seconds=0, took_seconds=self.took
        )
        return (counted, *self.further)

    def ring(self) -> None:
        self.doorbell.rings.put_nowait(FakeRing())


class FakeExecutor:
    """Workers that exist by being named."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.workers: dict[str, WorkerInfo] = {}
        self.born: dict[str, float] = {}
        self.trouble: BuildyardError | None = None
        self.start_trouble: BuildyardError | None = None
        self.reaped = 0
        self.text = b""
        self.read: list[tuple[str, bool, int | None]] = []
        self.stopped_within: list[float] = []
        self.marked: list[frozenset[str]] = []
        self.closed = False
        self.forgotten = 0

    async def list(self) -> tuple[WorkerInfo, ...]:
        if self.trouble is not None:
            raise self.trouble
        return tuple(
            worker.model_copy(update={"age_seconds": self.clock.seconds - self.born[name]})
            for name, worker in self.workers.items()
        )

    async def start(self, name: str) -> None:
        if self.start_trouble is not None:
            raise self.start_trouble
        if name not in self.workers:
            self.workers[name] = WorkerInfo(name=name, pool=name.rsplit("-", 2)[0], state="Running")
            self.born[name] = self.clock.seconds

    async def describe(self, name: str) -> WorkerInfo:
        if self.trouble is not None:
            raise self.trouble
        if name not in self.workers:
            raise NotFound(f"There is no worker {name}.")
        return self.workers[name]

    async def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncGenerator[bytes]:
        self.read.append((name, follow, tail))
        yield self.text

    async def reap(self) -> None:
        self.reaped += 1

    async def stop(self, seconds: float) -> tuple[str, ...]:
        self.stopped_within.append(seconds)
        return ()

    async def mark(self, idle: frozenset[str]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.marked.append(idle)

    def forget(self) -> None:
        self.forgotten += 1

    async def aclose(self) -> None:
        self.closed = True

    def end(self, name: str, exit_code: int | None = 0) -> None:
        self.workers[name] = self.workers[name].model_copy(update={"state": "Exited", "exit_code": exit_code})
