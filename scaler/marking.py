"""Telling an executor which workers idle: the union over its pools, and only when it changes."""

from __future__ import annotations

import asyncio

from buildyard.contracts.scaling import PoolObserved, WorkerState
from scaler.executors import Executor


def idle_workers(observed: PoolObserved) -> frozenset[str]:
    """Workers that the platform may move: those known to idle. While nobody knows, there are none."""
    return frozenset(worker.name for worker in observed.workers or () if worker.state is WorkerState.IDLE)


class IdleMarks:
    """The idle workers of all pools of one executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._idle: dict[str, frozenset[str]] = {}
        self._told: frozenset[str] | None = frozenset()
        """None: nobody knows what the platform was told."""
        self._telling = asyncio.Lock()

    def forget(self) -> None:
        """Nobody is known to idle any more, and nobody knows what the platform was told."""
        self._idle.clear()
        self._told = None

    async def tell(self, pool: str, idle: frozenset[str]) -> None:
        """Tell the executor if the set has changed. Raises what `mark` raises; then it is told again next time."""
        self._idle[pool] = idle
        async with self._telling:
            everyone = frozenset().union(*self._idle.values())
            if everyone == self._told:
                return
            self._told = None
            await self._executor.mark(everyone)
            self._told = everyone
