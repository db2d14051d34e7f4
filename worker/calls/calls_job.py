"""A job of calls: its rows go out side by side, within the limits, and each one's result is safe before the next."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator

from buildyard.contracts.builds import RowResult, StageName, UploadKind, UploadSource
from buildyard.errors import BuildyardError
from buildyard.project.call_section import CallOptions
from worker.attempt import Attempt
from worker.batch.answers import Row
from worker.batch.row_sink import RowSink
from worker.calls.addresses import nobody_may_be_called
from worker.calls.breaker import Rules
from worker.calls.lease import LeaseWatch
from worker.calls.retrying import Again, Answer, Fault, failed, healthy, judge
from worker.calls.row_call import Call, call_of
from worker.calls.sending import Sender
from worker.calls.traffic import GivenUp, Traffic
from worker.pipeline import Ending
from worker.stages.project import read_configuration
from worker.stages.source import fetch_source


async def run_calls(attempt: Attempt, rows: AsyncIterator[Row], sink: RowSink, sharers: int) -> Ending | None:
    """Call the service for each row; every row gets a result unless the job is stopped.

    `sharers` jobs share the build's limits. An Ending when the source cannot be fetched by this agent.

    Raises:
        Forbidden: this agent may call nobody.
        BuildyardError: the source or the rows cannot be had.
    """
    options = await _options(attempt)
    if isinstance(options, Ending):
        return options
    if not attempt.settings.listed("call_hosts"):
        raise nobody_may_be_called()
    shared = shared_options(options, sharers)
    async with Sender(shared, attempt.clock) as sender:
        await _Calls(attempt, shared, rows, sink, sender).run()
    return None


async def _options(attempt: Attempt) -> CallOptions | Ending:
    """How to call, as the source's `buildyard.toml` says; a CSV sent alone has none."""
    source = attempt.spec.source
    if isinstance(source, UploadSource) and source.kind is UploadKind.CSV:
        return CallOptions()
    if (unfetched := await fetch_source(attempt)) is not None:
        return unfetched
    config = await asyncio.to_thread(read_configuration, attempt.workspace.src)
    return config.call or CallOptions()


def shared_options(options: CallOptions, sharers: int) -> CallOptions:
    """One job's share of a build's limits: together the jobs stay within them, since no build has more than calls."""
    return options.model_copy(
        update={
            "concurrency": max(1, options.concurrency // sharers),
            "rate_per_second": options.rate_per_second / sharers,
            "burst": max(1, (options.burst or options.concurrency) // sharers),
        }
    )


class _Calls:
    """The rows of one job on their way."""

    def __init__(
        self, attempt: Attempt, options: CallOptions, rows: AsyncIterator[Row], sink: RowSink, sender: Sender
    ) -> None:
        rules = options.breaker
        self._attempt = attempt
        self._options = options
        self._rows = rows
        self._reading = asyncio.Lock()
        self._sink = sink
        self._sender = sender
        self._allowed = attempt.settings.listed("call_hosts")
        self._traffic = Traffic(
            attempt.clock,
            rate=options.rate_per_second,
            burst=float(options.burst or options.concurrency),
            rules=Rules(rules.calls, rules.failures, rules.cool_down_seconds, rules.openings),
            say=self._say,
        )

    async def run(self) -> None:
        """Work through all rows, until the attempt is stopped or its lease may have ended."""
        lease = LeaseWatch(self._attempt)
        watching = asyncio.create_task(lease.run())
        stopping = asyncio.create_task(self._attempt.stop.wait())
        working = asyncio.create_task(self._work(lease))
        try:
            await asyncio.wait({working, stopping, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, stopping, watching):
                task.cancel()
            await asyncio.gather(working, stopping, watching, return_exceptions=True)
        for task in (working, watching):
            if not task.cancelled():
                task.result()

    async def _work(self, lease: LeaseWatch) -> None:
        await lease.held.wait()
        options = self._options
        await self._say(
            f"calls: at most {options.concurrency} at once, {options.rate_per_second:.3g} a second, "
            f"{options.tries} tries each"
        )
        slots = [asyncio.create_task(self._slot()) for _ in range(options.concurrency)]
        try:
            done, _ = await asyncio.wait(slots, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for slot in slots:
                slot.cancel()
            await asyncio.gather(*slots, return_exceptions=True)
        for slot in done:
            slot.result()
        failures = f", {self._sink.failed:,} rows failed" if self._sink.failed else ""
        await self._say(f"calls: {self._sink.done:,} rows done{failures}")

    async def _slot(self) -> None:
        while (row := await self._next()) is not None:
            # However quick it was, its result is told before the slot goes on: it shall not be called again.
            await self._sink.add(await self._result(row), math.inf)

    async def _next(self) -> Row | None:
        async with self._reading:
            return await anext(self._rows, None)

    async def _result(self, row: Row) -> RowResult:
        attempt = self._attempt
        try:
            call = call_of(row.number, row.values, self._options, attempt.spec.build_id, self._allowed)
        except BuildyardError as error:
            return RowResult(row=row.number, ok=False, error=f"{error} {error.remedy}".strip())
        tried, end, seconds = 0, None, 0.0
        try:
            while True:
                tried, end, seconds = tried + 1, *await self._try(call)
                verdict = judge(
                    call,
                    end,
                    self._options,
                    tried=tried,
                    seconds=seconds,
                    chance=random.random(),  # noqa: S311 - it only spreads the pauses
                    now=attempt.clock.now(),
                )
                if isinstance(verdict, RowResult):
                    break
                await self._pause(call, tried, verdict)
        except GivenUp as error:
            verdict = failed(row.number, end, str(error).rstrip("."), tried, seconds)
        if not verdict.ok:
            await self._say(f"row {row.number}: {verdict.error}")
        return verdict

    async def _try(self, call: Call) -> tuple[Answer | Fault, float]:
        service = call.address.service
        ticket = await self._traffic.permit(service)
        began = self._attempt.clock.monotonic()
        end = await self._sender.send(call)
        seconds = self._attempt.clock.monotonic() - began
        await self._traffic.ended(service, ticket, healthy=healthy(end))
        return end, seconds

    async def _pause(self, call: Call, tried: int, again: Again) -> None:
        await self._say(f"row {call.row}: try {tried}: {again.cause}; the next in {again.seconds:.3g} s")
        if again.hold:
            await self._traffic.hold(call.address.service, again.seconds)
        await asyncio.sleep(again.seconds)

    async def _say(self, text: str) -> None:
        await self._attempt.log.note(StageName.BUILD, text)
