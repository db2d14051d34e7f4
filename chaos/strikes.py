"""Carrying out strikes, each on processes, files or connections as they are at its moment."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from urllib.parse import parse_qs, urlsplit

from buildyard.broker import open_broker
from buildyard.clock import SystemClock
from buildyard.contracts.builds import Outcome, ReasonCode, RowResult, StageName, StageStatus
from buildyard.contracts.messages import (
    AttemptReport,
    JobFinished,
    LogStored,
    RowsDone,
    StageFinished,
    StageStarted,
    Ticket,
)
from buildyard.errors import BuildyardError
from buildyard.ports import REPORTS, Delivery, jobs
from chaos.blow import Blow
from chaos.cluster_site import TwinFarm
from chaos.cluster_strikes import ClusterStriker
from chaos.plan import Fault, Strike
from chaos.processes import Running, tell, workers
from chaos.servers import Server
from chaos.yard import BROKER, STORE, Yard

_LOCK = """
import sqlite3, sys, time
held = sqlite3.connect(sys.argv[1], timeout=90, isolation_level=None)
held.execute("BEGIN IMMEDIATE")
time.sleep(float(sys.argv[2]))
held.execute("ROLLBACK")
"""
_WAIT_FOR_WORKER_SECONDS = 20.0
_FORGED_BUILDS = 5
_HELD_REPORTS = 20
_HELD_SECONDS = 2.0
"""Less than a lease: what is late here is late by its order, not by an outage."""
_TAKEN_SECONDS = 0.05
_TRIES = 3
_TIMEOUT_MS = 500
_TAKE_BACK = """
Channels = rabbit_channel:list(),
[Channel ! tick || Channel <- Channels],
timer:sleep(500),
length([Channel || Channel <- Channels, not is_process_alive(Channel)]).
"""
"""A node looks for tickets held too long at each channel's tick, once a minute; here it is told to look now."""

_STOP_LEADER = "ok = ra:stop_server(quorum_queues, {{'{queue}', node()}})."
_START_LEADER = "ok = ra:restart_server(quorum_queues, {{'{queue}', node()}})."
"""What the node calls a quorum queue: its virtual host, quoted as in a URL, and its name."""


