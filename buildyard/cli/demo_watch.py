"""Several builds at once on their way to the end: bars on a terminal, a line for every change elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from buildyard.cli.output import Output, duration, printable
from buildyard.client import ProducerClient
from buildyard.client.following import Patience
from buildyard.contracts.api import BuildStatus
from buildyard.contracts.builds import BuildState, StageStatus
from buildyard.errors import ProducerUnavailable

_LOOK_SECONDS = 0.4
_ROWS_A_LINE = 50
Show = Callable[[str, BuildStatus], None]


async def watched(producer: ProducerClient, ids: Mapping[str, str], output: Output) -> dict[str, BuildStatus]:
    """Watch builds, given as name -> id, until all have ended; gives how they ended."""
    with _bars(output, list(ids)) if output.err.is_terminal else _lines(output) as show:
        ended = await asyncio.gather(*(_watch(producer, name, build_id, show) for name, build_id in ids.items()))
    return dict(zip(ids, ended, strict=True))


async def _watch(producer: ProducerClient, name: str, build_id: str, show: Show) -> BuildStatus:
    patience = Patience()
    while True:
        try:
            build = await producer.build(build_id)
        except ProducerUnavailable as error:  # the farm restarts a producer that died
            await patience.wait(error)
            continue
        patience.progressed()
        show(name, build)
        if BuildState(build.status).terminal:
            return build
        await asyncio.sleep(_LOOK_SECONDS)


def steps(build: BuildStatus) -> tuple[int, int]:
    """How far a build is: steps done, and all of them. A batch counts rows, others count stages."""
    if build.rows and build.rows.total:
        return build.rows.succeeded + build.rows.failed, build.rows.total
    open_stages = {StageStatus.PENDING, StageStatus.RUNNING}
    done = sum(StageStatus(stage.status) not in open_stages for stage in build.stages)
    return done, max(len(build.stages), 1)


def phrase(build: BuildStatus) -> str:
    """Where a build is, in a few words."""
    if BuildState(build.status).terminal:
        return f"{build.status} after {duration(build.duration)}"
    if build.rows:
        done, total = steps(build)
        return f"{done} of {total} rows"
    return build.current_stage or build.status


@contextmanager
def _bars(output: Output, names: list[str]) -> Iterator[Show]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[phrase]}", markup=False),
    )
    with Progress(*columns, console=output.err) as progress:
        tasks = {name: progress.add_task(name, total=1, phrase="submitted") for name in names}

        def show(name: str, build: BuildStatus) -> None:
            done, total = steps(build)
            progress.update(tasks[name], completed=done, total=total, phrase=printable(phrase(build)))
            if BuildState(build.status).terminal:
                progress.stop_task(tasks[name])

        yield show


@contextmanager
def _lines(output: Output) -> Iterator[Show]:
    told: dict[str, str] = {}

    def show(name: str, build: BuildStatus) -> None:
        text = phrase(build)
        coarse = text
        if build.rows and not BuildState(build.status).terminal:
            coarse = str(steps(build)[0] // _ROWS_A_LINE)
        if told.get(name) != coarse:
            told[name] = coarse
            output.remark(f"{name}: {text}")

    yield show
