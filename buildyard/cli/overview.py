"""`buildyard agents` and `queues`: the farm as a whole, its pools and its agents changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from buildyard.cli.exits import OK
from buildyard.cli.output import clock_time, duration, word
from buildyard.cli.session import Session
from buildyard.contracts.agents import AgentView
from buildyard.contracts.api import AgentList, PoolList, PoolView, WorkerInfo, WorkerList
from buildyard.contracts.scaling import Reading, Trust, WorkerState
from buildyard.errors import BuildyardError, TemporaryError

if TYPE_CHECKING:
    from rich.text import Text


async def agents(session: Session, *, as_json: bool) -> int:
    """List the agents, those present first, and the workers that have not joined yet, as far as the scaler tells."""
    async with session.producer() as producer:
        listed = (await producer.agents()).agents
    workers, cause = await _workers(session)
    if as_json:
        seen = [worker.wire() for worker in workers]
        session.output.json({**AgentList(agents=listed).wire(), "workers": seen, "scalerProblem": cause})
        return OK
    by_name = {worker.name: worker for worker in workers}
    rows = [_agent_row(agent, by_name.pop(agent.name, None)) for agent in listed]
    rows += [_worker_row(worker) for worker in by_name.values() if worker.state in _ON_THEIR_WAY]
    if rows:
        told = {name for name, column in _OF_PLATFORM.items() if any(row[column] for row in rows)}
        shown = [column for column, name in enumerate(_AGENT_COLUMNS) if name not in _OF_PLATFORM or name in told]
        headings = tuple(_AGENT_COLUMNS[column] for column in shown)
        spare = tuple(name for name in ("TOOLS", "PID#", "SEEN", *_OF_PLATFORM, "HOST", "REASON") if name in headings)
        session.output.table(headings, [tuple(row[column] for column in shown) for row in rows], spare=spare)
    else:
        session.output.remark("No agent has joined yet; the scaler starts them when work waits.")
    if cause:
        session.output.remark(f"Workers that have not joined yet are not shown: {cause}")
    return OK


_AGENT_COLUMNS = (
    *("AGENT", "POOL", "STATE", "BUILD", "HOST", "NODE", "PHASE", "RESTARTS#", "PID#", "SEEN", "TOOLS", "REASON"),
)
_OF_PLATFORM = {name: _AGENT_COLUMNS.index(name) for name in ("NODE", "PHASE", "RESTARTS#")}
"""Shown where an executor tells them; local processes have none."""
_ON_THEIR_WAY = frozenset({WorkerState.PENDING.wire, WorkerState.UNRESPONSIVE.wire})


async def _workers(session: Session) -> tuple[tuple[WorkerInfo, ...], str]:
    """The scaler's workers, or why they are not known; without them the agents are shown all the same."""
    try:
        async with session.scaler() as scaler:
            found = await scaler.workers()
    except BuildyardError as error:
        return (), str(error)
    return found.workers, " ".join(found.troubles)


def _agent_row(agent: AgentView, worker: WorkerInfo | None) -> tuple[str | Text, ...]:
    tools = ", ".join(f"{name} {version}".strip() for name, version in agent.capabilities.tools.items())
    return (
        *(agent.name, agent.pool, word(agent.state), agent.build_id or "", agent.hostname, *_of_platform(worker)),
        *(str(agent.pid), clock_time(agent.seen_at), tools, agent.reason),
    )


def _worker_row(worker: WorkerInfo) -> tuple[str | Text, ...]:
    """A worker that has not joined: what its platform says of it."""
    pid = "" if worker.pid is None else str(worker.pid)
    reason = worker.pending_reason or worker.detail
    return (worker.name, worker.pool, word(worker.state), "", "", *_of_platform(worker), pid, "", "", reason)


def _of_platform(worker: WorkerInfo | None) -> tuple[str, str, str]:
    if worker is None:
        return "", "", ""
    return worker.node, worker.phase, str(worker.restarts) if worker.restarts else ""


