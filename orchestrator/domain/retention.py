"""Retention: what is still needed of uploads and of ended builds, and which objects are nobody's any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID_LENGTH = 36
_VERSION_AT = 14


STRANGE_OBJECTS = 1000
"""So many objects of unknown builds are removed wherever they are found."""
TOMBSTONES_KEPT = timedelta(days=90)
"""How long the farm knows that something was removed, and does not only not know it."""


class Kept(StrEnum):
    """What is kept of a build; each keeps less than the one before."""

    ALL = "all"
    """Also what attempts stored that nothing refers to: lost ones, and those that were tried again."""
    TIDY = "tidy"
    """Its record, its log and its artifacts."""
    RECORD = "record"
    """What it was, how it ended, its stages, tests, rows and events."""
    NOTHING = "nothing"

    @property
    def less(self) -> tuple[Kept, ...]:
        """What may come after, the least first."""
        every = tuple(Kept)
        return every[: every.index(self) : -1]

    @property
    def more(self) -> tuple[Kept, ...]:
        """What may have come before."""
        every = tuple(Kept)
        return every[: every.index(self)]


@dataclass(frozen=True)
class Keep:
    """How long things are kept.

    `unbuilt` is counted from an upload's arrival, `built` from the end of the last build of it. From the end of a build
    are counted `builds`, `outputs` (its log and its artifacts), `newest` (both, where it is its project's newest
    success) and `leftovers` (what nothing refers to); `orphans` from when an object was stored that has no build.
    """

    unbuilt: timedelta
    built: timedelta
    builds: timedelta = timedelta(days=30)
    outputs: timedelta = timedelta(days=30)
    newest: timedelta = timedelta(days=365)
    leftovers: timedelta = timedelta(hours=1)
    orphans: timedelta = timedelta(hours=24)

    def at_least(self, kept: Kept) -> timedelta:
        """How long a build has ended at the least when no more than this is kept of it."""
        spans = {
            Kept.ALL: timedelta(0),
            Kept.TIDY: self.leftovers,
            Kept.RECORD: min(self.outputs, self.builds),
            Kept.NOTHING: self.builds,
        }
        return spans[kept]


@dataclass(frozen=True)
class Past:
    """A build, as far as it matters how long it is kept.

    `ended_at` is None while it is open; `waits` while it is a dead letter that nobody settled; `needed` while an open
    build is a retry of it, or of a retry of it, and may take over its rows; `newest` when no later build of its project
    succeeded and it did; `messy` when it may have stored what nothing refers to.
    """

    build_id: str
    ended_at: datetime | None
    kept: Kept = Kept.ALL
    waits: bool = False
    needed: bool = False
    newest: bool = False
    messy: bool = True


@dataclass(frozen=True)
class SourceUse:
    """One build of an upload. `ended_at` is None while it is open; `waits` while it is a dead letter not settled."""

    upload_id: str
    ended_at: datetime | None
    waits: bool


def made_at(object_id: str) -> datetime | None:
    """When a UUIDv7 was made, to the millisecond; None for what is none."""
    if len(object_id) != _ID_LENGTH or object_id[_VERSION_AT] != "7":
        return None
    try:
        milliseconds = int(object_id[:8] + object_id[9:13], 16)
    except ValueError:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def aged(object_ids: Iterable[str], now: datetime, age: timedelta) -> list[str]:
    """Those of the ids that were made longer ago than `age`, in their order."""
    return [one for one in object_ids if (made := made_at(one)) is not None and now - made > age]


def releasable(
    upload_ids: Iterable[str], uses: Iterable[SourceUse], waiting: Collection[str], now: datetime, keep: Keep
) -> list[str]:
    """Which uploads nobody needs, in their order.

    An upload is needed while a build of it is open, ended no longer ago than `keep.built`, or is a dead letter that
    waits for a person, and while it waits for its first build (`waiting`) or has only just come.
    """
    needed = set(waiting)
    for use in uses:
        if use.ended_at is None or use.waits or now - use.ended_at <= keep.built:
            needed.add(use.upload_id)
    return [one for one in aged(upload_ids, now, keep.unbuilt) if one not in needed]


def still_kept(build: Past, now: datetime, keep: Keep) -> Kept:
    """What is to be kept of a build: never more than there is."""
    if build.ended_at is None:
        return build.kept
    age = now - build.ended_at
    longer = keep.newest if build.newest else timedelta(0)
    wanted = Kept.TIDY if age > keep.leftovers else Kept.ALL
    if not build.waits:
        if age > max(longer, keep.at_least(Kept.RECORD)):
            wanted = Kept.RECORD
        if age > max(longer, keep.builds) and not build.needed:
            wanted = Kept.NOTHING
    return wanted if wanted in build.kept.less else build.kept


def outlived(at: str | None, before: datetime) -> bool:
    """Whether a time as a message tells it is before another; one that tells none, or nonsense, counts as new."""
    try:
        told = datetime.fromisoformat(at or "")
    except ValueError:
        return False
    return told.tzinfo is not None and told < before


def orphaned(keys: Iterable[str], known: Collection[str]) -> list[str]:
    """Those of the keys below `builds/` whose build is none of the known ones, in their order."""
    return [key for key in keys if build_of(key) not in known]


def too_strange(strange: int, own: int) -> bool:
    """Whether so many objects of builds that nobody here knows may be those of another farm, or of a lost database."""
    return strange > max(STRANGE_OBJECTS, own)


def build_of(key: str) -> str:
    """The build that an object below `builds/` belongs to."""
    return key.split("/", 2)[1]
