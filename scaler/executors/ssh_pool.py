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
from scaler.executors.ssh_memory import Memories


class Placed(NamedTuple):
    """A worker's record (see `ssh_remote.Record`, with its `age`) and its host."""

    record: Mapping[str, Any]
    host: str
    away: str = ""
    """Why its host cannot be asked now: then the record is what was seen last."""


@dataclass(frozen=True)
class Look:
    """What all hosts of a pool said at one moment, and of those that cannot be asked what they said last."""

    sights: tuple[HostSight, ...]
    workers: tuple[Placed, ...]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Worker -> host, of those placed on hosts that the pool has no more."""

    def worker(self, name: str) -> Placed | None:
        """A worker by its name."""
        return next((worker for worker in self.workers if worker.record["name"] == name), None)


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
        self._memories = Memories()

    async def look(self) -> Look:
        """Ask all hosts at once. What cannot be asked is in the sights, with its cause."""
        asked_at = self._clock.monotonic()
        answers = await asyncio.gather(*(self._ask(link) for link in self.links.values()))
        now = self._clock.monotonic()
        sights: list[HostSight] = []
        workers: list[Placed] = []
        elsewhere: dict[str, str] = {}
        for (name, link), answer in zip(self.links.items(), answers, strict=True):
            slots = link.host.slots
            if isinstance(answer, TemporaryError):
                sight, last_seen = self._memories.missed(name, slots, str(answer), now)
                workers += [Placed(record, name, str(answer)) for record in last_seen]
            else:
                sight = self._memories.heard(name, slots, answer["workers"], asked_at, now)
                workers += [Placed(record, name) for record in answer["workers"]]
                elsewhere.update(answer["elsewhere"])
            sights.append(sight)
        seen = {worker.record["name"] for worker in workers}
        return Look(tuple(sights), tuple(workers), {name: at for name, at in elsewhere.items() if name not in seen})

    async def look_well(self) -> Look:
        """The same, with nothing left unknown. Raises TemporaryError: nobody knows who runs on some of the hosts."""
        look = await self.look()
        if trouble := blindness(self.pool, look.sights):
            raise TemporaryError(trouble)
        if twins := self._twins():
            raise TemporaryError(
                f"The hosts {' and '.join(twins)} of the pool {self.pool} share one data_dir.",
                remedy="Give each host a data_dir of its own on its own disk.",
            )
        return look

    def expect(self, host: str, name: str) -> None:
        """A worker is about to come into being on a host: it counts, also when the host does not answer any more."""
        self._memories.expect(host, name, self._clock.monotonic())

    def forget(self) -> None:
        """Another scaler may have started workers: what the hosts said last counts no more."""
        self._memories.forget(self._clock.monotonic())

    async def _ask(self, link: HostLink) -> Any:
        try:
            return await link.ask(
                "look", pool=self.pool, pending_seconds=self.settings.pending_seconds, hosts=list(self.links)
            )
        except TemporaryError as error:
            return error

    def _twins(self) -> tuple[str, ...]:
        by_identity: dict[str, list[str]] = {}
        for name, link in self.links.items():
            if link.identity:
                by_identity.setdefault(link.identity, []).append(name)
        return next((tuple(names) for names in by_identity.values() if len(names) > 1), ())
