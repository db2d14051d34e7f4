"""Verbs of the command line that need the scaler's own code: `python -m scaler verify|simulate|codes …`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from buildyard.cli.exits import FAILED, OK, perform
from buildyard.cli.output import Output
from buildyard.client import ScalerClient
from buildyard.contracts.scaling import Decision
from buildyard.errors import InvalidSettings
from buildyard.settings import load_settings
from scaler.history import Repeats, Verified, entries, verified
from scaler.reasons import codes_table
from scaler.simulating import add_options, compare

_PAGE = 1_000


def run(words: Sequence[str]) -> int:
    """Run one of the verbs; the exit code is that of every verb of the command line."""
    parser = argparse.ArgumentParser(prog="python -m scaler", description="Verbs that need the scaler's own code.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    always = argparse.ArgumentParser(add_help=False)
    always.add_argument("--debug", action="store_true", help="show where an error arose")
    verifying = verbs.add_parser("verify", help="decide recorded views again, and compare the plans", parents=[always])
    verifying.add_argument("files", nargs="*", type=Path, help="recordings, or folders of them; none: ask the scaler")
    verifying.add_argument("--since", type=datetime.fromisoformat, help="of the scaler: only from this time on")
    verifying.add_argument("--json", action="store_true", dest="as_json")
    verbs.add_parser("codes", help="print the table of reason codes", parents=[always])
    add_options(verbs.add_parser("simulate", help="run a load through several policies", parents=[always]))
    given = parser.parse_args(words)
    if given.verb == "codes":
        sys.stdout.write(codes_table())
        return OK
    if given.verb == "simulate":
        return perform(lambda: compare(given), debug=given.debug)
    return perform(lambda: _verify(given.files, given.since, as_json=given.as_json), debug=given.debug)


async def _verify(files: Sequence[Path], since: datetime | None, *, as_json: bool) -> int:
    """Decide recordings again; 1 when a plan comes out otherwise, or when there is nothing to decide."""
    found: Verified = (
        await asyncio.to_thread(lambda: verified(_of_files(files))) if files else verified(await _of_scaler(since))
    )
    output = Output()
    if as_json:
        output.json(found.wire())
    else:
        for wrong in found.mismatches:
            output.line(f"Decision {wrong.number} was: {wrong.recorded.reason}")
            output.line(f"It would now be: {wrong.now.reason}")
        output.line(_summary(found))
    return FAILED if found.mismatches or not found.decided else OK


def _summary(found: Verified) -> str:
    same = found.decided - len(found.mismatches)
    share = 100 * same / found.decided if found.decided else 0
    unread = f" {found.unread} lines could not be read." if found.unread else ""
    return f"{same} of {found.decided} recorded views give the same plan ({share:g} %); {found.ticks} ticks.{unread}"


def _of_files(files: Sequence[Path]) -> Iterator[Decision | Repeats | None]:
    """What files hold, oldest first. Raises InvalidSettings for one that cannot be read."""
    for file in files:
        paths = sorted(file.glob("*.jsonl"), key=_by_day) if file.is_dir() else [file]
        for path in paths:
            try:
                with path.open("rb") as lines:
                    yield from entries(lines)
            except OSError as error:
                raise InvalidSettings(f"{path} cannot be read: {error.strerror}.") from error


def _by_day(path: Path) -> tuple[str, int]:
    day, _, part = path.stem.partition(".")
    return day, int(part) if part.isdecimal() else 0


async def _of_scaler(since: datetime | None) -> list[Decision | Repeats | None]:
    """What the scaler's record holds, oldest first, page by page. Raises ScalerUnavailable."""
    settings = load_settings()
    found: list[Decision] = []
    async with ScalerClient(settings.scaler, settings.token) as scaler:
        cursor: str | None = None
        while True:
            page = await scaler.decisions(_PAGE, after=since, cursor=cursor)
            found += page.decisions
            cursor = page.next_cursor
            if cursor is None:
                return list(reversed(found))
