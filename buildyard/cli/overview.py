"""`buildyard agents` and `queues`: the farm as a whole, its pools and its agents changed."""

from __future__ import annotations

from collections.abc import Mapping

from buildyard.cli.exits import OK
from buildyard.cli.output import clock_time, duration, word
from buildyard.cli.session import Session
from buildyard.contracts.api import PoolList, PoolView, WorkerList
from buildyard.contracts.scaling import Reading, Trust
from buildyard.errors import TemporaryError


async def agents(session: Session, *, as_json: bool) -> int:
    """List the agents, those present first."""
    async with session.producer() as producer:
        listed = await producer.agents()
    if as_json:
        session.output.json(listed.wire())
        return OK
    rows = [
        (
            agent.name,
            agent.pool,
            word(agent.state),
            agent.build_id or "",
            agent.hostname,
            str(agent.pid),
            clock_time(agent.seen_at),
            ", ".join(f"{name} {version}".strip() for name, version in agent.capabilities.tools.items()),
            agent.reason,
        )
        for agent in listed.agents
    ]
    if rows:
        headings = ("AGENT", "POOL", "STATE", "BUILD", "HOST", "PID#", "SEEN", "TOOLS", "REASON")
        session.output.table(headings, rows, spare=("TOOLS", "PID#", "SEEN", "HOST", "REASON"))
    else:
        session.output.remark("No agent has joined yet; the scaler starts them when work waits.")
    return OK


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
