"""What the two APIs would answer about the simulated farm."""

from __future__ import annotations

from collections import Counter

from buildyard.contracts.agents import AgentHealth, AgentView, Capabilities
from buildyard.contracts.api import (
    AgentOfBuild,
    ArtifactView,
    AttemptView,
    BuildStatus,
    CheckView,
    HealthAnswer,
    Links,
    PoolView,
    SourceView,
    StageView,
    WorkerInfo,
)
from buildyard.contracts.dead import DeadLetterView
from buildyard.contracts.diagnostics import StageDiagnostic
from buildyard.contracts.scaling import (
    Decision,
    DecisionCode,
    Plan,
    PoolObserved,
    Reading,
    ScalingPolicy,
    Trust,
    WorkerState,
    WorkerView,
)
from tui.source.demo.cast import POOLS, STAGES, DemoPool
from tui.source.demo.farm import DemoAgent, DemoBuild, DemoFarm

_AWAY = "The broker at amqp://broker:5672 cannot be reached: nobody listens there."
_CAPABILITIES = Capabilities(os="linux", arch="x86_64", cores=4, memory_bytes=8 << 30, tools={"dotnet": "8.0.100"})


def pools(farm: DemoFarm) -> tuple[PoolView, ...]:
    """GET /api/v1/pools."""
    return tuple(_pool(farm, pool) for pool in POOLS)


def _pool(farm: DemoFarm, pool: DemoPool) -> PoolView:
    queue = farm.queues[pool.name]
    states = Counter(agent.state.lower() for agent in farm.agents.values() if agent.pool == pool.name)
    oldest = (farm.now - farm.builds[queue[0]].created).total_seconds() if queue else None
    return PoolView(
        name=pool.name,
        ready=len(queue),
        waiting=0,
        leases=states["busy"],
        oldest_wait_seconds=oldest,
        agents=dict(states),
        generations={},
    )


