"""The hosts of one pool, looked at together: who runs where, and what cannot be known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from buildyard.clock import Clock
from buildyard.contracts.pools_ssh import SshPool
from buildyard.errors import TemporaryError
from scaler.executors.ssh_choice import HostSight, blindness
from scaler.executors.ssh_link import HostLink

KNOWN_SECONDS = 30.0
"""What a host said counts while it was asked again at least this often: a scaler that led no more knows nothing."""


class Placed(NamedTuple):
    """A worker's record (see `ssh_remote.Record`, with its `age`) and its host."""

    record: Mapping[str, Any]
    host: str


@dataclass(frozen=True)
class Look:
    """What all hosts of a pool said at one moment."""

    sights: tuple[HostSight, ...]
    workers: tuple[Placed, ...]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Worker -> host, of those placed on hosts that the pool has no more."""

    def worker(self, name: str) -> Placed | None:
        """A worker by its name."""
        return next((worker for worker in self.workers if worker.record["name"] == name), None)


class _Memory(NamedTuple):
    """How many workers ran on a host when it was asked last, and when anybody was asked last."""

    running: int
    asked_at: float


class PoolHosts:
    """The hosts of one pool.

    Args:
        pool: its name.
        settings: its table.
        links: one per host.
        clock: tells how old what was seen is.
    """

    def __init__(self, pool: str, settings: SshPool, links: Sequence[HostLink], clock: Clock) -> None:
        self.pool = pool
        self.settings = settings
        self.links = {link.host.name: link for link in links}
        self.starting = asyncio.Lock()
        self._clock = clock
        self._memories: dict[str, _Memory] = {}

    async def look(self) -> Look:
        """Ask all hosts at once. What cannot be asked is in the sights, with its cause."""
        answers = await asyncio.gather(*(self._ask(link) for link in self.links.values()))
        now = self._clock.monotonic()
        workers = [
            Placed(record, name)
            for name, answer in zip(self.links, answers, strict=True)
            if not isinstance(answer, TemporaryError)
            for record in answer["workers"]
        ]
        sights = []
        elsewhere: dict[str, str] = {}
        for name, answer in zip(self.links, answers, strict=True):
            sights.append(self._sight(name, answer, now))
            if not isinstance(answer, TemporaryError):
                elsewhere.update(answer["elsewhere"])
        seen = {worker.record["name"] for worker in workers}
        return Look(tuple(sights), tuple(workers), {name: at for name, at in elsewhere.items() if name not in seen})

    async def look_well(self) -> Look:
        """The same, with nothing left unknown. Raises TemporaryError: a host that may have workers cannot be asked."""
        look = await self.look()
        if trouble := blindness(self.pool, look.sights):
            raise TemporaryError(trouble)
        if twins := self._twins():
            raise TemporaryError(
                f"The hosts {' and '.join(twins)} of the pool {self.pool} share one data_dir.",
                remedy="Give each host a data_dir of its own on its own disk.",
            )
        return look

    def expect(self, host: str) -> None:
        """A worker may be coming into being on a host: until it answers again nobody knows that it has none."""
        memory = self._memories.get(host)
        if memory is not None:
            self._memories[host] = _Memory(memory.running + 1, memory.asked_at)

    async def _ask(self, link: HostLink) -> Any:
        try:
            return await link.ask(
                "look", pool=self.pool, pending_seconds=self.settings.pending_seconds, hosts=list(self.links)
            )
        except TemporaryError as error:
            return error

    def _sight(self, name: str, answer: Any, now: float) -> HostSight:
        slots, memory = self.links[name].host.slots, self._memories.get(name)
        if not isinstance(answer, TemporaryError):
            running = sum(record["ended_at"] is None for record in answer["workers"])
            self._memories[name] = _Memory(running, now)
            return HostSight(name, slots, running, running)
        if memory is None or now - memory.asked_at > KNOWN_SECONDS:
            self._memories.pop(name, None)
            return HostSight(name, slots, None, None, str(answer))
        self._memories[name] = _Memory(memory.running, now)
        return HostSight(name, slots, None, memory.running, str(answer))

    def _twins(self) -> tuple[str, ...]:
        by_identity: dict[str, list[str]] = {}
        for name, link in self.links.items():
            if link.identity:
                by_identity.setdefault(link.identity, []).append(name)
        return next((tuple(names) for names in by_identity.values() if len(names) > 1), ())
