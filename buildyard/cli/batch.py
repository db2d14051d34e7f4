"""`buildyard batch`: the rows of a CSV as jobs, watched to their end, and their results in a file."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path

from buildyard.cli.builds import goes_on, succeeded
from buildyard.cli.exits import FAILED, OK
from buildyard.cli.next_steps import next_step
from buildyard.cli.progress import counting
from buildyard.cli.session import Session
from buildyard.cli.submit import Wanted, request_of, sent
from buildyard.client import ProducerClient
from buildyard.client.saving import saved
from buildyard.errors import InvalidSettings, InvalidUpload, TemporaryError

_FORMATS = {".csv": "csv", ".jsonl": "jsonl"}


async def run(session: Session, wanted: Wanted, output: Path | None, *, detach: bool, as_json: bool) -> int:
    """Send a CSV and wait until its rows are done, unless `detach`; gives 0 when all succeeded, else 1.

    Raises:
        InvalidUpload: it is no file.
        InvalidSettings: an option is wrong.
    """
    path = _csv(wanted.source)
    if detach and output is not None:
        raise InvalidSettings("--detach does not wait for the results that --output is for.")
    request = request_of(wanted, None)
    async with session.producer() as producer:
        accepted = await sent(session, producer, path, request, wanted)
        if detach:
            if as_json:
                session.output.json(accepted.wire())
            else:
                session.output.line(accepted.execution_id)
            return OK
        session.output.remark(f"Batch {accepted.execution_id} is accepted.")
        try:
            await _until_end(session, producer, accepted.execution_id)
        except (asyncio.CancelledError, TemporaryError):
            goes_on(session, accepted.execution_id)
            raise
        build = await producer.build(accepted.execution_id)
        if output is not None and build.rows:
            await _save(producer, accepted.execution_id, output, None, errors_only=False)
    if as_json:
        session.output.json(build.wire())
    else:
        rows = build.rows
        session.output.line(accepted.execution_id)
        if rows:
            session.output.remark(f"{rows.succeeded + rows.failed} of {rows.total} rows done, {rows.failed} failed.")
        session.output.remark(f"{build.status}: {build.reason}")
        session.output.remark(f"Next: {next_step(build)}")
    return OK if succeeded(build) else FAILED


def _csv(source: str) -> Path:
    path = Path(source)
    if not path.is_file():
        raise InvalidUpload(f"{path} is no file.", remedy="Give a .csv; `buildyard submit` takes everything else.")
    return path


async def _until_end(session: Session, producer: ProducerClient, build_id: str) -> None:
    with counting(session.output, "rows") as counted:
        async with aclosing(producer.events(build_id)) as events:
            async for event in events:
                if event.type == "rows_done":
                    done = int(event.data.get("succeeded", 0)) + int(event.data.get("failed", 0))
                    counted(done, int(event.data.get("total") or 0) or None)


async def results(session: Session, build_id: str, output: Path | None, form: str | None, *, errors_only: bool) -> int:
    """Print the results of a batch, or save them under a temporary name that becomes `output` once all is there."""
    async with session.producer() as producer:
        if output is not None:
            await _save(producer, build_id, output, form, errors_only=errors_only)
            session.output.remark(f"{output} holds the results.")
            return OK
        async with aclosing(producer.row_results(build_id, form=form or "csv", failed_only=errors_only)) as pieces:
            async for piece in pieces:
                sys.stdout.buffer.write(piece)
    return OK


async def _save(producer: ProducerClient, build_id: str, output: Path, form: str | None, *, errors_only: bool) -> None:
    chosen = form or _FORMATS.get(output.suffix.lower(), "csv")
    async with aclosing(producer.row_results(build_id, form=chosen, failed_only=errors_only)) as pieces:
        await saved(pieces, output)
