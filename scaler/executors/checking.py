"""Asking platforms, before a scaler begins, whether it may do there what it will have to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from buildyard.errors import TemporaryError
from buildyard.telemetry import logger
from scaler.executors import Executor

_log = logger("executor")


@runtime_checkable
class Checking(Protocol):
    """An executor that can ask so; others find out when they start a worker."""

    async def check(self) -> None:
        """Return when all that is needed is allowed. Raises InvalidSettings, and TemporaryError when nobody answers."""


async def check_all(executors: Iterable[Executor]) -> None:
    """Check each that can be; a platform that does not answer now is no reason not to begin. Raises InvalidSettings."""
    for executor in executors:
        if isinstance(executor, Checking):
            try:
                await executor.check()
            except TemporaryError as error:
                _log.warning("a platform cannot be checked now", cause=str(error))
