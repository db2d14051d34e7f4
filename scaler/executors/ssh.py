"""Workers on machines that are reached by SSH. They outlive connection and scaler; the hosts themselves remember them.

Where a name is placed is decided once: notes of it are made on a few hosts, which everybody comes to by hashing and
asks in the same order; where there is a note already, that one holds. Then the worker's folder is made on the host of
the note, which works once. So a name is started once, also by two scalers, across hosts and restarts.

A host that cannot be asked has at most the workers that were seen there last: they count, and the other hosts go on.
Where that is not known, or no host answers, `list` fails: unknown is not empty.
"""

from __future__ import annotations

import asyncio
import base64
import random
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from buildyard.clock import Clock
from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.pools_ssh import SshPool
from buildyard.contracts.scaling import PendingCode, PoolConfig, WorkerState
from buildyard.errors import InvalidRequest, InvalidSettings, NotFound, TemporaryError
from buildyard.telemetry import logger
from scaler.executors.ssh_choice import choose, note_keepers
from scaler.executors.ssh_inventory import hosts_of
from scaler.executors.ssh_link import HostLink
from scaler.executors.ssh_pool import Look, Placed, PoolHosts

ANSWER_SECONDS = 2.5
"""Below the deadline of a tick, so that the cause is told in words."""
FOLLOW_SECONDS = 600.0
"""A log is read on after its host was away for so long at most."""
_FOLLOW_PAUSE_SECONDS = 0.25
_STOP_PAUSE_SECONDS = 0.1
_NAME = re.compile(r"([a-z][a-z0-9-]{0,39})-[1-9]\d{0,8}-[1-9]\d{0,8}")

_log = logger("executor")


