"""`buildyard watch`: a build on its way, live on a terminal, as a line for every change elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING

from buildyard.cli.build_report import report
from buildyard.cli.builds import goes_on, succeeded
from buildyard.cli.exits import FAILED, OK
from buildyard.cli.first_errors import first_errors
from buildyard.cli.output import Output, clock_time, duration, printable, word
from buildyard.cli.session import Session
from buildyard.client import ProducerClient
from buildyard.contracts.api import BuildStatus, StageView
from buildyard.contracts.builds import StageStatus
from buildyard.contracts.events import BuildEvent
from buildyard.errors import TemporaryError

if TYPE_CHECKING:
    from rich.console import RenderableType

_FRAME_SECONDS = 0.4
_ROWS_PARTS = 20
"""A batch tells of its rows so many times at most."""


async def watch(session: Session, build_id: str, *, fail_fast: bool, exit_status: bool, as_json: bool) -> int:
    """Watch a build until it ends, or with `fail_fast` until something of it fails.

    Gives 0, or with `exit_status` 1 for a build that did not succeed.
    """
    output = session.output
    async with session.producer() as producer:
        build = await producer.build(build_id)
        try:
            failed_early = await _until_end(output, producer, build, fail_fast=fail_fast, quiet=as_json)
        except (asyncio.CancelledError, TemporaryError):
            goes_on(session, build_id)
            raise
        build = await producer.build(build_id)
        if as_json:
            output.json(build.wire())
        elif _is_live(output):
            report(output, build, await first_errors(producer, build))
    if failed_early and not as_json:
        output.remark(f"Something failed already; the build may go on: buildyard watch {build_id}")
    return FAILED if exit_status and (failed_early or not succeeded(build)) else OK


def _is_live(output: Output) -> bool:
    return output.out.is_terminal and not output.out.is_dumb_terminal


async def _until_end(
    output: Output, producer: ProducerClient, build: BuildStatus, *, fail_fast: bool, quiet: bool
) -> bool:
    """Show the build until its end; gives whether something failed before it, where that ends the watch."""
    async with aclosing(producer.events(build.execution_id)) as events:
        if quiet or not _is_live(output):
            lines = None if quiet else ChangeLines()
            async for event in events:
                if lines and (line := lines.line_of(event)):
                    print(printable(line))
                    sys.stdout.flush()
                if fail_fast and tells_failure(event):
                    return True
            return False
        return await _live(output, producer, build, events, fail_fast=fail_fast)


def tells_failure(event: BuildEvent) -> bool:
    """Whether a stage or a row failed."""
    data = event.data
    if event.type == "stage_finished":
        return str(data.get("status", "")).lower() == StageStatus.FAILED
    return event.type == "rows_done" and int(data.get("failed", 0)) > 0


# ---------------------------------------------------------------- a line for every change


_SENTENCES = {
    "build_received": "Received",
    "build_queued": "Queued",
    "build_started": "Started on {agent}",
    "build_planned": "{rows} rows in {jobs} jobs",
    "build_reprioritised": "Priority {priority}",
    "build_cancelling": "Cancelling",
    "build_ended": "{status}: {reason}",
    "stage_started": "{stage}: running",
}


class ChangeLines:
    """What happened, event by event, as lines."""

    def __init__(self) -> None:
        self._rows_part = -1

    def line_of(self, event: BuildEvent) -> str:
        """The line of an event; "" for one that nobody watches for."""
        told = self._told(event)
        return f"{clock_time(event.at)}  {told}" if told else ""

    def _told(self, event: BuildEvent) -> str:
        data = event.data
        match event.type:
            case "stage_finished":
                told = f"{data.get('stage')}: {finished(data)}"
            case "attempt_ended":
                pause = data.get("retryInSeconds")
                again = f"; again in {duration(float(pause))}" if pause is not None else ""
                told = f"Attempt {data.get('attempt', '')} {data.get('outcome', 'ended')}: {data.get('reason')}{again}"
            case "rows_done":
                told = self._rows(data)
            case _:
                known = _SENTENCES.get(event.type, "")
                told = known.format_map(defaultdict(str, data)) if known else ""
        return told

    def _rows(self, data: dict[str, object]) -> str:
        ok, failed, total = (int(str(data.get(name) or 0)) for name in ("succeeded", "failed", "total"))
        part = (ok + failed) * _ROWS_PARTS // total if total else 0
        if part == self._rows_part:
            return ""
        self._rows_part = part
        return f"{ok + failed} of {total} rows done, {failed} failed"


def finished(data: dict[str, object]) -> str:
    """How a stage ended, with its counts and its reason."""
    counts = [f"{data[name]} {name}" for name in ("errors", "warnings") if data.get(name)]
    reason = f": {data['reason']}" if data.get("reason") else ""
    return ", ".join([str(data.get("status", "")).lower(), *counts]) + reason


# ---------------------------------------------------------------- live


async def _live(
    output: Output, producer: ProducerClient, build: BuildStatus, events: AsyncIterator[BuildEvent], *, fail_fast: bool
) -> bool:
    news, over = asyncio.Event(), asyncio.Event()
    failed, fetched = False, time.monotonic()

    async def listen() -> None:
        nonlocal failed
        try:
            async for event in events:
                news.set()
                failed = failed or tells_failure(event)
                if failed and fail_fast:
                    return
        finally:
            over.set()

    listening = asyncio.create_task(listen())
    try:
        with _screen(output) as screen:
            while not over.is_set():
                if news.is_set():
                    news.clear()
                    with suppress(TemporaryError):  # the events wait for the farm to come back, or give up
                        build = await producer.build(build.execution_id)
                    fetched = time.monotonic()
                screen(frame(build, time.monotonic() - fetched))
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), _FRAME_SECONDS)
        await listening
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    return failed and fail_fast


@contextmanager
def _screen(output: Output) -> Iterator[Callable[[RenderableType], None]]:
    from rich.live import Live

    with Live(console=output.out, auto_refresh=False, transient=True) as live:

        def show(found: RenderableType) -> None:
            live.update(found, refresh=True)

        yield show


def frame(build: BuildStatus, since: float) -> RenderableType:
    """A build as it is drawn: its head and its stages; `since` is how many seconds ago it was asked for."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Text.assemble(word(build.status), f"  {printable(build.project_name)}  {build.execution_id}")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for stage in build.stages:
        table.add_row(word(stage.status), Text(stage.name), Text(_took(stage, since)), Text(printable(stage.reason)))
    return Group(head, Text(printable(_where(build)), style="dim"), table)


def _took(stage: StageView, since: float) -> str:
    running = stage.status == StageStatus.RUNNING.wire
    return duration(stage.duration + since if running and stage.duration is not None else stage.duration)


def _where(build: BuildStatus) -> str:
    if build.rows and build.rows.total:
        done = build.rows.succeeded + build.rows.failed
        return f"{done} of {build.rows.total} rows done, {build.rows.failed} failed"
    if build.queue_position:
        return f"number {build.queue_position} of the queue of {build.target_pool}"
    return f"on {build.agent.name}" if build.agent else build.reason
