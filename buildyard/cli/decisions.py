"""`buildyard decisions`: the scaler's record as a table, and handed to the scaler's own code to be decided again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from buildyard.cli.dashboard import become
from buildyard.cli.exits import OK
from buildyard.cli.invoking import Options
from buildyard.cli.logs import moment
from buildyard.cli.output import clock_time
from buildyard.cli.overview import reading_text
from buildyard.cli.session import Session
from buildyard.contracts.api import DecisionList
from buildyard.contracts.scaling import Decision

_PAGE = 1_000


@dataclass(frozen=True)
class Wanted:
    """Which decisions to list."""

    limit: int
    pool: str | None
    since: datetime | None
    until: datetime | None
    every: bool


def wanted(limit: int, pool: str | None, since: str | None, until: str | None, *, every: bool) -> Wanted:
    """What the options ask for. Raises InvalidSettings for a time that is none."""
    return Wanted(limit, pool, moment(since), moment(until), every)


async def list_decisions(session: Session, asked: Wanted, *, as_json: bool) -> int:
    """List the scaler's decisions, over as many pages as that needs."""
    found: list[Decision] = []
    cursor: str | None = None
    async with session.scaler() as scaler:
        while True:
            page = await scaler.decisions(
                min(_PAGE, asked.limit - len(found)),
                asked.pool,
                changes=not asked.every,
                after=asked.since,
                before=asked.until,
                cursor=cursor,
            )
            found += page.decisions
            cursor = page.next_cursor
            if cursor is None or len(found) >= asked.limit:
                break
    if as_json:
        session.output.json(DecisionList(decisions=tuple(found), next_cursor=cursor).wire())
    elif found:
        headings = ("NO#", "TIME", "POOL", "READY#", "RUNNING#", "WORKERS#", "DID", "CODE", "REASON")
        rows = [_row(decision) for decision in found]
        session.output.table(headings, rows, spare=("NO#", "CODE", "WORKERS#", "RUNNING#"))
    else:
        session.output.remark("No decisions yet." if asked.since is None else "No decisions in that time.")
    return OK


def become_verify(options: Options, files: Sequence[Path], since: str | None, *, as_json: bool) -> NoReturn:
    """Replace this process by the scaler's `verify`: only the scaler has the code that decides."""
    begin = moment(since)
    words = [*(["--since", begin.isoformat()] if begin else []), *(["--json"] if as_json else [])]
    become_scaler(options, "verify", [*words, "--", *map(str, files)])


def become_scaler(options: Options, verb: str, words: Sequence[str]) -> NoReturn:
    """Replace this process by a verb of the scaler's, with the options that stand before ours."""
    given = {
        "BUILDYARD_API_URL": options.api_url,
        "BUILDYARD_SCALER_URL": options.scaler_url,
        "BUILDYARD_TOKEN": options.token,
    }
    become([verb, *(["--debug"] if options.debug else []), *words], given, module="scaler")


def _row(decision: Decision) -> tuple[str, ...]:
    seen, plan = decision.observed, decision.plan
    done = [f"start {len(plan.start)}"] * bool(plan.start) + [f"drain {len(plan.drain)}"] * bool(plan.drain)
    failures = " ".join(("", *decision.failures))
    return (
        str(decision.number),
        clock_time(decision.at),
        seen.pool,
        reading_text(seen.ready),
        reading_text(seen.leases),
        "unknown" if seen.workers is None else str(len(seen.workers)),
        ", ".join(done) or "nothing",
        plan.code.value,
        plan.reason + failures,
    )
