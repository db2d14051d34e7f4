"""Which host of an SSH pool gets a worker, which ones remember a name, and what unreachable ones mean: pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
NOTES = 3
"""So many hosts keep a note of where a name was placed."""


@dataclass(frozen=True)
class HostSight:
    """What is known of one host at one moment."""

    name: str
    slots: int
    running: int | None
    """Workers of the pool that run there; None: it could not be asked."""
    last_running: int | None = None
    """The same when it was asked last; None: it never was, or too long ago."""
    cause: str = ""
    """Why it could not be asked, as a sentence."""


def choose(sights: Sequence[HostSight]) -> str | None:
    """The host for one more worker; None when no reachable host has a free slot.

    It is the one with the smallest share of its slots taken; of equals the one with most slots, then the first by
    name. The order of `sights` and hosts that are full or away do not matter.
    """
    free = [sight for sight in sights if sight.running is not None and sight.running < sight.slots]
    if not free:
        return None
    return min(free, key=lambda sight: (Fraction(sight.running or 0, sight.slots), -sight.slots, sight.name)).name


def note_keepers(name: str, sights: Sequence[HostSight]) -> tuple[str, ...]:
    """The hosts that keep a note of where the worker `name` is placed, in the order in which they are asked.

    Rendezvous hashing (Thaler and Ravishankar, 1998): all hosts in the order of their hash with the name, of which
    the first three that can be asked are taken. Whoever asks them in this order, and goes on with the note that it
    finds where there is one, comes to the same place as everybody else with whom it shares one of them.
    """
    here = [sight.name for sight in sights if sight.running is not None]
    ranked = sorted(here, key=lambda host: (hashlib.sha256(f"{host}\0{name}".encode()).digest(), host), reverse=True)
    return tuple(ranked[:NOTES])


def pause_seconds(failures: int, chance: float) -> float:
    """How long to wait after so many failed connections in a row: 0.5, 1, 2 ... 30 s, of which `chance` takes half.

    `chance` is a random number from 0 to 1, so that many scalers do not come back to a host all at once.
    """
    if failures <= 0:
        return 0.0
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 16))
    return float(longest * (0.5 + 0.5 * chance))


def unseen(sights: Sequence[HostSight]) -> tuple[HostSight, ...]:
    """The hosts for which nobody can tell who runs there at most: while there are any, the pool's workers are unknown.

    While one host answers, those are the hosts that were never asked, or too long ago: of the others the workers that
    were seen last count as present. Where no host answers, a pool cannot be seen at all, unless it had no worker.
    """
    known = any(sight.running is not None for sight in sights)
    away = [sight for sight in sights if sight.running is None]
    return tuple(sight for sight in away if sight.last_running is None or (sight.last_running > 0 and not known))


def blindness(pool: str, sights: Sequence[HostSight]) -> str:
    """The sentence about hosts whose workers are unknown; empty when there is none."""
    blind = unseen(sights)
    if not blind:
        return ""
    parts = [f"The host {sight.name} of the pool {pool} cannot be asked ({_told(sight)})." for sight in blind]
    seen = [sight for sight in sights if sight.running is not None]
    if seen:
        running = sum(sight.running or 0 for sight in seen)
        parts.append(f"On the other {_count(len(seen), 'host')} {_count(running, 'worker')} of the pool run.")
    return " ".join(parts)


def _told(sight: HostSight) -> str:
    before = "" if sight.last_running is None else f"; {_count(sight.last_running, 'worker')} ran there when last seen"
    return (sight.cause.rstrip(".") or "not connected") + before


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
