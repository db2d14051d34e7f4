"""`buildyard builds`, `show`, `priority` and `cancel`: looking at builds, and changing one."""

from __future__ import annotations

from contextlib import aclosing, suppress

from buildyard.cli.build_report import report
from buildyard.cli.exits import FAILED, OK
from buildyard.cli.first_errors import first_errors
from buildyard.cli.logs import Wanted, print_log
from buildyard.cli.output import clock_time, duration, word
from buildyard.cli.session import Session
from buildyard.client import ProducerClient
from buildyard.contracts.annotations import Annotation
from buildyard.contracts.api import BuildList, BuildStatus, BuildSummary
from buildyard.contracts.builds import BuildState, Priority
from buildyard.errors import BuildyardError

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
        errors = () if as_json else await first_errors(producer, build)
        notes = () if as_json else await _annotations(producer, build_id)
    if as_json:
        session.output.json(build.wire())
    else:
        report(session.output, build, errors)
        for note in notes:
            session.output.line(f"{note.style} ({note.context}): {note.text}")
    return OK


async def _annotations(producer: ProducerClient, build_id: str) -> tuple[Annotation, ...]:
    with suppress(BuildyardError):  # the build itself is what was asked for
        return (await producer.annotations(build_id)).annotations
    return ()


async def follow(session: Session, producer: ProducerClient, build_id: str, *, as_json: bool) -> int:
    """Follow a build to its end; gives 0 when it succeeded, 1 otherwise. JSON takes the place of the log."""
    if not as_json:
        await print_log(session, producer, Wanted(build_id, follow=True))
    async with aclosing(producer.events(build_id)) as events:
        async for _ in events:
            pass
    build = await producer.build(build_id)
    if as_json:
        session.output.json(build.wire())
    else:
        report(session.output, build, await first_errors(producer, build), to_err=True)
    return OK if succeeded(build) else FAILED


def goes_on(session: Session, build_id: str) -> None:
    """Tell somebody who stops watching that the build does not stop for it."""
    session.output.remark(
        f"The build may go on: `buildyard watch {build_id}` watches it, `buildyard cancel {build_id}` ends it."
    )


def succeeded(build: BuildStatus) -> bool:
    """Whether a build ended well."""
    return build.status == BuildState.SUCCEEDED.wire


async def set_priority(session: Session, build_id: str, word: str, *, as_json: bool) -> int:
    """Let a build go before or after others."""
    async with session.producer() as producer:
        build = await producer.set_priority(build_id, Priority(word))
    if as_json:
        session.output.json(build.wire())
    else:
        session.output.line(f"{build.execution_id}: priority {build.priority.lower()}.")
    return OK


async def cancel(session: Session, build_id: str, *, as_json: bool) -> int:
    """Cancel a build; one that is cancelled already stays so."""
    async with session.producer() as producer:
        answer = await producer.cancel(build_id)
    if as_json:
        session.output.json(answer.wire())
    else:
        session.output.line(f"{answer.execution_id}: {answer.status.lower()}.")
    return OK
