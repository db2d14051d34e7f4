"""Small farms as values, for tests of the store, of recordings and of sources."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from buildyard.contracts.agents import AgentHealth, AgentView, Capabilities
from buildyard.contracts.api import BuildSummary, PoolView, WorkerInfo
from buildyard.contracts.dead import DeadLetterView
from buildyard.contracts.events import BuildEvent, EventType
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

BEGAN = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds after the beginning."""
    return BEGAN + timedelta(seconds=seconds)


def identifier(number: int) -> str:
    """The id of build or job `number`; ids sort by number."""
    return f"{number:08x}-0000-7000-8000-{number:012x}"


def summary(number: int, status: str = "Queued", pool: str = "linux") -> BuildSummary:
    ended = status in {"Succeeded", "Failed", "Cancelled", "TimedOut", "Rejected"}
    return BuildSummary(
        execution_id=identifier(number),
        project_name=f"project-{number}",
        target_pool=pool,
        priority="Normal",
        status=status,
        created_at=at(0),
        start_time=at(1),
        duration=5 if ended else None,
        toolchain="make",
        rows=None,
        reason="",
        reason_code=None,
    )


def event(number: int, seq: int, kind: EventType, seconds: float = 2, **data: object) -> BuildEvent:
    return BuildEvent(build_id=identifier(number), seq=seq, type=kind, at=at(seconds), data=data)


def agent(name: str, build: int | None = None, state: str = "Idle", pool: str = "linux") -> AgentView:
    return AgentView(
        name=name,
        pool=pool,
        state=state,
        hostname="node-1",
        pid=1,
        version="1",
        capabilities=Capabilities(),
        health=AgentHealth(),
        joined_at=at(0),
        seen_at=at(1),
        build_id=identifier(build) if build is not None else None,
        job_id=identifier(1000 + build) if build is not None else None,
    )


def worker(name: str, state: str = "Idle", pool: str = "linux") -> WorkerInfo:
    return WorkerInfo(name=name, pool=pool, state=state, pid=1)


def pool(name: str = "linux", ready: int = 3) -> PoolView:
    return PoolView(
        name=name, ready=ready, waiting=0, leases=1, oldest_wait_seconds=2.5, agents={"busy": 1}, generations={}
    )


def decision(
    number: int, start: tuple[str, ...] = (), seconds: float | None = None, name: str = "linux", *, known: bool = True
) -> Decision:
    reading = (
        Reading(value=3, source="broker", trust=Trust.TRUSTED) if known else Reading(source="broker", cause="gone")
    )
    observed = PoolObserved(
        pool=name,
        policy=ScalingPolicy(),
        ready=reading,
        leases=reading,
        queue_ready=reading,
        queue_unacked=reading,
        queue_total=reading,
        workers=(WorkerView(name="linux-9-1", slot=9, generation=1, state=WorkerState.BUSY),) if known else None,
    )
    code = DecisionCode.BURST if start else DecisionCode.STEADY
    when = at(number if seconds is None else seconds)
    return Decision(
        number=number, at=when, woken_by="tick", observed=observed, plan=Plan(start=start, code=code, reason="So.")
    )


def letter(number: int, pool_name: str = "linux") -> DeadLetterView:
    return DeadLetterView(
        execution_id=identifier(number),
        project_name="p",
        target_pool=pool_name,
        status="Failed",
        reason="lost",
        reason_code="worker_lost",
        attempts=3,
        rows=None,
        created_at=at(0),
        dead_at=at(9),
        resolution=None,
        resolved_at=None,
        resolved_by="",
        note="",
        requeued_as=None,
    )
