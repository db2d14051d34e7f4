"""The executor port: how workers of one kind come into being.

An executor starts workers and tells which ones run. It never ends one: a worker is asked to drain by its producer and
leaves by itself. `docs/new-executor.md` lists what a new one needs; `tests/scaler/test_executor_contract.py` is the
suite that each must pass.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from buildyard.contracts.api import WorkerInfo


class Executor(Protocol):
    """Starts and lists workers. All methods raise TemporaryError when the platform cannot be asked."""

    async def list(self) -> tuple[WorkerInfo, ...]:
        """All workers that run, and the last ones that ended, of every pool.

        `state` is `Running` or `Exited`, `age_seconds` counts from the start. What cannot be known is raised, never
        answered as an empty list.
        """

    async def start(self, name: str) -> None:
        """Start a worker by its name `<pool>-<slot>-<generation>`.

        Idempotent: a name that was started before, by whomever, is never started again.
        """

    async def describe(self, name: str) -> WorkerInfo:
        """One worker, running or ended. Raises NotFound."""

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncGenerator[bytes]:
        """What the worker process wrote, in pieces of whole lines; `tail` gives its last lines only.

        `follow` goes on until the worker ends. Raises NotFound.
        """

    async def reap(self) -> None:
        """Note workers that ended, end what they left running, and forget the oldest of them. Called at every tick."""

    async def stop(self, seconds: float) -> tuple[str, ...]:
        """Ask all workers to stop (SIGTERM: finish within their grace or hand back), and wait so long at most.

        Returns the names of those that still run: they are left alone.
        """
