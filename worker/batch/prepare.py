"""The first job of a batch: checks the whole CSV, writes its rows down as JSON lines, and cuts them into jobs."""

from __future__ import annotations

import asyncio
import json
import os
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from buildyard.contracts.builds import BatchFound, Outcome, ReasonCode, RowHandler, StageName, UploadSource
from buildyard.errors import InvalidUpload, TemporaryError
from buildyard.project.call_section import PLACE, CallOptions
from worker.attempt import Attempt
from worker.batch.chunks import cut, rows_per_call_job
from worker.batch.csv_rows import MAX_LINE_BYTES, decode_lines, read_table
from worker.batch.row_builds import GIT_COLUMN
from worker.calls.addresses import check_address, nobody_may_be_called
from worker.calls.row_call import URL_COLUMN, check_columns
from worker.pipeline import Ending
from worker.stages.files import open_regular
from worker.stages.project import Project
from worker.stages.upload_fetch import CSV_NAME

_CHUNK_BYTES = 1024 * 1024
_ASK_TO_STOP_EVERY = 1000
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class _Written:
    columns: tuple[str, ...]
    offsets: array[int]


async def prepare_batch(attempt: Attempt, project: Project | None) -> BatchFound | Ending:
    """Turn the batch's CSV into a rows object and its chunks; an Ending when the CSV is refused.

    `project` is None for an upload that is a CSV itself.

    Raises:
        Forbidden: its rows are calls to what may not be called.
        InvalidRequest: [call] does not fit the CSV.
        ObjectsUnavailable: the object store stayed away.
        TemporaryError: the attempt was stopped.
    """
    src = await asyncio.to_thread(attempt.workspace.src.resolve)
    source = src / (CSV_NAME if project is None else _rows_path(project))
    rows_file = attempt.workspace.root / "rows.jsonl"
    try:
        written = await asyncio.to_thread(_write_rows, src, source, rows_file, attempt.stop.stopped)
    except InvalidUpload as error:
        return Ending(Outcome.REJECTED, ReasonCode.CSV_REFUSED, f"{error} {error.remedy}".strip())
    rows = len(written.offsets) - 1
    if not rows:
        return Ending(Outcome.REJECTED, ReasonCode.CSV_REFUSED, "The CSV has a header, but no rows.")
    uploaded = isinstance(attempt.spec.source, UploadSource)
    handler = _handler(project, written.columns, attempt.spec.properties.toolchain, uploaded=uploaded)
    asked = attempt.spec.properties.rows_per_job
    if handler == "call":
        options = (project.context.config.call if project else None) or CallOptions()
        _check_calls(options, written.columns, attempt.settings.listed("call_hosts"))
        asked = rows_per_call_job(rows, asked, options.most_jobs)
    elif handler == "build":
        asked = rows  # asking takes no time: the work is in the builds
    key = f"{attempt.spec.output_prefix}rows.jsonl"
    await attempt.objects.put(key, _chunks(rows_file))
    chunks = cut(written.offsets, asked)
    await attempt.log.note(StageName.FETCH, f"{rows:,} rows of {len(written.columns)} columns, {len(chunks):,} jobs")
    return BatchFound(rows_key=key, rows=rows, columns=written.columns, handler=handler, chunks=chunks)


def _rows_path(project: Project) -> str:
    """The CSV that `buildyard.toml` names, else the only file of the source."""
    section = project.context.config.batch or project.context.config.call
    return section.rows if section is not None else next(iter(project.context.tree.files))


def _handler(project: Project | None, columns: tuple[str, ...], toolchain: str | None, *, uploaded: bool) -> RowHandler:
    """What becomes of the rows: as `buildyard.toml` says, else as there is a column for it.

    A CSV from a repository asks for no builds: it could ask for its own repository, without end.
    """
    if project is not None and project.context.config.batch is not None:
        return "program"
    if project is not None and project.context.config.call is not None:
        return "call"
    if toolchain is None and uploaded and GIT_COLUMN in columns:
        return "build"
    called = toolchain == "call" or (toolchain is None and URL_COLUMN in columns)
    return "call" if called else "builtin"


def _check_calls(options: CallOptions, columns: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    """Refuse at once what no row could do; the rest is judged row by row."""
    if not allowed:
        raise nobody_may_be_called()
    check_columns(columns, options)
    if options.url is not None:
        check_address(PLACE.sub("x", options.url), allowed)


def _write_rows(src: Path, source: Path, target: Path, should_stop: Callable[[], bool]) -> _Written:
    """Write {"row": n, "values": {...}} lines and note where each begins; blocks."""
    not_there = InvalidUpload(f"The rows file {source.name} is not there, or is no regular file of the source.")
    if not source.resolve().is_relative_to(src):
        raise not_there
    try:
        descriptor = open_regular(source)
    except OSError as error:
        raise not_there from error
    offsets = array("Q", [0])
    with os.fdopen(descriptor, "rb") as file, target.open("xb") as out:
        table = read_table(decode_lines(_lines(file)))
        position = 0
        for number, values in enumerate(table.rows, 1):
            if number % _ASK_TO_STOP_EVERY == 0 and should_stop():
                raise TemporaryError("Reading the rows was stopped before its end, as asked.")
            position += out.write(f"{_JSON({'row': number, 'values': values})}\n".encode())
            offsets.append(position)
    return _Written(table.columns, offsets)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