class AgentViews:
    """GET /api/v1/agents; views are made anew only where something changed, or every ten seconds."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[object, AgentView]] = {}

    def of(self, farm: DemoFarm) -> tuple[AgentView, ...]:
        """All agents."""
        made = {}
        for agent in farm.agents.values():
            state = (agent.state, agent.build, (farm.second + agent.slot) // 10)
            known = self._made.get(agent.name)
            made[agent.name] = known if known and known[0] == state else (state, _agent(farm, agent))
        self._made = made
        return tuple(view for _, view in made.values())


def _agent(farm: DemoFarm, agent: DemoAgent) -> AgentView:
    build = farm.builds.get(agent.build)
    return AgentView(
        name=agent.name,
        pool=agent.pool,
        state=agent.state,
        hostname=f"node-{agent.slot % 12 + 1}",
        pid=4_000 + agent.slot,
        version="0.1.0",
        capabilities=_CAPABILITIES,
        health=AgentHealth(
            load_1m=round(0.2 + (agent.slot * 7 + farm.second) % 40 / 10, 1),
            memory_free_bytes=(2 + agent.slot % 5) << 30,
            disk_free_bytes=(20 + agent.slot % 50) << 30,
            agent_memory_bytes=(60 + agent.slot % 20) << 20,
        ),
        joined_at=agent.joined,
        seen_at=farm.now,
        build_id=build.id if build else None,
        job_id=build.job if build else None,
        jobs_done=agent.done,
        jobs_failed=agent.failed,
    )


def workers(farm: DemoFarm) -> tuple[WorkerInfo, ...]:
    """GET /agents of the scaler."""
    return tuple(
        WorkerInfo(
            name=agent.name,
            pool=agent.pool,
            state=agent.state,
            pid=4_000 + agent.slot,
            age_seconds=(farm.now - agent.joined).total_seconds(),
        )
        for agent in farm.agents.values()
    )


def readings(farm: DemoFarm) -> dict[str, dict[str, Reading]]:
    """The readings in the same answer, by pool."""
    told = {}
    for pool in POOLS:
        ready = len(farm.queues[pool.name])
        busy = sum(agent.state == "Busy" for agent in farm.agents.values() if agent.pool == pool.name)
        told[pool.name] = {
            "ready": _reading(ready, "producer"),
            "leases": _reading(busy, "producer"),
            "queueReady": _counted(farm, ready),
            "queueUnacked": _counted(farm, busy),
            "queueTotal": _counted(farm, ready + busy),
        }
    return told


def health(farm: DemoFarm, source: str) -> HealthAnswer:
    """What producer and scaler say of themselves."""
    away = farm.broker_is_away
    checks = (CheckView(name="broker", ok=not away, detail=_AWAY if away else "It answers."),)
    return HealthAnswer(status="degraded" if away else "ok", version=f"0.1.0 ({source})", checks=checks)


def decisions(farm: DemoFarm) -> tuple[Decision, ...]:
    """What the scaler decided in this second, a pool each."""
    return tuple(_decision(farm, pool, place) for place, pool in enumerate(POOLS, 1))


def _decision(farm: DemoFarm, pool: DemoPool, place: int) -> Decision:
    own = [agent for agent in farm.agents.values() if agent.pool == pool.name]
    ready, busy = len(farm.queues[pool.name]), sum(agent.state == "Busy" for agent in own)
    start, drain = tuple(farm.started.get(pool.name, ())), tuple(farm.drained.get(pool.name, ()))
    code, reason = _why(farm, pool, ready, len(own), start, drain)
    observed = PoolObserved(
        pool=pool.name,
        policy=ScalingPolicy(max_workers=pool.most),
        ready=_reading(ready, "producer"),
        leases=_reading(busy, "producer"),
        queue_ready=_counted(farm, ready),
        queue_unacked=_counted(farm, busy),
        queue_total=_counted(farm, ready + busy),
        workers=tuple(
            WorkerView(name=agent.name, slot=agent.slot, generation=1, state=WorkerState(agent.state)) for agent in own
        ),
    )
    return Decision(
        number=(farm.second - 1) * len(POOLS) + place,
        at=farm.now,
        woken_by="tick",
        observed=observed,
        plan=Plan(start=start, drain=drain, code=code, reason=reason),
    )


def _why(
    farm: DemoFarm, pool: DemoPool, ready: int, workers: int, start: tuple[str, ...], drain: tuple[str, ...]
) -> tuple[DecisionCode, str]:
    if farm.broker_is_away:
        return DecisionCode.UNKNOWN_COUNT, f"Nothing is done, since a count is not known: {_AWAY}"
    if len(start) > 1:
        return DecisionCode.BURST, f"{ready} jobs are ready, more than 40: {len(start)} workers are started at once."
    if start:
        return DecisionCode.FIRST_WORKER, f"{ready} jobs wait: one worker is started."
    if drain:
        return DecisionCode.SCALE_TO_ZERO, f"Nothing waits for 30 s: {len(drain)} workers are asked to leave."
    if ready and workers >= pool.most:
        return DecisionCode.AT_MAXIMUM, f"{ready} jobs wait, and all {pool.most} workers are there."
    return DecisionCode.STEADY, f"{ready} jobs wait, {workers} workers are there."


def _reading(value: int, source: str) -> Reading:
    return Reading(value=value, source=source, age_seconds=0.2, trust=Trust.TRUSTED)


def _counted(farm: DemoFarm, value: int) -> Reading:
    return Reading(source="broker", cause=_AWAY) if farm.broker_is_away else _reading(value, "broker")


def dead(farm: DemoFarm) -> tuple[DeadLetterView, ...]:
    """GET /api/v1/dead."""
    return tuple(
        DeadLetterView(
            execution_id=build.id,
            project_name=build.project,
            target_pool=build.pool,
            status=build.status,
            reason=build.reason,
            reason_code=build.reason_code,
            attempts=build.attempt,
            rows=None,
            created_at=build.created,
            dead_at=at,
            resolution=None,
            resolved_at=None,
            resolved_by="",
            note="",
            requeued_as=None,
        )
        for build, at in reversed(farm.dead)
    )


def build(farm: DemoFarm, one: DemoBuild) -> BuildStatus:
    """GET /api/v1/builds/{id}."""
    done = {name: (status, started, seconds) for name, status, started, seconds in one.stages}
    stages = [(name, *done.get(name, ("Pending", None, None))) for name, _ in STAGES]
    path = f"/api/v1/builds/{one.id}"
    return BuildStatus(
        execution_id=one.id,
        project_name=one.project,
        configuration="Release",
        target_pool=one.pool,
        priority=one.priority,
        strategy="Incremental",
        strategy_used="Clean",
        status=one.status,
        current_stage=STAGES[one.stage][0] if one.status == "Running" and one.stage >= 0 else None,
        created_at=one.created,
        start_time=one.started,
        end_time=one.ended,
        duration=((one.ended or farm.now) - one.started).total_seconds() if one.started else None,
        queue_position=None,
        stages=tuple(
            StageView(
                name=name,
                status=status,
                start_time=started,
                duration=seconds,
                warnings_count=int(name == "Build" and status not in {"Pending", "Running"}),
                errors_count=int(status == "Failed"),
            )
            for name, status, started, seconds in stages
        ),
        agent=AgentOfBuild(name=one.agent, hostname="node-1", target_type=one.pool) if one.agent else None,
        toolchain=one.toolchain,
        toolchain_why="The demo says so.",
        tests=None,
        rows=None,
        artifacts_count=len(artifacts(one)),
        reason=one.reason,
        reason_code=one.reason_code or None,
        attempts=_attempts(one),
        source=SourceView(type="git", url=f"https://github.com/example/{one.project}", ref=one.branch),
        metadata={},
        warnings=(),
        links=Links(self_=path, logs=f"{path}/logs", events=f"{path}/events", trace=f"{path}/trace"),
    )


def _attempts(one: DemoBuild) -> tuple[AttemptView, ...]:
    if one.started is None:
        return ()
    return (
        AttemptView(
            job_id=one.job,
            number=one.attempt,
            agent=one.agent,
            started_at=one.started,
            ended_at=one.ended,
            outcome=one.status if one.ended else None,
            reason_code=one.reason_code or None,
            reason=one.reason,
        ),
    )


def diagnostics(one: DemoBuild) -> tuple[StageDiagnostic, ...]:
    """GET /api/v1/builds/{id}/diagnostics."""
    ended = {name: status for name, status, _, _ in one.stages if status != "Running"}
    if "Build" not in ended:
        return ()
    warning = StageDiagnostic(
        severity="warning",
        file="src/Part7/Reader.cs",
        line=41,
        column=9,
        code="CS8602",
        message="Dereference of a possibly null reference.",
        stage="Build",
        job_id=one.job,
    )
    if ended["Build"] != "Failed":
        return (warning,)
    told = {"file": "src/Part7/Writer.cs", "line": 7, "code": "CS1002", "message": "; expected", "severity": "error"}
    return (warning.model_copy(update=told), warning)


def artifacts(one: DemoBuild) -> tuple[ArtifactView, ...]:
    """GET /api/v1/builds/{id}/artifacts."""
    if one.status != "Succeeded" or one.ended is None:
        return ()
    return (
        ArtifactView(
            id=one.job,
            name=f"{one.project}.zip",
            path=f"{one.project}.zip",
            size_bytes=4_200_000,
            content_type="application/zip",
            sha256_hash="0" * 64,
            created_at=one.ended,
            download_url=f"/api/v1/artifacts/{one.job}/download",
        ),
    )
