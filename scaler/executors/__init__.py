"""The executor port: how workers of one kind come into being.

An executor starts workers and tells which ones run. It never ends one: a worker is asked to drain by its producer and
leaves by itself. `docs/new-executor.md` lists what a new one needs; `tests/scaler/test_executor_contract.py` is the
suite that each must pass.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, runtime_checkable

from buildyard.contracts.api import WorkerInfo


class Executor(Protocol):
    """Starts and lists workers. All methods raise TemporaryError when the platform cannot be asked."""

    async def list(self) -> tuple[WorkerInfo, ...]:
        """All workers that run, and the last ones that ended, of every pool.

        `state` is `Running` or `Exited`, `age_seconds` counts from the start. A worker that waits for its platform is
        `Running` with a `pending_code` and a sentence; one that was taken away because it could not begin is `Exited`
        with them. What `start` returned for is listed from then on. What cannot be known is raised, never answered as
        an empty list.
        """

    async def start(self, name: str) -> None:
        """Start a worker by its name `<pool>-<slot>-<generation>`.

        Idempotent: a name that was started before, by whomever, is never started again. Raises PermanentError when the
        pool's settings can never work, with what is wrong in one sentence.
        """

    async def describe(self, name: str) -> WorkerInfo:
        """One worker, running or ended. Raises NotFound."""

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncGenerator[bytes]:
        """What the worker process wrote, in pieces of whole lines; `tail` gives its last lines only.

        `follow` goes on until the worker ends. Raises NotFound.
        """

    async def reap(self) -> None:
        """Note workers that ended, end what they left running, and forget the oldest of them. Called at every tick.

        A worker that never began to run, and did not within its pool's bound, is taken away; none that ever ran is.
        """

    async def mark(self, idle: frozenset[str]) -> None:
        """Tell the platform that it may move these workers, and none of the others. Called when the set changes.

        A platform without such a notion does nothing.
        """

    def forget(self) -> None:
        """What this process remembers counts no more: another one may have started workers and told who idles.

        Called before this process begins to decide. What the platform itself keeps is looked at anew.
        """

    async def stop(self, seconds: float) -> tuple[str, ...]:
        """Ask all workers to stop (SIGTERM: finish within their grace or hand back), and wait so long at most.

        Returns the names of those that still run: they are left alone.
        """

    async def aclose(self) -> None:
        """Let go of the platform: connections, watches. Workers stay."""


@runtime_checkable
class SideBySide(Protocol):
    """An executor whose platform is not the slower for several starts at a time; others start one after the other."""

    starts_at_once: int


def starts_at_once(executor: Executor) -> int:
    """How many workers an executor may be asked to start at a time."""
    return executor.starts_at_once if isinstance(executor, SideBySide) else 1
