"""What the ready jobs of each pool need, read now and again: a claim asks for jobs with needs that its agent meets."""

from __future__ import annotations

from collections.abc import Mapping

from buildyard.clock import Clock
from buildyard.contracts.agents import Capabilities
from orchestrator.domain.suiting import ReadyJobs, suited
from orchestrator.store.attempts import MOST_NEEDS
from orchestrator.store.queries import Queries

_KNOWN_SECONDS = 1.0
_SHARE = 20
"""A slow look is used for so many times as long as it took."""


class ReadyNeeds:
    """Knows what is needed; a claim that finds nothing has it looked up anew."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._needs: Mapping[str, Mapping[str, ReadyJobs]] = {}
        self._until = 0.0

    async def of(
        self, queries: Queries, pool: str, capabilities: Capabilities, *, anew: bool = False
    ) -> tuple[str, ...]:
        """The needs of the pool's ready jobs that an agent meets, as `Transaction.best_ready` takes them."""
        begun = self._clock.monotonic()
        if anew or begun >= self._until:
            self._needs = await queries.ready_needs()
            after = self._clock.monotonic()
            self._until = after + max(_KNOWN_SECONDS, (after - begun) * _SHARE)
        return suited(self._needs.get(pool, {}), capabilities, MOST_NEEDS)
