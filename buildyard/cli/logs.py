"""`buildyard logs`: the lines of a build's log, all or some, now or as they come."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

from buildyard.cli.exits import OK
from buildyard.cli.output import log_line
from buildyard.cli.session import Session
from buildyard.client import ProducerClient
from buildyard.client.following import LogEntry
from buildyard.clock import SystemClock
from buildyard.errors import InvalidSettings

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_TIME_WIDTH = len("2026-11-21T09:30:00.250Z")


@dataclass(frozen=True)
class Wanted:
    """Which lines of which build are asked for, and how they are shown."""

    build_id: str
    follow: bool = False
    stage: str | None = None
    tail: int | None = None
    since: datetime | None = None
    timestamps: bool = False


def moment(text: str | None) -> datetime | None:
    """The time that `--since` means: a time, or so long ago.

    Raises:
        InvalidSettings: it is neither.
    """
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return SystemClock().now() - int(ago[1]) * _UNITS[ago[2]]
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise InvalidSettings(
            f"--since {text!r} is no time.", remedy="Write 2026-11-21T09:30, or 30s, 90m, 2h, 3d for so long ago."
        ) from error


async def logs(session: Session, wanted: Wanted) -> int:
    """Print a build's log."""
    async with session.producer() as producer:
        await print_log(session, producer, wanted)
    return OK


async def print_log(session: Session, producer: ProducerClient, wanted: Wanted) -> None:
    """Print log lines as they come; somebody who follows is never kept waiting for a line that is there."""
    colours = session.output.colours
    async with aclosing(_lines(producer, wanted)) as lines:
        async for at, text in lines:
            before = f"{log_line(at, colours=False):<{_TIME_WIDTH}}  " if wanted.timestamps else ""
            sys.stdout.write(f"{before}{log_line(text, colours=colours)}\n")
            if wanted.follow:
                sys.stdout.flush()


async def _lines(producer: ProducerClient, wanted: Wanted) -> AsyncGenerator[tuple[str, str]]:
    """Time and text of the lines that are wanted; without the times when nobody asks for them, which is quicker."""
    if not (wanted.timestamps or wanted.since):
        texts = producer.logs(wanted.build_id, follow=wanted.follow, stage=wanted.stage, tail=wanted.tail)
        async with aclosing(texts) as lines:
            async for text in lines:
                yield "", text
        return
    entries = producer.log_lines(wanted.build_id, follow=wanted.follow, stage=wanted.stage, tail=wanted.tail)
    async with aclosing(entries) as found:
        async for entry in found:
            if is_since(entry, wanted.since):
                yield entry.at, entry.text


def is_since(entry: LogEntry, since: datetime | None) -> bool:
    """Whether a line is of that time or later; one whose time nobody knows is."""
    if since is None or not entry.at:
        return True
    try:
        return datetime.fromisoformat(entry.at) >= since
    except ValueError:
        return True
