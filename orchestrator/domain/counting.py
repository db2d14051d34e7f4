"""What a producer believes of a broker's count: a zero only when no source gives reason to doubt it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from buildyard.ports import Depth, Uncounted

STOPPED_SECONDS = 15.0
"""Statistics older than this have stopped."""


@dataclass(frozen=True)
class Believed:
    """A count, or None and why there is none; `silent` when a second source only said nothing, so that it may end."""

    value: int | None
    why: str = ""
    silent: bool = False


def believed(witnesses: Sequence[Depth | Uncounted]) -> Believed:
    """Judge what is said of a channel's ready messages; the broker's own count comes first.

    Nobody invents messages, so a number above 0 stands. A 0 stands when no source contradicts it and none is silent.
    """
    first = witnesses[0] if witnesses else None
    if not isinstance(first, Depth) or first.sampled:
        return Believed(None, "The broker gives no count of its own.")
    if first.ready != 0:
        return Believed(first.ready) if first.ready > 0 else Believed(None, "The broker gives a count that cannot be.")
    silence = ""
    for one in witnesses:
        if isinstance(one, Uncounted):
            silence = silence or f"{one.source} cannot confirm the broker's 0. {one.cause}"
        elif one.has_leader is False:
            return Believed(None, f"The queue has no leader, says {one.source}.")
        elif one.slow_zero and not one.sampled:
            return Believed(None, "The broker was slow to say 0: the queue's leader may be missing.")
        elif one.sampled and one.age_seconds > STOPPED_SECONDS:
            silence = silence or f"The counts of {one.source} are older than {STOPPED_SECONDS:g} s."
        elif one.ready != 0 or (one.total is not None and one.total < 0):
            return Believed(None, f"The broker says 0, but {one.source} counts {one.ready}.")
    return Believed(None, silence, silent=True) if silence else Believed(0)
