"""Rows that name a repository: each becomes a build of its own, asked for once however often the job runs."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping

from pydantic import ValidationError

from buildyard.contracts.api import BuildRequest
from buildyard.contracts.builds import JobSpec, RowResult
from buildyard.errors import BuildyardError, InvalidRequest, TemporaryError
from worker.attempt import Attempt
from worker.batch.answers import Row
from worker.batch.row_sink import RowSink

GIT_COLUMN = "git_url"
_TAKEN = {"project_name": "project_name", "target_pool": "target_pool", "priority": "priority"}
_MOST_PAUSE = 30.0
_IN_PROGRESS = "in_progress"
"""The code of a request whose first sending is still worked on, as after a crash of ours."""


def request_of(row: int, values: Mapping[str, str], spec: JobSpec) -> BuildRequest:
    """The build that a row asks for; what it leaves open is as in the build whose row it is.

    Raises:
        InvalidRequest: a column's value is none that a request may have.
    """
    if not values[GIT_COLUMN].strip():
        raise InvalidRequest(f"The row's column `{GIT_COLUMN}` is empty.", field=GIT_COLUMN)
    own = {field: values[column].strip() for column, field in _TAKEN.items() if values.get(column, "").strip()}
    job = {
        **spec.properties.model_dump(exclude={"toolchain", "rows_per_job", "repository_url", "git_ref", "metadata"}),
        **({"project_name": own.pop("project_name")} if "project_name" in own else {}),
        "repository_url": values[GIT_COLUMN].strip(),
        "git_ref": values.get("branch", "").strip() or "HEAD",
        "metadata": {**spec.properties.metadata, "batch": spec.build_id, "row": str(row)},
    }
    around = {"target_pool": spec.pool, "priority": spec.priority.wire, "force_clean": spec.force_clean, **own}
    try:
        return BuildRequest.model_validate({"job": job, **around})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(f"The row asks for no possible build: {place}: {first['msg']}.", field=place) from error


async def run_builds(attempt: Attempt, rows: AsyncIterator[Row], sink: RowSink) -> None:
    """Ask for the build of each row; its id is the row's result. Nobody waits for these builds here."""
    async for row in rows:
        result = await _asked(attempt, row)
        if result is None:
            return
        await sink.add(result, math.inf)


async def _asked(attempt: Attempt, row: Row) -> RowResult | None:
    """The row's result; None when the attempt is stopped. A farm that is full or away is asked again later."""
    spec = attempt.spec
    while not attempt.stop.stopped():
        try:
            accepted = await attempt.producer.submit(
                request_of(row.number, row.values, spec), key=f"{spec.build_id}-{row.number}"
            )
        except BuildyardError as error:
            if isinstance(error, TemporaryError) or error.code == _IN_PROGRESS:
                await attempt.stop.pause(min(getattr(error, "retry_after", 1.0), _MOST_PAUSE))
                continue
            return RowResult(row=row.number, ok=False, error=f"{error} {error.remedy}".strip())
        return RowResult(row=row.number, ok=True, result={"executionId": accepted.execution_id})
    return None
