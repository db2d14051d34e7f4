"""One signal per attempt that says "stop now", and why; whoever works listens to it, threads too."""

from __future__ import annotations

import asyncio

from worker.pipeline import StopCause


class StopSignal:
    """Set once, by the first who has a reason; later reasons change nothing."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._cause: StopCause | None = None

    @property
    def cause(self) -> StopCause | None:
        """Why to stop; None while there is no reason to."""
        return self._cause

    def stopped(self) -> bool:
        """Whether to stop; safe to ask from a thread."""
        return self._cause is not None

    def stop(self, cause: StopCause) -> None:
        """Tell everybody to stop."""
        if self._cause is None:
            self._cause = cause
            self._event.set()

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until it is time to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return

    async def wait(self) -> StopCause:
        """Return the cause as soon as there is one."""
        await self._event.wait()
        assert self._cause is not None
        return self._cause
