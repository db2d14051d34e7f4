"""`buildyard builds`, `show`, `logs` and `cancel`: looking at builds, and ending one."""

from __future__ import annotations

import sys
from contextlib import aclosing

from buildyard.cli.build_report import report
from buildyard.cli.exits import FAILED, OK
from buildyard.cli.output import clock_time, duration, log_line, word
from buildyard.cli.session import Session
from buildyard.client import ProducerClient
from buildyard.contracts.api import BuildList, BuildStatus, BuildSummary
from buildyard.contracts.builds import BuildState

_PAGE = 100


async def list_builds(
    session: Session, status: str | None, project: str | None, pool: str | None, limit: int, *, as_json: bool
) -> int:
    """List builds, newest first, over as many pages as `limit` needs."""
    found: list[BuildSummary] = []
    cursor: str | None = None
    async with session.producer() as producer:
        while len(found) < limit:
            page = await producer.builds(
                status=status, project=project, pool=pool, limit=min(limit - len(found), _PAGE), cursor=cursor
            )
            found += page.builds
            cursor = page.next_cursor
            if cursor is None or not page.builds:
                break
    if as_json:
        session.output.json(BuildList(builds=tuple(found), next_cursor=cursor).wire())
        return OK
    rows = [
        (
            build.execution_id,
            word(build.status),
            build.project_name,
            build.toolchain,
            _rows(build),
            clock_time(build.created_at),
            duration(build.duration),
            build.reason,
        )
        for build in found
    ]
    headings = ("ID", "STATUS", "PROJECT", "TOOLCHAIN", "ROWS#", "CREATED", "TOOK#", "REASON")
    if rows:
        session.output.table(headings, rows, spare=("CREATED", "TOOLCHAIN", "REASON", "ROWS#"))
    else:
        session.output.remark("No builds." if not (status or project or pool) else "No builds match.")
    return OK


def _rows(build: BuildSummary) -> str:
    return f"{build.rows.succeeded + build.rows.failed}/{build.rows.total}" if build.rows else ""


async def show(session: Session, build_id: str, *, as_json: bool) -> int:
    """Show one build."""
    async with session.producer() as producer:
        build = await producer.build(build_id)
    if as_json:
        session.output.json(build.wire())
    else:
        report(session.output, build)
    return OK


async def logs(session: Session, build_id: str, *, follow: bool, stage: str | None, tail: int | None) -> int:
    """Print a build's log."""
    async with session.producer() as producer:
        await print_log(session, producer, build_id, follow=follow, stage=stage, tail=tail)
    return OK


async def print_log(
    session: Session,
    producer: ProducerClient,
    build_id: str,
    *,
    follow: bool,
    stage: str | None = None,
    tail: int | None = None,
) -> None:
    """Print log lines as they come, each flushed when somebody may be waiting for it."""
    colours = session.output.colours
    async with aclosing(producer.logs(build_id, follow=follow, stage=stage, tail=tail)) as lines:
        async for line in lines:
            sys.stdout.write(log_line(line, colours=colours) + "\n")
            if follow:
                sys.stdout.flush()


async def watch(session: Session, producer: ProducerClient, build_id: str, *, as_json: bool) -> int:
    """Follow a build to its end; gives 0 when it succeeded, 1 otherwise. JSON takes the place of the log."""
    if not as_json:
        await print_log(session, producer, build_id, follow=True)
    async with aclosing(producer.events(build_id)) as events:
        async for _ in events:
            pass
    build = await producer.build(build_id)
    if as_json:
        session.output.json(build.wire())
    else:
        report(session.output, build, to_err=True)
    return OK if succeeded(build) else FAILED


def succeeded(build: BuildStatus) -> bool:
    """Whether a build ended well."""
    return BuildState(build.status) is BuildState.SUCCEEDED


async def cancel(session: Session, build_id: str, *, as_json: bool) -> int:
    """Cancel a build; one that is cancelled already stays so."""
    async with session.producer() as producer:
        answer = await producer.cancel(build_id)
    if as_json:
        session.output.json(answer.wire())
    else:
        session.output.line(f"{answer.execution_id}: {answer.status.lower()}.")
    return OK
