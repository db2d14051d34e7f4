"""The loop of one pool: look -> decide -> act -> record, woken by the doorbell or once a tick.

Everything that a decision needs is asked anew each time, all at once and under a deadline; only since when the pool
has been quiet is remembered. Whatever cannot be asked becomes an UNKNOWN with its cause, so a tick always ends in a
decision and the loop never waits for a part that is gone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from buildyard.clock import Clock
from buildyard.contracts.agents import AgentView
from buildyard.contracts.api import AgentList, PoolList, WorkerInfo
from buildyard.contracts.scaling import Decision, Plan, PoolConfig
from buildyard.errors import BuildyardError, PermanentError
from buildyard.ports import Channel, Depth, Subscription, Uncounted, doorbell, jobs
from buildyard.telemetry import logger
from scaler.decide import decide
from scaler.executors import Executor, starts_at_once
from scaler.learning import Joined, joined, learned_start
from scaler.marking import IdleMarks, idle_workers
from scaler.places import Places
from scaler.readings import Answer, Movement, Seen, movement, observe, quiet
from scaler.record import DecisionRecord

DEADLINE_SECONDS = 3.0
SPACING_SECONDS = 0.02
"""The least time between two looks, however often the doorbell rings."""
REGISTRY_SECONDS = 10.0
"""The registry is asked at least this often while somebody is there."""
BLIND_SECONDS = 10.0
"""After so long without a look, and some ticks, nobody knows that all was quiet: this process was frozen, say."""
REST_SECONDS = 5.0
REST_TICKS = 2
"""After so long a quiet, while the doorbell is heard, a look comes every so many ticks."""
START_SECONDS = 2.0
"""After so long a tick begins no further start: whoever starts thousands looks and records in between."""
_LISTEN_AGAIN_SECONDS = 1.0

_T = TypeVar("_T")
_log = logger("loop")


class Producer(Protocol):
    """What the scaler needs of the producer's API; `buildyard.client.ProducerClient` is one."""

    async def pools(self) -> PoolList:
        """The counts of every pool."""

    async def agents(self) -> AgentList:
        """The registry of agents."""

    async def drain_agent(self, name: str, reason: str) -> AgentView:
        """Ask an agent to finish what it has in hand and leave."""


class Witness(Protocol):
    """What the scaler needs of the broker; `buildyard.ports.Broker` is one."""

    async def declare(self, channel: Channel) -> None:
        """Make sure that the channel exists."""

    async def subscribe(self, channel: Channel, prefetch: int = 1) -> Subscription:
        """Begin to consume."""

    async def witnesses(self, channel: Channel) -> tuple[Depth | Uncounted, ...]:
        """Count a WORK channel by all its sources."""


@dataclass(frozen=True)
class Parts:
    """The parts that a loop talks to. `places` is one for all loops, `marks` one for each executor."""

    producer: Producer
    broker: Witness
    executor: Executor
    record: DecisionRecord
    clock: Clock
    places: Places = field(default_factory=Places)
    marks: IdleMarks | None = None


@dataclass(frozen=True)
class Sight:
    """The last tick: what was answered, what was decided, and when on the monotonic clock."""

    seen: Seen
    decision: Decision
    at: float


class _Crew(NamedTuple):
    """Who is there: running workers by name, present agents by state, and every slot's newest generation."""

    running: frozenset[str]
    agents: frozenset[tuple[str, int]]
    generations: frozenset[tuple[int, int]]

    @property
    def mixed(self) -> bool:
        """Whether some agents idle while others do not."""
        return len([state for state, number in self.agents if number]) > 1

    @property
    def empty(self) -> bool:
        """Whether there is nobody to ask the registry about."""
        return not self.running and not any(number for _, number in self.agents)


class _Registry(NamedTuple):
    """The registry's last answer, for whom it was given, and when it was asked for."""

    crew: _Crew
    agents: AgentList
    at: float

    def holds(self, crew: _Crew, now: float) -> bool:
        """Whether the answer still tells who does what.

        Equal numbers may be others' by now: where some idle and some work, two of them may have changed places, and
        the platform would be told that a busy worker may be moved.
        """
        return self.crew == crew and not crew.mixed and now - self.at < REGISTRY_SECONDS


@dataclass(frozen=True)
class _Asked(Generic[_T]):
    """An answer and the moment of its question: it cannot be older than that."""

    value: _T | None
    cause: str
    at: float
    refused: bool = False
    """It was answered: no, and for good."""

    def answer(self, now: float) -> Answer[_T]:
        return Answer(self.value, max(0.0, now - self.at), self.cause)