class SshExecutor:
    """Workers on the hosts of all pools whose executor is `ssh`; an `Executor`.

    Args:
        pools: by name, each with its table `ssh`.
        environment: by pool, the `BUILDYARD_*` settings of its workers.
        clock: tells ages.
        answer_seconds: the longest that one question to a host may take.
        chance: a random number from 0 to 1, for pauses between connections.

    Raises:
        InvalidSettings: an inventory is wrong.
    """

    def __init__(
        self,
        pools: Mapping[str, PoolConfig],
        environment: Mapping[str, Mapping[str, str]],
        clock: Clock,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._environment = environment
        self._clock = clock
        self._pools: dict[str, PoolHosts] = {}
        for name, config in pools.items():
            if config.ssh is None:
                raise InvalidSettings(f"The pool {name} has no table ssh.", remedy="docs/ssh-workers.md shows one.")
            links = [
                HostLink(
                    host,
                    connect_seconds=config.ssh.connect_seconds,
                    answer_seconds=answer_seconds,
                    monotonic=clock.monotonic,
                    chance=chance,
                )
                for host in hosts_of(name, config.ssh)
            ]
            self._pools[name] = PoolHosts(name, config.ssh, links, clock)

    async def list(self) -> tuple[WorkerInfo, ...]:
        """All workers that run, and the last ones that ended.

        Raises:
            TemporaryError: nobody knows who runs on some of the hosts.
        """
        looks = await asyncio.gather(*(pool.look_well() for pool in self._pools.values()))
        return tuple(info for pool, look in zip(self._pools, looks, strict=True) for info in _infos(pool, look))

    async def start(self, name: str) -> None:
        """Start a worker on the host with the most room, unless its name was used before.

        Raises:
            InvalidRequest: the name is none of a worker of these pools.
            TemporaryError: it cannot be started now, or nobody knows whether it was.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise InvalidRequest(f"{name!r} is not the name of a worker: <pool>-<slot>-<generation>.")
        pool = self._pools.get(match[1])
        if pool is None:
            raise InvalidRequest(f"There is no pool {match[1]} with the executor ssh, so {name} cannot be started.")
        async with pool.starting:  # one after the other, so that each sees where the one before went
            look = await pool.look_well()
            if look.worker(name) is None and name not in look.elsewhere:
                await self._place_and_start(pool, look, name)

    async def describe(self, name: str) -> WorkerInfo:
        """One worker, running or ended. Raises NotFound and TemporaryError."""
        pool, worker = await self._find(name)
        return _info(pool.pool, worker)

    async def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncGenerator[bytes]:
        """What the worker wrote, in whole lines. A lost connection is renewed, and no line is lost or comes twice.

        Raises:
            NotFound: there is no such worker.
            TemporaryError: its host cannot be asked, also not after a while.
        """
        pool, worker = await self._find(name)
        link = pool.links[worker.host]
        offset: int | None = None
        heard = self._clock.monotonic()
        while True:
            try:
                told = await link.ask("log", name=name, offset=offset, tail=tail, follow=follow)
            except TemporaryError as error:
                if self._clock.monotonic() - heard > (FOLLOW_SECONDS if follow else pool.settings.connect_seconds):
                    raise TemporaryError(f"The host {worker.host} cannot be asked: {error}.") from error
                await asyncio.sleep(_FOLLOW_PAUSE_SECONDS)
                continue
            heard, offset = self._clock.monotonic(), told["offset"]
            if piece := base64.b64decode(told["data"]):
                yield piece
            elif told["last"]:
                return
            else:
                await asyncio.sleep(_FOLLOW_PAUSE_SECONDS)

    async def reap(self) -> None:
        """Settle workers that ended, bound logs, forget the oldest. Raises TemporaryError."""
        await self._on_all("reap")

    async def mark(self, idle: frozenset[str]) -> None:
        """Nothing moves a worker from its host."""

    def forget(self) -> None:
        """What a host said last counts no more: another scaler may have started workers there."""
        for pool in self._pools.values():
            pool.forget()

    async def stop(self, seconds: float) -> tuple[str, ...]:
        """SIGTERM to all workers; the names of those that still run after `seconds`. Raises TemporaryError."""
        await self._on_all("terminate")
        deadline = self._clock.monotonic() + seconds
        while running := tuple(info.name for info in await self.list() if info.state == "Running"):
            if self._clock.monotonic() >= deadline:
                break
            await asyncio.sleep(_STOP_PAUSE_SECONDS)
        await self._on_all("reap")
        return running

    async def aclose(self) -> None:
        """Let go of all connections; workers stay."""
        await asyncio.gather(*(link.aclose() for pool in self._pools.values() for link in pool.links.values()))

    # ------------------------------------------------------------------------------------------------ hosts

    async def _place_and_start(self, pool: PoolHosts, look: Look, name: str) -> None:
        placed = choose(look.sights)
        if placed is None:
            raise TemporaryError(_no_room(pool.pool, look))
        for keeper in note_keepers(name, look.sights):
            placed = await self._ask(pool, keeper, "place", name=name, host=placed)
        if placed not in pool.links:
            return  # it was placed on a host that the inventory has no more: `list` tells so from now on
        pool.expect(placed, name)
        link = pool.links[placed]
        environment = {**self._environment.get(pool.pool, {}), **link.host.environment}
        told = await self._ask(
            pool, placed, "start", name=name, command=_command(pool.settings, link.host.python), environment=environment
        )
        if error := told.get("error"):
            raise TemporaryError(f"{name} could not be started on the host {placed}: {error}")
        _log.info("started a worker", worker=name, host=placed)

    async def _ask(self, pool: PoolHosts, host: str, ask: str, /, **arguments: Any) -> Any:
        try:
            return await pool.links[host].ask(ask, **arguments)
        except TemporaryError as error:
            raise TemporaryError(f"The host {host} of the pool {pool.pool} cannot be asked ({error}).") from error

    async def _find(self, name: str) -> tuple[PoolHosts, Placed]:
        match = _NAME.fullmatch(name)
        pool = self._pools.get(match[1]) if match else None
        if pool is not None:
            look = await pool.look()
            if worker := look.worker(name):
                return pool, worker
            await pool.look_well()
        raise NotFound(f"There is no worker {name} here, or it ended long ago.")

    async def _on_all(self, ask: str) -> None:
        """Ask all hosts of all pools to do something. Raises TemporaryError once all were asked."""
        asked = [
            self._ask(pool, host, ask, pool=pool.pool, pending_seconds=pool.settings.pending_seconds)
            for pool in self._pools.values()
            for host in pool.links
        ]
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer


def _command(settings: SshPool, python: str) -> tuple[str, ...]:
    return settings.command or (python, "-P", "-m", "worker")


def _no_room(pool: str, look: Look) -> str:
    slots = sum(sight.slots for sight in look.sights if sight.running is not None)
    away = [f"{sight.name}: {sight.cause}" for sight in look.sights if sight.running is None]
    told = f"All {slots} slots of the pool {pool} are taken" if slots else f"No host of the pool {pool} can be asked"
    return f"{told}{' (' + '; '.join(away) + ')' if away else ''}; max_workers should not be more than the slots."


def _infos(pool: str, look: Look) -> tuple[WorkerInfo, ...]:
    gone = (
        WorkerInfo(
            name=name,
            pool=pool,
            state=WorkerState.EXITED.wire,
            detail=f"It was placed on the host {host}, which the inventory has no more.",
            node=host,
            pending_code=PendingCode.HOST_UNREACHABLE,
        )
        for name, host in look.elsewhere.items()
    )
    return (*(_info(pool, worker) for worker in look.workers), *gone)


def _info(pool: str, worker: Placed) -> WorkerInfo:
    record = worker.record
    ended = record["ended_at"] is not None
    never_began = record["pid"] is None
    starting = f"The host {worker.host} is starting it."
    info = WorkerInfo(
        name=record["name"],
        pool=pool,
        state=WorkerState.EXITED.wire if ended else "Running",
        pid=record["pid"],
        age_seconds=record["age"],
        exit_code=record["exit_code"],
        detail=record["detail"],
        node=worker.host,
        pending_code=(PendingCode.BAD_SPEC if ended else PendingCode.STARTING) if never_began else None,
        pending_reason=(record["detail"] if ended else starting) if never_began else "",
    )
    if not worker.away or ended:
        return info
    # No pending_code: one that nobody sees must not count as on its way to the work for ever.
    detail = f"Its host cannot be asked ({worker.away.rstrip('.')}): it counts as it was last seen."
    unseen = {"phase": "unreachable", "detail": detail, "pending_code": None, "pending_reason": ""}
    return info.model_copy(update=unseen)
