"""Retention: which uploads are still needed, and which objects are nobody's any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID_LENGTH = 36
_VERSION_AT = 14


@dataclass(frozen=True)
class Keep:
    """How long uploads are kept: `unbuilt` from their arrival, `built` from the end of the last build of them."""

    unbuilt: timedelta
    built: timedelta


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
