"""`buildyard dead`: looking at builds that the farm failed, and settling them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from buildyard.cli.build_report import report
from buildyard.cli.exits import OK, REFUSED
from buildyard.cli.logs import moment
from buildyard.cli.output import clock_time, log_line, word
from buildyard.cli.session import Session
from buildyard.contracts.api import AttemptView
from buildyard.contracts.builds import ReasonCode
from buildyard.contracts.dead import (
    DeadLetterDetail,
    DeadLetterList,
    DeadLetterView,
    DropRequest,
    NotRequeued,
    Requeued,
    RequeuedList,
    RequeueRequest,
)
from buildyard.errors import InvalidSettings, PermanentError
from buildyard.wording import plain

_PAGE = 100
_EVENTS_SHOWN = 20


def which_letters(project: str | None, pool: str | None, code: str | None, since: str | None) -> RequeueRequest:
    """The filter that the options mean.

    Raises:
        InvalidSettings: an option is wrong.
    """
    try:
        return RequeueRequest(project=project, pool=pool, reason_code=_code(code), since=moment(since))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidSettings(f"--{first['loc'][0]} is wrong: {plain(first['msg'])}.") from error


def _code(text: str | None) -> ReasonCode | None:
    try:
        return None if text is None else ReasonCode(text)
    except ValueError as error:
        known = ", ".join(code.value for code in ReasonCode)
        raise InvalidSettings(f"There is no reason code {text!r}.", remedy=f"They are: {known}.") from error


async def list_letters(session: Session, which: RequeueRequest, limit: int, *, every: bool, as_json: bool) -> int:
    """List dead letters over as many pages as `limit` needs; `every` with those that are settled."""
    found: list[DeadLetterView] = []
    cursor: str | None = None
    async with session.producer() as producer:
        while len(found) < limit:
            page = await producer.dead_letters(
                project=which.project,
                pool=which.pool,
                reason_code=which.reason_code,
                since=which.since,
                settled=every,
                limit=min(limit - len(found), _PAGE),
                cursor=cursor,
            )
            found += page.dead
            cursor = page.next_cursor
            if cursor is None or not page.dead:
                break
    if as_json:
        session.output.json(DeadLetterList(dead=tuple(found), next_cursor=cursor).wire())
    elif found:
        headings = ("ID", "CODE", "PROJECT", "POOL", "DIED", "TRIES#", "SETTLED", "REASON")
        session.output.table(headings, [_row(one) for one in found], spare=("POOL", "DIED", "SETTLED", "TRIES#"))
    else:
        session.output.remark("No dead letters.")
    return OK


def _row(letter: DeadLetterView) -> tuple[str, ...]:
    return (
        letter.execution_id,
        letter.reason_code or "",
        letter.project_name,
        letter.target_pool,
        clock_time(letter.dead_at),
        str(letter.attempts),
        letter.resolution or "",
        letter.reason,
    )


async def show(session: Session, build_id: str, *, as_json: bool) -> int:
    """Show one dead letter with its history."""
    async with session.producer() as producer:
        detail = await producer.dead_letter(build_id)
    if as_json:
        session.output.json(detail.wire())
    else:
        _report(session, detail)
    return OK


def _report(session: Session, detail: DeadLetterDetail) -> None:
    output = session.output
    report(output, detail.build)
    output.line()
    output.line(_standing(detail.letter))
    if detail.build.attempts:
        output.line()
        rows = [_attempt(attempt) for attempt in detail.build.attempts]
        output.table(("TRY#", "AGENT", "ENDED", "OUTCOME", "REASON"), rows, spare=("ENDED", "AGENT"))
    output.line()
    for event in detail.events[-_EVENTS_SHOWN:]:
        output.line(f"{clock_time(event.at)}  {event.type}  {event.data.get('reason', '')}".rstrip())
    if detail.log:
        output.line()
        for line in detail.log:
            output.line(log_line(line, colours=False))


def _standing(letter: DeadLetterView) -> str:
    when = clock_time(letter.resolved_at)
    if letter.resolution == "requeued":
        return f"Requeued by {letter.resolved_by} at {when} as build {letter.requeued_as}."
    if letter.resolution == "dropped":
        return f"Dropped by {letter.resolved_by} at {when}: {letter.note}"
    return f"It waits for you: buildyard dead requeue {letter.execution_id}, or buildyard dead drop -r WHY."


def _attempt(attempt: AttemptView) -> tuple[Any, ...]:
    return (
        str(attempt.number),
        attempt.agent,
        clock_time(attempt.ended_at),
        word(attempt.outcome or "Running"),
        attempt.reason,
    )


async def requeue(
    session: Session, build_ids: Sequence[str], which: RequeueRequest, *, every: bool, as_json: bool
) -> int:
    """Requeue the dead letters named, or all that match; those that are refused are told beside the others.

    Raises:
        InvalidSettings: neither ids nor options say which, or both do.
    """
    filtered = every or any((which.project, which.pool, which.reason_code, which.since))
    if filtered == bool(build_ids):
        raise InvalidSettings("Name the dead letters, or say by options which: --all for all that wait.")
    done = await (_requeue_named(session, build_ids) if build_ids else _requeue_matching(session, which))
    if as_json:
        session.output.json(done.wire())
    else:
        for one in done.requeued:
            session.output.line(f"{one.retry_of}: requeued as {one.execution_id}.")
        for other in done.refused:
            session.output.remark(f"{other.execution_id}: {other.reason}")
        if not (done.requeued or done.refused):
            session.output.remark("No dead letters match.")
    return REFUSED if done.refused else OK


async def _requeue_named(session: Session, build_ids: Sequence[str]) -> RequeuedList:
    requeued: list[Requeued] = []
    refused: list[NotRequeued] = []
    async with session.producer() as producer:
        for build_id in build_ids:
            try:
                accepted = await producer.requeue(build_id)
            except PermanentError as error:
                refused.append(_refused(build_id, error))
            else:
                requeued.append(Requeued(execution_id=accepted.execution_id, retry_of=build_id))
    return RequeuedList(requeued=tuple(requeued), refused=tuple(refused), next_cursor=None)


async def _requeue_matching(session: Session, which: RequeueRequest) -> RequeuedList:
    pages: list[RequeuedList] = []
    async with session.producer() as producer:
        while True:
            pages.append(await producer.requeue_matching(which))
            cursor = pages[-1].next_cursor
            if cursor is None:
                break
            which = which.model_copy(update={"cursor": cursor})
    requeued = tuple(one for page in pages for one in page.requeued)
    return RequeuedList(
        requeued=requeued, refused=tuple(one for page in pages for one in page.refused), next_cursor=None
    )


async def drop(session: Session, build_ids: Sequence[str], reason: str, *, as_json: bool) -> int:
    """Drop the dead letters named; those that are refused are told beside the others.

    Raises:
        InvalidSettings: the reason is none.
    """
    dropped: list[DeadLetterView] = []
    refused: list[NotRequeued] = []
    _check_reason(reason)
    async with session.producer() as producer:
        for build_id in build_ids:
            try:
                dropped.append((await producer.drop(build_id, reason)).letter)
            except PermanentError as error:
                refused.append(_refused(build_id, error))
    if as_json:
        told = [one.wire() for one in refused]
        session.output.json({"dropped": [letter.wire() for letter in dropped], "refused": told})
    else:
        for letter in dropped:
            session.output.line(f"{letter.execution_id}: dropped.")
        for other in refused:
            session.output.remark(f"{other.execution_id}: {other.reason}")
    return REFUSED if refused else OK


def _refused(build_id: str, error: PermanentError) -> NotRequeued:
    # What was typed may be no id at all: that is why it was refused.
    return NotRequeued.model_construct(execution_id=build_id, reason=str(error))


def _check_reason(reason: str) -> None:
    try:
        DropRequest(reason=reason)
    except ValidationError as error:
        raise InvalidSettings("--reason must be one line of 1 to 500 printable characters.") from error
