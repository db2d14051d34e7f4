"""The simulated farm: second by second, from a seed. It tells what the two APIs would tell."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from buildyard.contracts.api import BuildSummary
from buildyard.contracts.events import BuildEvent, EventType
from tui.source.demo.cast import BRANCHES, FAILURES, POOLS, PROJECTS, STAGES, TOOLCHAINS, DemoPool, line_of
from tui.state.events import BuildChanged, BuildsSeen, Event, LogLine

PAST_BUILDS = 10_000
OUTAGE_EVERY, OUTAGE_FROM, OUTAGE_SECONDS = 900, 240, 45
"""Seconds: the broker is away."""
_BURST_EVERY, _BURST = 150, 260
_ARRIVALS = 4.5
"""Builds a second between bursts."""
_FAILS, _AGENT_LOST, _ATTEMPTS = 0.08, 0.001, 3
_CURSED, _CURSED_LOST = 0.004, 0.5
_IDLE_SECONDS = 30
_LOG_LINES = 4_000
_ENDED_KEPT = 2_000


@dataclass
class DemoBuild:
    """A build of the demo."""

    id: str
    job: str
    project: str
    branch: str
    pool: str
    priority: str
    created: datetime
    toolchain: str
    status: str = "Queued"
    attempt: int = 0
    agent: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    stage: int = -1
    stage_ends: int = 0
    """The second in which the stage ends."""
    stages: list[tuple[str, str, datetime, float | None]] = field(default_factory=list)
    """(name, status, started, seconds)."""
    fails_in: str = ""
    cursed: bool = False
    """It kills its agents: after some attempts it becomes a dead letter."""
    reason: str = ""
    reason_code: str = ""
    seq: int = 0
    lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=_LOG_LINES))
    written: int = 0

    def summary(self) -> BuildSummary:
        """As lists show it."""
        duration = (self.ended - self.started).total_seconds() if self.ended and self.started else None
        return BuildSummary(
            execution_id=self.id,
            project_name=self.project,
            target_pool=self.pool,
            priority=self.priority,
            status=self.status,
            created_at=self.created,
            start_time=self.started,
            duration=duration,
            toolchain=self.toolchain,
            rows=None,
            reason=self.reason,
            reason_code=self.reason_code or None,
        )


@dataclass
class DemoAgent:
    """An agent of the demo."""

    name: str
    pool: str
    slot: int
    joined: datetime
    state: str = "Idle"
    build: str = ""
    idle_since: int = 0
    changed: datetime | None = None
    done: int = 0
    failed: int = 0


class DemoFarm:
    """The state of the farm; `step` goes one second on."""

    def __init__(self, seed: int, start: datetime, past: int = PAST_BUILDS) -> None:
        self._rng = Random(seed)  # noqa: S311 - a story, no secret
        self.start = start
        self.second = 0
        self.builds: dict[str, DemoBuild] = {}
        self.agents: dict[str, DemoAgent] = {}
        self.queues: dict[str, deque[str]] = {pool.name: deque() for pool in POOLS}
        self.dead: deque[tuple[DemoBuild, datetime]] = deque(maxlen=200)
        self.started: dict[str, list[str]] = {}
        """Pool -> agents started in this second; `drained` likewise."""
        self.drained: dict[str, list[str]] = {}
        self._ended: deque[str] = deque()
        self._ids = 0
        self._slots = {pool.name: 0 for pool in POOLS}
        self._past = [self._of_the_past(number) for number in range(past, 0, -1)]
        for pool in POOLS:
            for _ in range(round(pool.most * 0.8)):
                self._join(pool)

    @property
    def now(self) -> datetime:
        """The simulated time."""
        return self.start + timedelta(seconds=self.second)

    @property
    def broker_is_away(self) -> bool:
        """Whether this is in an outage."""
        return OUTAGE_FROM <= self.second % OUTAGE_EVERY < OUTAGE_FROM + OUTAGE_SECONDS

    def past(self) -> Iterator[Event]:
        """The builds before the beginning, in pages as the API gives them."""
        newest_first = self._past[::-1]
        for first in range(0, len(newest_first), 200):
            yield BuildsSeen(self.start, tuple(newest_first[first : first + 200]))

    def step(self) -> list[Event]:
        """One second; what changed in it."""
        self.second += 1
        told: list[Event] = []
        self._arrive(told)
        self._scale()
        if not self.broker_is_away:
            self._claim(told)
        for agent in list(self.agents.values()):
            if agent.build:
                self._work(agent, self.builds[agent.build], told)
        while len(self._ended) > _ENDED_KEPT:
            self.builds.pop(self._ended.popleft(), None)
        return told

    # ---------------------------------------------------------------- builds come

    def _new_id(self, at: datetime) -> str:
        self._ids += 1
        text = f"{int(at.timestamp() * 1000):012x}7{self._ids & 0xFFF:03x}8{self._rng.getrandbits(60):015x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _of_the_past(self, number: int) -> BuildSummary:
        rng = self._rng
        created = self.start - timedelta(seconds=number * 3)
        failed = rng.random() < _FAILS
        return BuildSummary(
            execution_id=self._new_id(created),
            project_name=rng.choice(PROJECTS),
            target_pool=rng.choices(POOLS, [pool.share for pool in POOLS])[0].name,
            priority="Normal",
            status="Failed" if failed else "Succeeded",
            created_at=created,
            start_time=created + timedelta(seconds=rng.randrange(9)),
            duration=rng.randrange(20, 120),
            toolchain=rng.choice(TOOLCHAINS),
            rows=None,
            reason="2 of 214 tests failed." if failed else "All stages succeeded.",
            reason_code="tests_failed" if failed else "succeeded",
        )

    def _arrive(self, told: list[Event]) -> None:
        rng = self._rng
        count = int(_ARRIVALS + rng.random() * 2 - 0.5)
        if self.second % _BURST_EVERY == _BURST_EVERY // 3:
            count += rng.randrange(_BURST // 2, _BURST)
        fresh = []
        for _ in range(count):
            pool = rng.choices(POOLS, [pool.share for pool in POOLS])[0]
            build = DemoBuild(
                self._new_id(self.now),
                self._new_id(self.now),
                rng.choice(PROJECTS),
                rng.choice(BRANCHES),
                pool.name,
                rng.choices(("Normal", "High", "Low"), (8, 1, 1))[0],
                self.now,
                rng.choice(TOOLCHAINS),
                fails_in=rng.choice(("Build", "Test")) if rng.random() < _FAILS else "",
                cursed=rng.random() < _CURSED,
            )
            self.builds[build.id] = build
            self.queues[pool.name].append(build.id)
            fresh.append(build)
        if fresh:
            told.append(BuildsSeen(self.now, tuple(build.summary() for build in reversed(fresh))))

    # ---------------------------------------------------------------- agents come and go

    def _join(self, pool: DemoPool) -> str:
        self._slots[pool.name] += 1
        slot = self._slots[pool.name]
        agent = DemoAgent(f"{pool.name}-{slot}-1", pool.name, slot, self.now, idle_since=self.second, changed=self.now)
        self.agents[agent.name] = agent
        return agent.name

    def _scale(self) -> None:
        self.started, self.drained = {}, {}
        if self.broker_is_away:
            return
        for pool in POOLS:
            own = [agent for agent in self.agents.values() if agent.pool == pool.name]
            ready = len(self.queues[pool.name])
            idle = [agent for agent in own if agent.state == "Idle"]
            if ready > len(idle) and len(own) < pool.most:
                count = min(5 if ready > 40 else 1, pool.most - len(own))  # noqa: PLR2004 - the farm's own defaults
                self.started[pool.name] = [self._join(pool) for _ in range(count)]
            elif not ready:
                quiet = [agent for agent in idle if self.second - agent.idle_since > _IDLE_SECONDS]
                self.drained[pool.name] = [agent.name for agent in quiet[:5]]
                for name in self.drained[pool.name]:
                    del self.agents[name]

    def _claim(self, told: list[Event]) -> None:
        for agent in self.agents.values():
            queue = self.queues[agent.pool]
            if agent.state == "Idle" and queue and agent.joined < self.now:
                build = self.builds[queue.popleft()]
                agent.state, agent.build, agent.changed = "Busy", build.id, self.now
                first = not build.attempt
                build.status, build.agent, build.attempt = "Running", agent.name, build.attempt + 1
                build.started = build.started or self.now
                build.stage, build.stages, build.stage_ends = -1, [], self.second
                if first:
                    self._tell(told, build, "build_started", agent=agent.name)
                self._tell(told, build, "job_claimed", job=build.job, attempt=build.attempt, agent=agent.name)

    # ---------------------------------------------------------------- builds run

    def _work(self, agent: DemoAgent, build: DemoBuild, told: list[Event]) -> None:
        rng = self._rng
        if build.stage >= 0:
            self._write(build, STAGES[build.stage][0])
        if self.second < build.stage_ends:
            return
        if rng.random() < (_CURSED_LOST if build.cursed else _AGENT_LOST):
            self._lose(agent, build, told)
            return
        if build.stage >= 0:
            name = STAGES[build.stage][0]
            failed = build.fails_in == name
            self._stage_ends(build, "Failed" if failed else "Succeeded", told)
            if failed or build.stage + 1 == len(STAGES):
                self._end(agent, build, name if failed else "", told)
                return
        build.stage += 1
        name, usual = STAGES[build.stage]
        build.stage_ends = self.second + max(1, round(usual * rng.uniform(0.4, 1.8)))
        build.stages.append((name, "Running", self.now, None))
        self._tell(told, build, "stage_started", job=build.job, attempt=build.attempt, stage=name)

    def _stage_ends(self, build: DemoBuild, status: str, told: list[Event]) -> None:
        name, _, started, _ = build.stages[-1]
        build.stages[-1] = (name, status, started, (self.now - started).total_seconds())
        failed = status == "Failed"
        if failed:
            self._add_line(build, name, FAILURES[name])
        told_of = {"job": build.job, "attempt": build.attempt, "stage": name, "status": status, "reason": ""}
        self._tell(told, build, "stage_finished", **told_of, warnings=int(name == "Build"), errors=int(failed))

    def _end(self, agent: DemoAgent, build: DemoBuild, failed_in: str, told: list[Event]) -> None:
        code = {"": "succeeded", "Test": "tests_failed"}.get(failed_in, "command_failed")
        reason = {"": "All stages succeeded.", "Test": "1 of 214 tests failed: Part7.Tests.Case12."}
        self._close(
            build,
            "Failed" if failed_in else "Succeeded",
            code,
            reason.get(failed_in, "dotnet build ended with 1."),
            told,
        )
        agent.state, agent.build, agent.idle_since, agent.changed = "Idle", "", self.second, self.now
        agent.done, agent.failed = agent.done + (not failed_in), agent.failed + bool(failed_in)

    def _lose(self, agent: DemoAgent, build: DemoBuild, told: list[Event]) -> None:
        del self.agents[agent.name]
        reason = f"The agent {agent.name} was lost."
        end = {"job": build.job, "attempt": build.attempt, "outcome": "Lost", "reasonCode": "worker_lost"}
        self._tell(told, build, "attempt_ended", **end, reason=reason)
        if build.attempt < _ATTEMPTS:
            self.queues[build.pool].appendleft(build.id)
            return
        self._close(build, "Failed", "worker_lost", f"{reason} Its {_ATTEMPTS} attempts are used up.", told)
        self.dead.append((build, self.now))

    def _close(self, build: DemoBuild, status: str, code: str, reason: str, told: list[Event]) -> None:
        build.status, build.reason, build.reason_code, build.ended = status, reason, code, self.now
        end = {"job": build.job, "attempt": build.attempt, "outcome": status, "reasonCode": code, "reason": reason}
        self._tell(told, build, "job_ended", **end)
        self._tell(told, build, "build_ended", status=status, reasonCode=code, reason=reason)
        self._ended.append(build.id)

    def _write(self, build: DemoBuild, stage: str) -> None:
        for _ in range(self._rng.randrange(0, 6)):
            self._add_line(build, stage, line_of(stage, self._rng))

    def _add_line(self, build: DemoBuild, stage: str, text: str) -> None:
        build.written += 1
        build.lines.append(LogLine(text, build.written, self.now.timestamp(), stage, build.attempt))

    def _tell(self, told: list[Event], build: DemoBuild, kind: EventType, **data: object) -> None:
        build.seq += 1
        told.append(BuildChanged(BuildEvent(build_id=build.id, seq=build.seq, type=kind, at=self.now, data=data)))
