"""A farm's places, shared out fairly over its pools; pure.

Weighted max-min fairness (Bertsekas and Gallager, Data Networks, 2nd edition, section 6.5.2), in whole workers: each
pool that can use one has a place of its own; every further place goes to the pool that has the fewest for its weight
and can use more. No pool gets more than it can use, and what one leaves goes to the others.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from buildyard.contracts.scaling import FarmPlaces


class Demand(NamedTuple):
    """How many workers a pool can use, those it has among them, and its weight beside the others."""

    workers: int
    weight: float = 1


class Room(NamedTuple):
    """What the farm leaves to one pool."""

    share: int
    """As many workers as are its own, if it uses them."""
    free: int
    """Places that no pool holds; below 0 where the maximum was lowered."""
    places: int
    """So many more it may start now: never more than are free, nor beyond its share."""
    missing: int
    """Places that other pools starve for and that will not become free by themselves."""


def fair_shares(places: int, demands: Mapping[str, Demand]) -> dict[str, int]:
    """How many of the places each pool gets; in all at most `places`, whatever the order of the pools.

    Places that could go to several pools alike go by name.
    """
    wanting = {name: demand for name, demand in sorted(demands.items()) if demand.workers > 0}
    given = dict.fromkeys(demands, 0)
    for name in list(wanting)[:places]:
        given[name] = 1
    if places > len(wanting):
        given |= _whole_part(places, wanting)
        _hand_out(places - sum(given.values()), wanting, given)
    return given


def room(farm: FarmPlaces, pool: str, held: int, wanted: int, leaving: int) -> Room:
    """What a pool may start, and what it should give back.

    Args:
        farm: what the other pools hold and want.
        pool: its name.
        held: workers that it has.
        wanted: more that it could use.
        leaving: of those it has, as many as were asked to leave.
    """
    demands = {other.name: Demand(other.held + other.wanted, other.weight) for other in farm.others}
    demands[pool] = Demand(held + wanted, farm.weight)
    shares = fair_shares(farm.max_workers, demands)
    free = farm.max_workers - held - sum(other.held for other in farm.others) - farm.doubted
    starved = sum(max(0, min(other.wanted, shares[other.name] - other.held)) for other in farm.others if other.starving)
    coming = max(0, free) + leaving + sum(other.leaving for other in farm.others)
    return Room(
        share=shares[pool],
        free=free,
        places=max(0, min(free, shares[pool] - held)),
        missing=max(0, starved - coming),
    )


def doubted_places(free: int, slots: Sequence[int], doubted: Collection[int]) -> int:
    """How many free places to keep for starts that were not answered, beside those that are started again anyway.

    A pool starts workers in its lowest free slots. Where it comes to one of a doubted start it starts the same name,
    which is the same worker; so both together take their union, and that is never to be more than are free.

    Args:
        free: places.
        slots: the pool's free slots, lowest first; at least `free`.
        doubted: slots of those starts.
    """
    number = 0
    while number < free and number + 1 + len(set(doubted).difference(slots[: number + 1])) <= free:
        number += 1
    return max(0, free) - number


def _whole_part(places: int, demands: Mapping[str, Demand]) -> dict[str, int]:
    """All whole places below the common level, where each pool's share is its weight times that level, or one.

    What is below the level would be handed out one by one all the same: this only does it at once.
    """
    alone: set[str] = set()
    while True:
        level = _level(places - len(alone), {name: one for name, one in demands.items() if name not in alone})
        low = {name for name, one in demands.items() if name not in alone and level * Fraction(one.weight) < 1}
        if not low:
            break
        alone |= low
    return {
        name: 1 if name in alone else min(one.workers, math.floor(level * Fraction(one.weight)))
        for name, one in demands.items()
    }


def _level(places: int, demands: Mapping[str, Demand]) -> Fraction:
    """The level to which places fill pools of these widths and bounds; above all bounds where they are too many."""
    left, width = Fraction(places), sum((Fraction(one.weight) for one in demands.values()), Fraction(0))
    level = Fraction(0)
    for bound, one in sorted((Fraction(one.workers) / Fraction(one.weight), one) for one in demands.values()):
        if (bound - level) * width > left:
            return level + left / width
        left -= (bound - level) * width
        level, width = bound, width - Fraction(one.weight)
    return level


def _hand_out(places: int, demands: Mapping[str, Demand], given: dict[str, int]) -> None:
    """Give out places one by one, each to the pool that has the fewest for its weight."""

    def next_place(name: str) -> tuple[Fraction, str]:
        return (given[name] + 1) / Fraction(demands[name].weight), name

    heap = [next_place(name) for name, one in demands.items() if given[name] < one.workers]
    heapq.heapify(heap)
    while places > 0 and heap:
        _, name = heapq.heappop(heap)
        given[name] += 1
        places -= 1
        if given[name] < demands[name].workers:
            heapq.heappush(heap, next_place(name))