class PoolLoop:
    """Scales one pool; `run` it in a task of its own."""

    def __init__(self, config: PoolConfig, parts: Parts, tick_seconds: float) -> None:
        self.config = config
        self.tick_seconds = tick_seconds
        self.latest: Sight | None = None
        self._parts = parts
        self._movement: Movement | None = None
        self._quiet_since: float | None = None
        self._registry: _Registry | None = None
        self._starts: tuple[Joined, ...] = ()
        self._rung = asyncio.Event()
        self._stopping = False
        self._listening = False
        self._hurries = False
        """Whether the last tick left something to be done at once."""

    async def run(self) -> None:
        """Decide until stopped; it may be run again."""
        self._stopping = False
        listening = asyncio.create_task(self._listen(), name=f"doorbell {self.config.name}")
        try:
            woken_by: Literal["doorbell", "tick"] = "tick"
            while not self._stopping:
                began = self._parts.clock.monotonic()
                try:
                    await self.tick(woken_by)
                except Exception:  # noqa: BLE001 - a fault in one tick must not end the scaling of a pool for ever
                    _log.exception("a tick failed", pool=self.config.name)
                await asyncio.sleep(max(0.0, SPACING_SECONDS - (self._parts.clock.monotonic() - began)))
                woken_by = await self._woken()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    @property
    def pause_seconds(self) -> float:
        """How long it waits for a ring before it looks again."""
        since = self._quiet_since
        rests = self._listening and since is not None and self._parts.clock.monotonic() - since >= REST_SECONDS
        return self.tick_seconds * (REST_TICKS if rests else 1)

    def stop(self) -> None:
        """End `run` after the tick at hand; workers are left as they are."""
        self._stopping = True
        self._rung.set()

    def forget(self) -> None:
        """Drop what was learned before: another process may have decided since then."""
        self._movement = self._quiet_since = self._registry = None
        if self._parts.marks is not None:
            self._parts.marks.forget()

    async def survey(self) -> None:
        """Look once without deciding, so that the other pools know what this one holds."""
        seen = await self._look()
        self._parts.places.note(observe(self.config, seen), now=self._parts.clock.monotonic())

    async def tick(self, woken_by: Literal["doorbell", "tick"]) -> Decision:
        """Look, decide, act, record: once."""
        parts = self._parts
        seen = await self._look()
        observed = observe(self.config, seen)
        now = parts.clock.monotonic()
        if self.latest and not 0 <= now - self.latest.at <= max(BLIND_SECONDS, 3 * self.tick_seconds):
            self._quiet_since = None
        self._quiet_since = quiet(self._quiet_since, observed, now)
        if self._quiet_since is not None:
            observed = observed.model_copy(update={"quiet_seconds": round(now - self._quiet_since, 3)})
        self._starts = joined(self._starts, self.config.name, seen, now)
        update = {"farm": parts.places.around(observed, now), "learned_start": learned_start(self._starts, now)}
        observed = observed.model_copy(update=update)
        plan, at = decide(observed), parts.clock.now()
        parts.places.note(observed, plan, now=now)
        failures = await self._act(plan)
        decision = parts.record.add(at, woken_by, observed, plan, failures)
        self.latest = Sight(seen, decision, now)
        if plan.start or plan.drain or failures:
            _log.info("decided", pool=self.config.name, code=plan.code, reason=plan.reason, failures=failures)
        if parts.marks is not None:
            marked = await self._ask("executor", parts.marks.tell(self.config.name, idle_workers(observed)))
            if marked.cause:
                _log.warning("idle workers could not be marked", pool=self.config.name, cause=marked.cause)
        await self._ask("executor", parts.executor.reap())
        return decision

    # ------------------------------------------------------------------------------------------------ waking

    async def _woken(self) -> Literal["doorbell", "tick"]:
        """Wait for a ring, or for the next tick. Rings since the last look began count as one.

        At rest the next tick comes later: whatever comes rings, and the look is only the net below.
        """
        if self._hurries:
            return "tick"
        try:
            async with asyncio.timeout(self.pause_seconds):
                await self._rung.wait()
        except TimeoutError:
            return "tick"
        self._rung.clear()
        return "doorbell"

    async def _listen(self) -> None:
        """Hear the doorbell for ever; while that does not work, ticks do."""
        silent = False
        while True:
            try:
                await self._parts.broker.declare(jobs(self.config.name))
                rings = await self._parts.broker.subscribe(doorbell(self.config.name))
                silent, self._listening = False, True
                self._rung.set()  # what rang before was not heard
                async for ring in rings:
                    await ring.ack()
                    self._rung.set()
            except BuildyardError as error:
                if not silent:
                    _log.warning("the doorbell cannot be heard", pool=self.config.name, cause=str(error))
                silent = True
            self._listening = False
            await asyncio.sleep(_LISTEN_AGAIN_SECONDS)

    # ------------------------------------------------------------------------------------------------ looking

    async def _look(self) -> Seen:
        """Ask everybody at once; then the registry, unless its last answer still holds."""
        parts = self._parts
        pools, depths, workers = await asyncio.gather(
            self._ask("producer", parts.producer.pools()),
            self._ask("broker", parts.broker.witnesses(jobs(self.config.name))),
            self._ask("executor", parts.executor.list()),
        )
        crew = self._crew(pools.value, workers.value)
        if crew.empty:
            agents = _Asked(AgentList(agents=()), "", pools.at)
        elif self._registry and self._registry.holds(crew, pools.at):
            agents = _Asked(self._registry.agents, "", pools.at)
        else:
            agents = await self._ask("producer", parts.producer.agents())
            self._registry = _Registry(crew, agents.value, agents.at) if agents.value else None
        now = parts.clock.monotonic()
        seen = Seen(pools.answer(now), agents.answer(now), depths.answer(now), workers.answer(now))
        self._movement = movement(self._movement, self.config.name, seen, now)
        return replace(seen, still_seconds=now - self._movement.since)

    def _crew(self, pools: PoolList | None, workers: tuple[WorkerInfo, ...] | None) -> _Crew:
        """What the registry's answer depends on, as far as a decision reads it.

        While no worker comes or goes, and as many agents as before are idle, busy and draining, the last answer
        leads to the same decision: at most two agents have changed places, and while one is busy none is drained.
        """
        view = next((view for view in pools.pools if view.name == self.config.name), None) if pools else None
        running = frozenset(
            info.name for info in workers or () if info.state == "Running" and info.pool == self.config.name
        )
        if view is None:
            return _Crew(running, frozenset(), frozenset())
        return _Crew(running, frozenset(view.agents.items()), frozenset(view.generations.items()))

    async def _ask(self, part: str, question: Awaitable[_T]) -> _Asked[_T]:
        """Ask one part; whatever keeps it from answering in time is the cause."""
        at = self._parts.clock.monotonic()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return _Asked(await question, "", at)
        except TimeoutError:
            return _Asked(None, f"The {part} did not answer within {DEADLINE_SECONDS:g} s.", at)
        except BuildyardError as error:
            return _Asked(None, str(error), at, refused=isinstance(error, PermanentError))
        except Exception as error:  # noqa: BLE001 - an answer that breaks us is no answer: its count is unknown
            _log.exception("an answer cannot be used", part=part, pool=self.config.name)
            return _Asked(None, f"The {part} answered with a fault: {type(error).__name__}.", at)

    # ------------------------------------------------------------------------------------------------ acting

    async def _act(self, plan: Plan) -> tuple[str, ...]:
        """Carry a plan out; sentences about what did not work. The next tick sees what came of it."""
        failures = await self._start(plan.start)
        drained = await asyncio.gather(
            *(self._ask("producer", self._parts.producer.drain_agent(name, plan.reason)) for name in plan.drain)
        )
        failures += [
            f"{name} was not drained: {asked.cause}"
            for name, asked in zip(plan.drain, drained, strict=True)
            if asked.cause
        ]
        return tuple(failures)

    async def _start(self, names: Sequence[str]) -> list[str]:
        """Start workers, as many side by side as their platform takes; sentences about what did not work.

        What is not begun when the time is over is left to the next look, which comes at once: by then less may be
        needed, or somebody else may lead.
        """
        clock, waiting, failures = self._parts.clock, deque(names), dict[str, str]()
        end = clock.monotonic() + START_SECONDS

        async def work() -> None:
            while waiting and clock.monotonic() < end:
                name = waiting.popleft()
                started = await self._ask("executor", self._parts.executor.start(name))
                if started.cause:
                    failures[name] = f"{name} was not started: {started.cause}"
                    if not started.refused:
                        self._parts.places.doubt(self.config.name, name, clock.monotonic())

        await asyncio.gather(*(work() for _ in range(starts_at_once(self._parts.executor))))
        self._hurries = bool(waiting)
        left = [f"{len(waiting)} of {len(names)} workers were not started yet: the next look goes on with them."]
        return [failures[name] for name in names if name in failures] + (left if waiting else [])
