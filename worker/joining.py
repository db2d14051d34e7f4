"""Joining a pool, and joining it again when the producer has forgotten the agent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from buildyard import __version__
from buildyard.contracts.agents import AgentJoined, AgentRegistration
from buildyard.errors import PermanentError, TemporaryError
from buildyard.telemetry import logger
from worker.capabilities import health, machine
from worker.job_in_hand import Means
from worker.leaving import Leaving, Urgency

EXIT_REFUSED = 4
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class Identity:
    """Who the agent is."""

    name: str
    pool: str
    hostname: str
    pid: int


class Joining:
    """The agent's membership of its pool."""

    def __init__(self, identity: Identity, means: Means, leaving: Leaving) -> None:
        self._identity = identity
        self._means = means
        self._leaving = leaving
        self._log = logger("joining")
        self.last_contact = means.clock.monotonic()
        """When the producer last took a registration, in seconds of the clock's monotonic time."""

    async def join(self) -> AgentJoined | None:
        """Register, waiting for the producer as long as it takes; None when it refuses: then the agent leaves."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self.join_once()
            except TemporaryError as error:
                self._log.warning("waiting for the producer", error=str(error))
            except PermanentError as error:
                self._log.error("the producer refuses this agent", error=str(error), remedy=error.remedy)
                self._leaving.decide(Urgency.DRAIN, str(error), EXIT_REFUSED)
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def join_once(self) -> AgentJoined:
        """Register.

        Raises:
            PermanentError: the producer refuses the agent.
            TemporaryError: it cannot be reached.
        """
        joined = await self._means.producer.register(await asyncio.to_thread(self._registration))
        self.last_contact = self._means.clock.monotonic()
        return joined

    def _registration(self) -> AgentRegistration:
        data_dir = self._means.settings.data_dir
        return AgentRegistration(
            name=self._identity.name,
            pool=self._identity.pool,
            hostname=self._identity.hostname,
            pid=self._identity.pid,
            version=__version__,
            capabilities=machine(self._means.tools, data_dir),
            health=health(data_dir),
        )
