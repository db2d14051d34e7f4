"""Running the program that a batch brings: rows as JSON lines on its standard input, answers on its standard output."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from buildyard.contracts.builds import StageName
from buildyard.errors import BuildyardError, InvalidRequest
from worker.attempt import Attempt
from worker.batch.answers import MAX_ANSWER_BYTES, Row, question, read_answer, unanswered
from worker.batch.pace import Pace
from worker.batch.row_sink import RowSink
from worker.pipeline import Ending, resolved
from worker.process import Child, ProcessEnd, RawLines, pump, started
from worker.stages.project import read_configuration
from worker.stages.source import fetch_source


async def run_program(attempt: Attempt, rows: AsyncIterator[Row], sink: RowSink) -> Ending | None:
    """Fetch the batch's source and run its program over the rows; every row gets a result unless the job is stopped.

    An Ending when the source cannot be fetched by this agent.

    Raises:
        BuildyardError: the source cannot be had, names no program, or the program cannot be started.
    """
    if (unfetched := await fetch_source(attempt)) is not None:
        return unfetched
    config = await asyncio.to_thread(read_configuration, attempt.workspace.src)
    if config.batch is None:
        raise InvalidRequest("The source's buildyard.toml has no [batch] section any more.")
    argv = resolved(config.batch.run, attempt.tools.paths)
    launch = attempt.launch(argv, attempt.workspace.src, config.environment)
    conversation = _Conversation(attempt, rows, sink)
    try:
        async with started(launch, with_input=True) as child:
            end = await conversation.hold(child)
        if not attempt.stop.stopped():
            await conversation.conclude(end)
    finally:
        await conversation.leave()
    return None


@dataclass(frozen=True)
class _Due:
    """A row that the program was given at a moment, in seconds, and has not answered."""

    number: int
    asked: float
    last: bool


async def _one_of(rows: AsyncIterator[Row]) -> Row | None:
    return await anext(rows, None)


class _Conversation:
    """Rows go in at the program's pace, answers come out in the same order."""

    def __init__(self, attempt: Attempt, rows: AsyncIterator[Row], sink: RowSink) -> None:
        self._attempt = attempt
        self._rows = rows
        self._sink = sink
        self._coming: asyncio.Task[Row | None] | None = None
        self._held: Row | None = None
        """A row that waits until the program may have it."""
        self._broken: BuildyardError | None = None
        self._due: deque[_Due] = deque()
        self._surplus = 0
        self._since = attempt.clock.monotonic()

    async def hold(self, child: Child) -> ProcessEnd:
        """Talk to the program until it has ended."""
        pace = Pace(child.unread, lambda: child.stdin.write(b" "))
        writing = asyncio.create_task(self._ask(child.stdin, pace))
        readers = (
            asyncio.create_task(pump(child.stdout, partial(self._answers, pace), MAX_ANSWER_BYTES)),
            asyncio.create_task(pump(child.stderr, self._errors)),
        )
        try:
            ended_by = await child.wait(self._attempt.stop, *readers)
            if await child.end():
                await asyncio.gather(*readers)
        finally:
            for task in (writing, *readers):
                task.cancel()
            await asyncio.gather(writing, *readers, return_exceptions=True)
        return child.described(ended_by)

    async def conclude(self, end: ProcessEnd) -> None:
        """Give the rows that were never answered their errors.

        Raises:
            BuildyardError: not all rows could be had.
        """
        if self._broken is not None:
            raise self._broken
        if self._surplus:
            await self._attempt.log.note(StageName.BUILD, f"{self._surplus} lines of output answered no row")
        for due in self._due:
            await self._sink.add(unanswered(due.number, end.exit_code, end.signal_name), 0, last=due.last)
        while (row := self._held or await self._next()) is not None:
            self._held = None
            await self._sink.add(unanswered(row.number, end.exit_code, end.signal_name), 0, last=row.last)

    async def leave(self) -> None:
        """Let go of the rows."""
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.gather(self._coming, return_exceptions=True)

    async def _next(self) -> Row | None:
        """The next row, None after the last; who is cancelled while waiting for it does not lose it."""
        self._coming = self._coming or asyncio.create_task(_one_of(self._rows))
        row = await asyncio.shield(self._coming)
        self._coming = None
        return row

    async def _ask(self, stdin: asyncio.StreamWriter, pace: Pace) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # its exit code and the missing answers tell more
            try:
                while (row := await self._next()) is not None:
                    self._held = row
                    await pace.room()
                    self._held = None
                    self._due.append(_Due(row.number, self._attempt.clock.monotonic(), row.last))
                    pace.give()
                    stdin.write(question(row.number, row.values))
                    await stdin.drain()
            except BuildyardError as error:  # the program's input ends here; then the job does
                self._broken = error
            stdin.close()
            await stdin.wait_closed()

    async def _answers(self, pace: Pace, lines: RawLines) -> None:
        for line, dropped in lines:
            if not line.strip() and not dropped:
                continue
            if not self._due:
                self._surplus += 1
                continue
            due = self._due.popleft()
            now = self._attempt.clock.monotonic()
            seconds, self._since = now - max(due.asked, self._since), now
            pace.answered()
            await self._sink.add(read_answer(due.number, line, dropped), seconds, last=due.last)
            pace.told(seconds)

    async def _errors(self, lines: RawLines) -> None:
        await self._attempt.log.write(StageName.BUILD, lines)
