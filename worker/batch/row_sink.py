"""Telling finished rows: soon enough that a crash repeats none, seldom enough that quick rows stay quick."""

from __future__ import annotations

import asyncio

from buildyard.contracts.builds import RowResult
from buildyard.contracts.messages import RowsDone
from worker.attempt import Attempt

SLOW_SECONDS = 0.05
"""A row that took longer is told, and the broker's confirmation awaited, before the next one starts."""
_ROWS_AT_ONCE = 100
_BYTES_AT_ONCE = 512 * 1024
_LATEST_SECONDS = 0.2


class RowSink:
    """Takes row results; what it has not told when the job ends rides in `JobFinished.rows`."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._pending: list[RowResult] = []
        self._bytes = 0
        self._timer: asyncio.Task[None] | None = None
        self.failed = 0
        self.done = 0

    async def add(self, result: RowResult, seconds: float, *, last: bool = False) -> None:
        """Take the result of a row that took so many seconds; the job's last row waits for its end."""
        self._pending.append(result)
        self._bytes += len(result.error) + len(str(result.result))
        self.done += 1
        self.failed += not result.ok
        if last:
            return
        if seconds > SLOW_SECONDS or len(self._pending) >= _ROWS_AT_ONCE or self._bytes >= _BYTES_AT_ONCE:
            await self._tell()
        elif self._timer is None or self._timer.done():
            self._timer = asyncio.create_task(self._tell_later())

    async def rest(self) -> tuple[RowResult, ...]:
        """The results that were not told; nothing is told after this."""
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)
        return tuple(self._pending)

    async def _tell_later(self) -> None:
        await asyncio.sleep(_LATEST_SECONDS)
        await self._tell()

    async def _tell(self) -> None:
        """Queue what is pending and wait until the broker has it, or until the attempt is stopped."""
        if not self._pending:
            return
        attempt = self._attempt
        report = RowsDone(
            build_id=attempt.spec.build_id,
            job_id=attempt.spec.job_id,
            attempt=attempt.spec.attempt,
            agent=attempt.agent,
            at=attempt.clock.now(),
            rows=tuple(self._pending),
        )
        self._pending.clear()
        self._bytes = 0
        confirming = asyncio.create_task(attempt.reports.confirm(report))
        stopping = asyncio.create_task(attempt.stop.wait())
        try:
            await asyncio.wait({confirming, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if confirming.done():
                confirming.result()
        finally:
            # Once queued a report is sent, whether or not anybody waits for it.
            confirming.cancel()
            stopping.cancel()
