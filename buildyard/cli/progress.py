"""Transfers and counts as bars on a terminal, as nothing elsewhere: a log file wants no bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from buildyard.cli.output import Output, printable


@contextmanager
def transfer(output: Output, label: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show one transfer; hands out what is to be called with the bytes done and, where known, all of them."""
    if not output.err.is_terminal:
        yield lambda _done, _of: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.err, transient=True) as progress:
        task = progress.add_task(printable(label), total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


@contextmanager
def counting(output: Output, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how many of something are done; hands out what is to be called with the number and, where known, all."""
    if not output.err.is_terminal:
        yield lambda _done, _of: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=output.err, transient=True) as progress:
        task = progress.add_task(unit, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)