class Striker:
    """Strikes at a yard; `blows` are those that found a victim."""

    def __init__(self, yard: Yard) -> None:
        self._yard = yard
        self.blows: list[Blow] = []
        self._refusals = 0
        act = self._on_processes() | self._on_servers()
        if yard.site is not None and isinstance(yard.farm, TwinFarm):
            act |= ClusterStriker(yard.site, yard.farm).acts()
        self._acts: dict[Fault, Callable[[Strike], Awaitable[str | None]]] = act

    async def strike(self, strike: Strike) -> None:
        """Strike, and undo what does not pass by itself."""
        began = datetime.now(UTC)
        victim = await self._acts[strike.fault](strike)
        if victim is not None:
            self.blows.append(Blow(strike.fault, began, datetime.now(UTC), victim))

    # ---------------------------------------------------------------- processes

    def _on_processes(self) -> dict[Fault, Callable[[Strike], Awaitable[str | None]]]:
        return {
            Fault.KILL_WORKER: lambda strike: self._to_worker(strike, signal.SIGKILL),
            Fault.TERM_WORKER: lambda strike: self._to_worker(strike, signal.SIGTERM),
            Fault.FREEZE_WORKER: self._freeze_worker,
            Fault.KILL_PRODUCER: lambda _: self._kill(producer=True),
            Fault.KILL_SCALER: lambda _: self._kill(scaler=True),
            Fault.KILL_ALL: lambda _: self._kill(producer=True, scaler=True, agents=True),
            Fault.FREEZE_PRODUCER: self._freeze_producer,
            Fault.TICKETS: self._issue_tickets,
            Fault.REPORTS: self._forge_reports,
            Fault.REORDER_REPORTS: self._reorder_reports,
        }

    def _victim(self, pick: float) -> Running | None:
        present = workers(self._yard.farm.data_dir, self._yard.farm.api_url)
        return present[int(pick * len(present))] if present else None

    async def _to_worker(self, strike: Strike, number: signal.Signals) -> str | None:
        victim = self._victim(strike.pick)
        if victim is None:
            return None
        tell(victim.pid, number)
        return victim.agent

    async def _freeze_worker(self, strike: Strike) -> str | None:
        """Freeze a worker; where there is none at the moment, wait a while for one."""
        until = time.monotonic() + _WAIT_FOR_WORKER_SECONDS
        while (victim := self._victim(strike.pick)) is None:
            if time.monotonic() >= until:
                return None
            await asyncio.sleep(0.2)
        await self._freeze(victim.pid, strike.seconds)
        return victim.agent

    async def _freeze_producer(self, strike: Strike) -> str | None:
        if self._yard.farm.producer.pid is None:
            return None
        await self._freeze(self._yard.farm.producer.pid, strike.seconds)
        return "producer"

    async def _freeze(self, pid: int, seconds: float) -> None:
        tell(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            tell(pid, signal.SIGCONT)

    async def _kill(self, *, producer: bool = False, scaler: bool = False, agents: bool = False) -> str:
        farm = self._yard.farm
        for part in [farm.producer] * producer + [farm.scaler] * scaler:
            part.kill()
        for worker in workers(farm.data_dir, farm.api_url) if agents else ():
            tell(worker.pid, signal.SIGKILL)
        return "everything" if agents else "producer" if producer else "scaler"

    # ---------------------------------------------------------------- servers

    def _on_servers(self) -> dict[Fault, Callable[[Strike], Awaitable[str | None]]]:
        return {
            Fault.LOCK_STORE: lambda strike: self._lock("store.sqlite", strike),
            Fault.LOCK_BROKER: lambda strike: self._lock("broker.sqlite", strike),
            Fault.CUT_BROKER: self._cut,
            Fault.CUT_STORE: self._cut,
            Fault.REFUSE_BROKER: self._refuse,
            Fault.STALL_BROKER: self._stall,
            Fault.STALL_STORE: self._stall,
            Fault.KILL_BROKER: lambda strike: self._restart(BROKER, strike),
            Fault.KILL_STORE: lambda strike: self._restart(STORE, strike),
            Fault.CONSUMER_TIMEOUT: self._take_tickets_back,
            Fault.FALSE_ZERO: self._lose_leader,
        }

    async def _lock(self, file: str, strike: Strike) -> str:
        path = str(self._yard.farm.data_dir / file)
        holder = await asyncio.create_subprocess_exec(sys.executable, "-c", _LOCK, path, str(strike.seconds))
        await holder.wait()
        return file

    async def _restart(self, name: str, strike: Strike) -> str:
        await self._yard.own[name].kill_and_restart(strike.seconds)
        return name

    async def _cut(self, strike: Strike) -> str:
        proxy = self._yard.store_proxy if strike.fault is Fault.CUT_STORE else self._yard.broker_proxy
        assert proxy is not None
        proxy.cut()
        return "connections"

    async def _refuse(self, strike: Strike) -> str:
        proxy = self._yard.broker_proxy
        assert proxy is not None
        self._refusals += 1
        await proxy.refuse()
        try:
            await asyncio.sleep(strike.seconds)
        finally:
            self._refusals -= 1
            if not self._refusals:  # a long outage may hold a short one
                await proxy.listen()
        return "connections"

    async def _take_tickets_back(self, strike: Strike) -> str | None:
        """Let the consumer timeout strike. A channel keeps the one that it was opened with, hence the cuts."""
        node, proxy = self._yard.own[BROKER], self._yard.broker_proxy
        assert proxy is not None
        taken = "0"
        with suppress(OSError):  # a node that is down cannot be told
            await self._evaluate(node, f"application:set_env(rabbit, consumer_timeout, {_TIMEOUT_MS}).")
            try:
                proxy.cut()
                await asyncio.sleep(max(3.0, strike.seconds))
                taken = await self._evaluate(node, _TAKE_BACK)
            finally:
                await self._evaluate(node, "application:set_env(rabbit, consumer_timeout, 1800000).")
                proxy.cut()
        return f"{taken} channels" if taken != "0" else None

    async def _lose_leader(self, strike: Strike) -> str | None:
        """Without a leader a passive declare answers 0, and no error, whatever lies in the queue."""
        parts = urlsplit(self._yard.broker_url)
        host, prefix = parts.path[1:] or "%2F", parse_qs(parts.query)["prefix"][0]
        queue = f"{host}_{prefix}.{jobs('linux').name}"
        node = self._yard.own[BROKER]
        try:
            await self._evaluate(node, _STOP_LEADER.format(queue=queue))
            await asyncio.sleep(strike.seconds)
        except OSError:
            return None
        finally:
            for _ in range(_TRIES):  # a node that was killed meanwhile brings the leader back by itself
                with suppress(OSError):
                    await self._evaluate(node, _START_LEADER.format(queue=queue))
                    break
        return queue

    async def _evaluate(self, node: Server, expression: str) -> str:
        return await asyncio.to_thread(node.evaluate, expression)

    async def _stall(self, strike: Strike) -> str:
        """Silence; half of the times what was on its way is lost in the end, as in a network that drops packets."""
        proxy = self._yard.store_proxy if strike.fault is Fault.STALL_STORE else self._yard.broker_proxy
        assert proxy is not None
        proxy.freeze()
        try:
            await asyncio.sleep(strike.seconds)
        finally:
            if strike.pick < 0.5:
                proxy.cut()
            proxy.thaw()
        return "connections"

    # ---------------------------------------------------------------- messages

    async def _issue_tickets(self, _: Strike) -> str | None:
        clock = SystemClock()
        return await self._send("linux", [Ticket(ticket_id=clock.new_id(), pool="linux").encode() for _ in range(7)])

    async def _forge_reports(self, strike: Strike) -> str | None:
        """Say again what happened, and say of attempts that are over what never happened."""
        try:
            page = await self._yard.client.builds(limit=30)
            chosen = Random(strike.pick).sample(page.builds, min(_FORGED_BUILDS, len(page.builds)))
            statuses = [await self._yard.client.build(one.execution_id) for one in chosen]
        except BuildyardError:
            return None
        reports: list[AttemptReport] = []
        for status in statuses:
            for attempt in status.attempts:
                told = {
                    "build_id": status.execution_id,
                    "job_id": attempt.job_id,
                    "attempt": attempt.number,
                    "agent": attempt.agent,
                    "at": datetime.now(UTC),
                }
                reports += _repeated(told)
                if attempt.ended_at is not None:
                    reports += _forged(told)
        return await self._send(None, [report.encode() for report in reports])

    async def _reorder_reports(self, strike: Strike) -> str | None:
        """Take reports before the producer can, and hand them back, the newest first."""
        broker = open_broker(self._yard.broker_url)
        held: list[Delivery] = []
        with suppress(BuildyardError):
            try:
                await broker.open()
                reports = await broker.subscribe(REPORTS, _HELD_REPORTS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(strike.seconds, _HELD_SECONDS)):
                        async for report in reports:
                            held.append(report)  # noqa: PERF401 - what came before the time is over is kept
                await reports.stop()
                for report in reversed(held):
                    await report.release()
                    await asyncio.sleep(_TAKEN_SECONDS)  # together they would go back to their old places
            finally:
                await broker.close()
        return f"{len(held)} reports" if held else None

    async def _send(self, pool: str | None, bodies: list[bytes]) -> str | None:
        broker = open_broker(self._yard.broker_url)
        try:
            await broker.open()
            await broker.publish(jobs(pool) if pool else REPORTS, bodies)
        except BuildyardError:
            return None
        finally:
            with suppress(BuildyardError):
                await broker.close()
        return f"{len(bodies)} messages"


def _repeated(told: dict[str, object]) -> list[AttemptReport]:
    fetch = {**told, "stage": StageName.FETCH}
    return [
        StageStarted.model_validate(fetch),
        StageStarted.model_validate(fetch),
    ]


def _forged(told: dict[str, object]) -> list[AttemptReport]:
    """What a zombie might say: every effect there is."""
    foreign = RowResult(row=1, ok=False, error="forged")
    return [
        StageFinished.model_validate({**told, "stage": StageName.BUILD, "status": StageStatus.FAILED}),
        LogStored.model_validate(
            {**told, "key": "forged", "first": 900_001, "last": 900_002, "size_bytes": 1, "stages": (StageName.BUILD,)}
        ),
        RowsDone.model_validate({**told, "rows": (foreign,)}),
        JobFinished.model_validate(
            {
                **told,
                "outcome": Outcome.FAILED,
                "reason_code": ReasonCode.COMMAND_FAILED,
                "reason": "forged",
                "rows": (foreign,),
            }
        ),
    ]
