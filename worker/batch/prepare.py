"""The first job of a batch: checks the whole CSV, writes its rows down as JSON lines, and cuts them into jobs."""

from __future__ import annotations

import asyncio
import json
import os
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from buildyard.contracts.builds import BatchFound, Outcome, ReasonCode, StageName
from buildyard.errors import InvalidUpload, TemporaryError
from worker.attempt import Attempt
from worker.batch.chunks import cut
from worker.batch.csv_rows import MAX_LINE_BYTES, decode_lines, read_table
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
    key = f"{attempt.spec.output_prefix}rows.jsonl"
    await attempt.objects.put(key, _chunks(rows_file))
    handler: Literal["builtin", "program"] = (
        "builtin" if project is None or project.context.config.batch is None else "program"
    )
    chunks = cut(written.offsets, attempt.spec.properties.rows_per_job)
    await attempt.log.note(StageName.FETCH, f"{rows:,} rows of {len(written.columns)} columns, {len(chunks):,} jobs")
    return BatchFound(rows_key=key, rows=rows, columns=written.columns, handler=handler, chunks=chunks)


def _rows_path(project: Project) -> str:
    """The CSV that `buildyard.toml` names, else the only file of the source."""
    batch = project.context.config.batch
    return batch.rows if batch is not None else next(iter(project.context.tree.files))


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