async def queues(session: Session, *, as_json: bool) -> int:
    """List the pools, with the scaler's readings of the broker where the scaler answers."""
    async with session.producer() as producer:
        pools = await producer.pools()
    workers: WorkerList | None = None
    cause = ""
    try:
        async with session.scaler() as scaler:
            workers = await scaler.workers()
    except TemporaryError as error:
        cause = str(error)
    if as_json:
        session.output.json(_as_json(pools, workers, cause))
        return OK
    readings = workers.readings if workers else {}
    rows = [_pool_row(pool, readings.get(pool.name, {})) for pool in pools.pools]
    headings = ("POOL", "READY#", "WAITING#", "RUNNING#", "OLDEST#", *_OF_BROKER.values(), "AGENTS")
    session.output.table(headings, rows, spare=("OLDEST#", *_OF_BROKER.values()))
    for pool in pools.pools:
        if pool.intake.paused:
            why = f": {pool.intake.reason}" if pool.intake.reason else "."
            session.output.remark(f"The pool {pool.name} is paused by {pool.intake.by}{why}")
        for why in pool.unserved:
            session.output.remark(why)
    for doubt in _doubts(readings):
        session.output.remark(doubt)
    if cause:
        session.output.remark(f"No readings of the broker: {cause}")
    return OK


def _as_json(pools: PoolList, workers: WorkerList | None, cause: str) -> dict[str, object]:
    seen = workers.wire() if workers else {"workers": [], "readings": {}}
    return {**pools.wire(), "workers": seen["workers"], "readings": seen["readings"], "scalerProblem": cause}


_OF_BROKER = {"queueReady": "TICKETS#", "queueUnacked": "UNACKED#"}
"""The broker's readings that people see: its tickets should be what is ready, its unacked ones what runs."""


def _doubts(readings: Mapping[str, Mapping[str, Reading]]) -> list[str]:
    """Why counts that decide are not trusted, each cause once for each pool; single sources (`a.b`) are for --json."""
    causes: dict[tuple[str, str], list[str]] = {}
    for pool, counts in readings.items():
        for name, reading in counts.items():
            if reading.trust is not Trust.TRUSTED and reading.cause and "." not in name:
                causes.setdefault((pool, reading.cause), []).append(name)
    return [f"{pool}: {', '.join(names)} not trusted: {cause}" for (pool, cause), names in causes.items()]


def _pool_row(pool: PoolView, readings: Mapping[str, Reading]) -> tuple[str, ...]:
    present = ", ".join(f"{count} {state}" for state, count in sorted(pool.agents.items()) if count)
    counted = (reading_text(readings[name]) if name in readings else "?" for name in _OF_BROKER)
    return (
        pool.name,
        str(pool.ready),
        str(pool.waiting),
        str(pool.leases),
        duration(pool.oldest_wait_seconds),
        *counted,
        present or "none",
    )


def reading_text(reading: Reading) -> str:
    """A count with its trust: `5`, `5 (stale 12s)`, `unknown`."""
    if reading.value is None:
        return "unknown"
    if reading.trust is Trust.TRUSTED:
        return str(reading.value)
    return f"{reading.value} ({reading.trust.value} {duration(reading.age_seconds)})"


async def set_intake(session: Session, name: str, reason: str, *, paused: bool, as_json: bool) -> int:
    """Pause or resume a pool; once more is fine."""
    async with session.producer() as producer:
        change = producer.pause_pool if paused else producer.resume_pool
        pool = await change(name, reason)
    if as_json:
        session.output.json(pool.wire())
    elif pool.intake.paused:
        session.output.line(f"{pool.name}: paused; {pool.ready + pool.waiting} jobs wait, {pool.leases} run on.")
        session.output.remark(f"Resume it: buildyard queues resume {pool.name}")
    else:
        session.output.line(f"{pool.name}: hands out jobs; {pool.ready} are ready.")
    return OK


async def drain(session: Session, name: str, reason: str, *, as_json: bool) -> int:
    """Ask an agent to finish and leave; once more is fine."""
    async with session.producer() as producer:
        agent = await producer.drain_agent(name, reason)
    if as_json:
        session.output.json(agent.wire())
    else:
        session.output.line(f"{agent.name}: {agent.state}.")
        if agent.build_id:
            session.output.remark(f"It leaves once its part of build {agent.build_id} is done.")
    return OK


async def undrain(session: Session, name: str, *, as_json: bool) -> int:
    """Let an agent take jobs again; once more is fine."""
    async with session.producer() as producer:
        agent = await producer.undrain_agent(name)
    if as_json:
        session.output.json(agent.wire())
    else:
        session.output.line(f"{agent.name}: {agent.state}.")
        if agent.build_id:
            session.output.remark(f"It takes jobs again once its part of build {agent.build_id} is done.")
    return OK
