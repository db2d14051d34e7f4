"""The last job of a batch: all row results as files that people and programs can read."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from buildyard.contracts.builds import ArtifactRecord, RowResult, StageName
from buildyard.errors import ProducerUnavailable, TemporaryError
from worker.attempt import Attempt
from worker.batch.result_table import MAX_COLUMNS, flat
from worker.stages.publish import Found, store_all
from worker.streams import closed

_TRIES = 5


async def collect_rows(attempt: Attempt) -> tuple[ArtifactRecord, ...]:
    """Write and store `results.csv` (rows that succeeded), `results.jsonl` (all rows), `errors.csv` (rows that failed).

    Raises:
        ProducerUnavailable: the row results cannot be had.
        ObjectsUnavailable: the object store stayed away.
        TemporaryError: the attempt was stopped.
    """
    folder = attempt.workspace.out
    for number in range(1, _TRIES + 1):
        try:
            table = await _stream(attempt, folder)
            break
        except ProducerUnavailable as error:
            if number == _TRIES or attempt.stop.stopped():
                raise
            await attempt.log.note(StageName.PUBLISH, f"the row results break off: {error}")
            await asyncio.sleep(error.retry_after * number)
    await asyncio.to_thread(table.write_results)
    await attempt.log.note(StageName.PUBLISH, f"{table.rows:,} row results, {table.failed:,} of them failed")
    return await store_all(attempt, tuple(Found(folder / name, name) for name in _Tables.names))


async def _stream(attempt: Attempt, folder: Path) -> _Tables:
    async with closed(attempt.producer.rows_jsonl(attempt.spec.build_id)) as chunks:
        with _Tables(folder) as tables:
            async for chunk in chunks:
                if attempt.stop.stopped():
                    raise TemporaryError("Collecting was stopped before its end.")
                await asyncio.to_thread(tables.take, chunk)
            tables.finish()
    return tables


class _Tables:
    """The three files while they are written; its methods block."""

    names = ("results.csv", "results.jsonl", "errors.csv")

    def __init__(self, folder: Path) -> None:
        self._results, self._lines, self._errors = (folder / name for name in self.names)
        self._stack = ExitStack()
        self._rest = b""
        self._columns: dict[str, None] = {}
        self.rows = 0
        self.failed = 0

    def __enter__(self) -> Self:
        self._lines_file = self._stack.enter_context(self._lines.open("wb"))
        errors = self._stack.enter_context(self._errors.open("w", encoding="utf-8", newline=""))
        self._errors_table = csv.writer(errors)
        self._errors_table.writerow(("row", "error"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, chunk: bytes) -> None:
        """Take a piece of the stream."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                self._row(RowResult.model_validate_json(line))

    def finish(self) -> None:
        """The stream ended.

        Raises:
            ProducerUnavailable: in the middle of a line.
        """
        if self._rest.strip():
            raise ProducerUnavailable("The row results ended in the middle of a row.")

    def _row(self, result: RowResult) -> None:
        self.rows += 1
        error = {} if result.ok else {"error": result.error}
        body = {**error, **({"result": result.result} if result.ok or result.result else {})}
        line = json.dumps({"row": result.row, "ok": result.ok, **body}, ensure_ascii=False)
        self._lines_file.write(line.encode("utf-8", "replace") + b"\n")
        if not result.ok:
            self.failed += 1
            self._errors_table.writerow((result.row, result.error))
        elif len(self._columns) <= MAX_COLUMNS:
            self._columns.update(dict.fromkeys(flat(result.result)))

    def write_results(self) -> None:
        """Write the table of results, now that all columns are known."""
        wide = len(self._columns) > MAX_COLUMNS
        columns = ("result",) if wide else tuple(self._columns)
        with self._results.open("w", encoding="utf-8", newline="", errors="replace") as file:
            table = csv.writer(file)
            table.writerow(("row", *columns))
            for number, result in self._succeeded():
                cells = {"result": json.dumps(result, ensure_ascii=False)} if wide else flat(result)
                table.writerow((number, *(cells.get(column, "") for column in columns)))

    def _succeeded(self) -> Iterator[tuple[int, dict[str, object]]]:
        with self._lines.open("rb") as file:
            for line in file:
                found = json.loads(line)
                if found["ok"]:
                    yield found["row"], found["result"]
