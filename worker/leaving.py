"""Why and how an agent leaves; decided once, by the first who has a reason, made stricter by those who come later."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import IntEnum
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Urgency(IntEnum):
    """How soon an agent leaves."""

    DRAIN = 1
    """After the job in hand."""
    TERMINATE = 2
    """After the job in hand if it ends within the grace; else the job goes back."""
    AT_ONCE = 3
    """The job in hand is stopped now."""


class Leaving:
    """Set when the agent is to leave; `exit_code` and `reason` are those of the first cause."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._changed = asyncio.Event()
        self.urgency: Urgency | None = None
        self.reason = ""
        self.exit_code = 0
        self._asked = False
        """Whether the producer asked for it, and nobody else: it may ask otherwise."""

    def decide(self, urgency: Urgency, reason: str, exit_code: int = 0, *, asked: bool = False) -> None:
        """Leave; a later call only makes it more urgent. `asked`: for no other cause than the producer's order."""
        if self.urgency is None:
            self.reason, self.exit_code, self._asked = reason, exit_code, asked
        self._asked = self._asked and asked
        self.urgency = max(self.urgency or urgency, urgency)
        self._event.set()
        self._changed.set()

    @property
    def decided(self) -> bool:
        """Whether the agent is to leave."""
        return self.urgency is not None

    @property
    def revocable(self) -> bool:
        """Whether the agent leaves only because the producer asked it to drain."""
        return self.urgency is Urgency.DRAIN and self._asked

    def withdraw(self) -> None:
        """Stay after all, where the producer alone asked for it and asks no more."""
        if self.revocable:
            self.urgency, self.reason = None, ""
            self._event.clear()
            self._changed.clear()

    async def wait(self) -> None:
        """Return as soon as the agent is to leave."""
        await self._event.wait()

    async def next_change(self) -> Urgency:
        """Wait until `decide` is called, again if it was before, and return how soon the agent leaves."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self.urgency is not None:  # else it was withdrawn meanwhile
                return self.urgency

    async def unless(self, work: Coroutine[Any, Any, _Result]) -> _Result | None:
        """The result of `work`, or None when the agent is to leave before it is done; `work` is then cancelled."""
        working = asyncio.create_task(work)
        leaving = asyncio.create_task(self.wait())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            for task in (working, leaving):
                task.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not past the decision to leave."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            return
