"""Row results of a batch: a page, or all of them as CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from buildyard.contracts.api import RowList
from buildyard.contracts.builds import RowResult
from orchestrator.api import examples
from orchestrator.api.documented import answers
from orchestrator.api.json_body import JsonRoute
from orchestrator.api.parts import BuildId, Parts
from orchestrator.api.streams import Primed, Streamed

router = APIRouter(prefix="/api/v1/builds", tags=["builds"], route_class=JsonRoute)

_BATCH = 500
_FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")


@router.get(
    "/{build_id}/rows",
    operation_id="list_rows",
    summary="Read the row results of a batch",
    response_model=RowList,
    responses=answers(200, examples.rows, 404, 410, 422, 503),
)
async def list_rows(
    build_id: BuildId,
    parts: Parts,
    after: Annotated[int, Query(ge=0, le=10_000_000, description="Only rows above this number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Rows a page.")] = 100,
    failed: Annotated[bool, Query(description="Only rows that failed.")] = False,  # noqa: FBT002 - a query parameter
    form: Annotated[
        Literal["json", "csv", "jsonl"], Query(alias="format", description="A page, or all rows as a file.")
    ] = "json",
) -> RowList | Response:
    """A page of results in order of rows; with `format=csv` or `jsonl` all of them, `after` and `limit` aside."""
    page = await parts.views.rows(build_id, after=after, limit=limit if form == "json" else 1, failed_only=failed)
    if form == "json":
        return page
    rows = _wanted(parts.views.all_rows(build_id), failed_only=failed)
    if form == "jsonl":
        return Streamed(await Primed.begin(_batched(rows, _as_json_lines, b"")), media_type="application/jsonl")
    disposition = {"Content-Disposition": 'attachment; filename="rows.csv"'}
    content = await Primed.begin(_batched(rows, _as_csv, b"row,ok,error,result\r\n"))
    return Streamed(content, media_type="text/csv; charset=utf-8", headers=disposition)


async def _wanted(rows: AsyncIterator[RowResult], *, failed_only: bool) -> AsyncIterator[RowResult]:
    async for row in rows:
        if not (failed_only and row.ok):
            yield row


async def _batched(
    rows: AsyncIterator[RowResult], render: Callable[[Sequence[RowResult]], bytes], head: bytes
) -> AsyncGenerator[bytes]:
    if head:
        yield head
    batch: list[RowResult] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield render(batch)
            batch = []
    if batch:
        yield render(batch)


def _as_json_lines(rows: Sequence[RowResult]) -> bytes:
    return b"".join(row.encode() + b"\n" for row in rows)


def _as_csv(rows: Sequence[RowResult]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        result = json.dumps(row.result, ensure_ascii=False, separators=(",", ":")) if row.ok else ""
        writer.writerow([row.row, "true" if row.ok else "false", _plain_cell(row.error), result])
    return text.getvalue().encode("utf-8", "replace")


def _plain_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_MARKS) else text
