"""Lines of the record of decisions -> decisions, and back to the views that they were decided on; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field, ValidationError

from buildyard.contracts.scaling import Decision, Plan, PoolObserved
from buildyard.contracts.wire import Moment, Value
from scaler.decide import decide

REPEATS_BYTES = 384
"""The length of a line that tells of repeats: room for the longest, so that the next one can stand in its place."""
_NUMBERS = re.compile(rb'"(?:number|to)": ?(\d+)')
_DECISION = re.compile(rb'\{"v": ?1, ?"number": ?(\d+), ?"at": ?"([^"]+)"')


class Repeats(Value):
    """A line that says: decision `repeats` was taken again in `ticks` ticks, numbered `from` to `to`.

    Numbers are those of all pools, so there may be fewer ticks than numbers. The times are those of the last tick.
    """

    v: Literal[1] = 1
    pool: str
    repeats: int = Field(ge=1)
    from_: int = Field(alias="from", ge=1)
    to: int = Field(ge=1)
    ticks: int = Field(ge=1)
    until: Moment
    quiet_seconds: float = 0
    oldest_wait_seconds: float | None = None
    seconds_since_failed_start: float | None = None

    def padded(self) -> bytes:
        """The line, without its end, filled up with spaces."""
        return self.encode().ljust(REPEATS_BYTES)


def last_number(newest_first: Iterable[bytes]) -> int:
    """The highest number among the newest lines, 0 without any.

    Lines of repeats are written over, so a later line may hold a lower number: some more are looked at.
    """
    highest, seen = 0, 0
    for line in newest_first:
        found = _NUMBERS.findall(line[:REPEATS_BYTES]) if line.startswith(b"{") and line.rstrip().endswith(b"}") else ()
        highest = max(highest, *(int(number) for number in found), 0)
        seen += bool(found)
        if seen >= _LOOKED_AT:
            break
    return highest


_LOOKED_AT = 500
"""More lines than pools that could have written one since the line with the highest number was begun."""


def number_of(line: bytes) -> int:
    """The number of an encoded decision. Raises ValueError for anything else."""
    match = _DECISION.match(line)
    if match is None:
        msg = "it is no decision"
        raise ValueError(msg)
    return int(match[1])


def folded(
    newest_first: Iterable[bytes],
    below: int | None = None,
    since: int = 0,
    before: str | None = None,
    pool: str | None = None,
) -> Iterator[Decision]:
    """Decisions, newest first, each with how often it was repeated; lines that cannot be read are left out.

    Args:
        newest_first: the lines of the record.
        below: only decisions with a lower number; of a run that goes on beyond it, all repeats are told.
        since: ends at the first decision with this number or a lower one.
        before: only decisions that were not taken after this moment, as they write it.
        pool: only decisions about this one.
    """
    runs: dict[int, Repeats] = {}
    for line in newest_first:
        match = _DECISION.match(line)
        if match is None:
            if repeats := read_repeats(line):
                runs[repeats.repeats] = repeats
            continue
        number = int(match[1])
        if number <= since:
            return
        run = runs.pop(number, None)
        if (below is not None and number >= below) or (before is not None and match[2].decode() > before):
            continue
        if pool is not None and f'"pool":"{pool}"'.encode() not in line:
            continue
        try:
            decision = Decision.model_validate_json(line)
        except ValidationError:
            continue
        if run:
            decision = decision.model_copy(update={"repeats": run.ticks, "until": run.until})
        yield decision


def read_repeats(line: bytes) -> Repeats | None:
    """What a line tells of repeats; None for any other line."""
    try:
        return Repeats.model_validate_json(line)
    except ValidationError:
        return None


def at_the_last_repeat(decision: Decision, run: Repeats) -> PoolObserved:
    """What was seen when a decision was repeated last, as far as a decision reads it."""
    times = ("quiet_seconds", "oldest_wait_seconds", "seconds_since_failed_start")
    return decision.observed.model_copy(update={name: getattr(run, name) for name in times})


class Mismatch(Value):
    """A recorded decision that comes out otherwise now."""

    number: int
    recorded: Plan
    now: Plan


class Verified(Value):
    """What came of deciding a record again.

    `ticks` counts every recorded tick; of those folded into a run the first and the last are decided again, since the
    times in between lie between theirs.
    """

    ticks: int = 0
    decided: int = 0
    unread: int = 0
    """Lines that are neither a decision nor repeats of the one before."""
    mismatches: tuple[Mismatch, ...] = ()


def entries(lines: Iterable[bytes]) -> Iterator[Decision | Repeats | None]:
    """What lines hold, in their order: a decision, repeats of one, or None for one that cannot be read."""
    for line in lines:
        try:
            yield Decision.model_validate_json(line) if _DECISION.match(line) else Repeats.model_validate_json(line)
        except ValidationError:
            yield None


def verified(recorded: Iterable[Decision | Repeats | None]) -> Verified:
    """Decide every recorded view again, oldest first."""
    ticks = again = unread = 0
    wrong: list[Mismatch] = []
    newest: dict[str, Decision] = {}
    for entry in recorded:
        if isinstance(entry, Decision):
            newest[entry.observed.pool] = entry
            ticks, again = ticks + 1 + entry.repeats, again + 1
            plan = decide(entry.observed)
            if plan != entry.plan:
                wrong.append(Mismatch(number=entry.number, recorded=entry.plan, now=plan))
            continue
        of = newest.get(entry.pool) if entry else None
        if entry is None or of is None or of.number != entry.repeats:
            unread += 1
            continue
        ticks, again = ticks + entry.ticks, again + 1
        plan = decide(at_the_last_repeat(of, entry))
        if (plan.code, plan.start, plan.drain) != (of.plan.code, of.plan.start, of.plan.drain):
            wrong.append(Mismatch(number=entry.to, recorded=of.plan, now=plan))
    return Verified(ticks=ticks, decided=again, unread=unread, mismatches=tuple(wrong))
