"""What a dashboard's store holds in memory: `python -m bench.tui_store` writes one line of JSON.

A farm of 400 agents, 10,000 builds and an hour of its scaler, whose every decision names all agents.
"""

from __future__ import annotations

import gc
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from buildyard.contracts.agents import AgentHealth, AgentView, Capabilities
from buildyard.contracts.api import BuildSummary, PoolView, WorkerInfo
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
from tui.state import Store
from tui.state import events as e

AGENTS, BUILDS, SECONDS, LOG_LINES = 400, 10_000, 3_600, 100_000
_BEGAN = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
_LINE = "step {:>9} building src/Module/Component.cs for net8.0 (Release), please wait..."


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def fill(store: Store) -> None:
    """All agents, builds, an hour of counts and decisions."""
    for first in range(0, BUILDS, 200):
        store.apply(e.BuildsSeen(_BEGAN, tuple(_build(number) for number in range(first, first + 200))))
    capabilities = Capabilities(os="linux", arch="x86_64", cores=4, tools={"python": "3.11.7", "make": "4.3"})
    store.apply(e.AgentsSeen(_BEGAN, tuple(_agent(slot, capabilities) for slot in range(1, AGENTS + 1))))
    workers = tuple(WorkerInfo(name=f"linux-{slot}-1", pool="linux", state="Busy") for slot in range(1, AGENTS + 1))
    store.apply(e.WorkersSeen(_BEGAN, workers))
    seen = tuple(
        WorkerView(name=f"linux-{slot}-1", slot=slot, generation=1, state=WorkerState.BUSY, age_seconds=slot / 3)
        for slot in range(1, AGENTS + 1)
    )
    for second in range(SECONDS):
        now = _BEGAN + timedelta(seconds=second)
        pool = PoolView(
            name="linux",
            ready=second % 90,
            waiting=0,
            leases=AGENTS,
            oldest_wait_seconds=1.0,
            agents={"busy": AGENTS},
            generations={},
        )
        store.apply(e.PoolsSeen(now, (pool,)))
        store.apply(e.DecisionsSeen((_decision(second + 1, now, seen),)))


def _identifier(number: int) -> str:
    return f"{number:08x}-0000-7000-8000-{number:012x}"


def _build(number: int) -> BuildSummary:
    return BuildSummary(
        execution_id=_identifier(number),
        project_name=f"project-{number % 300}",
        target_pool="linux",
        priority="Normal",
        status=("Succeeded", "Failed", "Running")[number % 3],
        created_at=_BEGAN,
        start_time=_BEGAN,
        duration=12.0,
        toolchain="dotnet",
        rows=None,
        reason=f"{number % 7} of 214 tests failed." if number % 3 == 1 else "",
        reason_code=None,
    )


def _agent(slot: int, capabilities: Capabilities) -> AgentView:
    return AgentView(
        name=f"linux-{slot}-1",
        pool="linux",
        state="Busy",
        hostname=f"node-{slot}",
        pid=slot,
        version="0.1.0",
        capabilities=capabilities,
        health=AgentHealth(load_1m=1.0, memory_free_bytes=slot),
        joined_at=_BEGAN,
        seen_at=_BEGAN,
        build_id=_identifier(slot),
        job_id=_identifier(BUILDS + slot),
    )


def _decision(number: int, now: datetime, workers: tuple[WorkerView, ...]) -> Decision:
    reading = Reading(value=number % 90, source="broker", age_seconds=0.2, trust=Trust.TRUSTED)
    observed = PoolObserved(
        pool="linux",
        policy=ScalingPolicy(max_workers=AGENTS),
        ready=reading,
        leases=reading,
        queue_ready=reading,
        queue_unacked=reading,
        queue_total=reading,
        workers=workers,
        generations=dict.fromkeys(range(1, AGENTS + 1), 1),
    )
    plan = Plan(code=DecisionCode.AT_MAXIMUM, reason=f"{number % 90} jobs wait and all {AGENTS} workers are there.")
    return Decision(number=number, at=now, woken_by="tick", observed=observed, plan=plan)


def main() -> None:
    """Fill a store; tell how much memory that took, and how much a log of 100,000 lines on top of it."""
    store = Store()
    bare = resident()
    fill(store)
    filled = resident()
    for first in range(0, LOG_LINES, 1_000):
        lines = tuple(e.LogLine(_LINE.format(first + n), first + n + 1, 1.0) for n in range(1_000))
        store.apply(e.LogSeen("build/x", lines))
    print(json.dumps({"bare": bare, "store": filled - bare, "log": resident() - filled}), flush=True)


if __name__ == "__main__":
    main()
