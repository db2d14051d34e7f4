"""A job of rows: reads its part of the rows object, leaves out what is recorded, hands each row to its handler."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from buildyard.contracts.builds import Outcome, ReasonCode, RowsPart
from buildyard.errors import ObjectsUnavailable
from worker.attempt import Attempt
from worker.batch.answers import Row
from worker.batch.builtin import handle_row, work_seconds
from worker.batch.program import run_program
from worker.batch.row_builds import run_builds
from worker.batch.row_sink import RowSink
from worker.calls.calls_job import run_calls
from worker.pipeline import Ending
from worker.streams import closed

_SLICE_SECONDS = 0.02


async def run_rows(attempt: Attempt, part: RowsPart, sink: RowSink) -> Ending:
    """Work through the part's rows.

    Single rows may fail: the job still succeeds, and the batch tells how many did.

    Raises:
        BuildyardError: the rows or the program's source cannot be had, or the program cannot be started.
    """
    async with closed(_rows(attempt, part)) as rows:
        unfetched = None
        if part.handler == "program":
            unfetched = await run_program(attempt, rows, sink)
        elif part.handler == "call":
            unfetched = await run_calls(attempt, rows, sink, part.sharers)
        elif part.handler == "build":
            await run_builds(attempt, rows, sink)
        else:
            await _run_builtin(attempt, rows, sink)
        if unfetched is not None:
            return unfetched
    failed = f", {sink.failed} of them failed" if sink.failed else ""
    noun = "row" if sink.done == 1 else "rows"
    return Ending(Outcome.SUCCEEDED, ReasonCode.SUCCEEDED, f"{sink.done} {noun} done{failed}.")


async def _run_builtin(attempt: Attempt, rows: AsyncIterator[Row], sink: RowSink) -> None:
    breathed = attempt.clock.monotonic()
    async for row in rows:
        began = attempt.clock.monotonic()
        if began - breathed > _SLICE_SECONDS:  # quick rows shall not keep heartbeats waiting
            await asyncio.sleep(0)
            breathed = began
        if (seconds := work_seconds(row.values)) > 0:
            await attempt.stop.pause(seconds)
        if attempt.stop.stopped():
            return
        result = handle_row(row.number, row.values)
        await sink.add(result, attempt.clock.monotonic() - began, last=row.last)


async def _rows(attempt: Attempt, part: RowsPart) -> AsyncIterator[Row]:
    """The rows that are still to be done, in order; one is held back, to know which is the last."""
    done = frozenset(part.done)
    held: Row | None = None
    async with closed(_lines(attempt, part)) as lines:
        async for line in lines:
            found = json.loads(line)
            if int(found["row"]) in done:
                continue
            if held is not None:
                yield held
            held = Row(int(found["row"]), dict(found["values"]))
    if held is not None:
        yield Row(held.number, held.values, last=True)


async def _lines(attempt: Attempt, part: RowsPart) -> AsyncIterator[bytes]:
    rest = b""
    async with closed(await attempt.objects.open(part.key, part.byte_start, part.byte_end)) as chunks:
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line
    if rest:
        raise ObjectsUnavailable("The batch's rows ended in the middle of a row.")
