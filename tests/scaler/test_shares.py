"""Sharing out places: fair to every pool, and never more than there are."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice, permutations

from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.scaling import FarmPlaces, PoolPlaces
from scaler.shares import Demand, fair_shares, room

NAMES = st.sampled_from(["linux", "windows", "macos", "docker", "arm"])
weights = st.sampled_from([0.25, 0.5, 1, 1, 1, 2, 3, 10]) | st.floats(0.01, 1000)
demands = st.dictionaries(NAMES, st.builds(Demand, st.integers(0, 60), weights), min_size=1)
places = st.integers(0, 120)


def one_by_one(number: int, wanted: dict[str, Demand]) -> dict[str, int]:
    """The definition: a place for each that wants one, then each to whoever has the fewest for its weight."""
    given = dict.fromkeys(wanted, 0)
    for turn in range(number):
        able = [name for name in wanted if given[name] < wanted[name].workers]
        if not able:
            break
        first = [name for name in able if given[name] == 0]
        by_weight = min(able, key=lambda name: ((given[name] + 1) / Fraction(wanted[name].weight), name))
        given[min(first) if first else by_weight] += 1
        assert sum(given.values()) == turn + 1
    return given


@given(places, demands)
def test_the_shares_are_those_of_handing_out_place_by_place(number: int, wanted: dict[str, Demand]) -> None:
    assert fair_shares(number, wanted) == one_by_one(number, wanted)


@given(places, demands)
def test_no_place_is_given_twice_and_none_is_left_over_that_somebody_can_use(
    number: int, wanted: dict[str, Demand]
) -> None:
    shares = fair_shares(number, wanted)

    assert sum(shares.values()) == min(number, sum(one.workers for one in wanted.values()))
    assert all(shares[name] <= one.workers for name, one in wanted.items())


@given(places, demands)
def test_no_pool_starves_while_there_is_a_place_for_each(number: int, wanted: dict[str, Demand]) -> None:
    shares = fair_shares(number, wanted)

    if number >= len(wanted):
        assert all(shares[name] >= 1 for name, one in wanted.items() if one.workers)


@given(places, demands)
def test_the_order_of_the_pools_does_not_matter(number: int, wanted: dict[str, Demand]) -> None:
    shares = fair_shares(number, wanted)

    assert all(fair_shares(number, dict(order)) == shares for order in islice(permutations(wanted.items()), 24))


@given(places, demands)
def test_who_gets_less_than_it_can_use_has_no_less_for_its_weight_than_any_other(
    number: int, wanted: dict[str, Demand]
) -> None:
    shares = fair_shares(number, wanted)

    for name, one in wanted.items():
        if shares[name] < one.workers and number >= len(wanted):
            for other, much in shares.items():
                assert much <= 1 or much / Fraction(wanted[other].weight) <= (shares[name] + 1) / Fraction(one.weight)


def test_equal_pools_get_equal_shares_and_what_one_leaves_goes_to_the_others() -> None:
    assert fair_shares(25, {"a": Demand(100), "b": Demand(100)}) == {"a": 13, "b": 12}
    assert fair_shares(25, {"a": Demand(100), "b": Demand(5)}) == {"a": 20, "b": 5}
    assert fair_shares(24, {"a": Demand(100, 3), "b": Demand(100)}) == {"a": 18, "b": 6}
    assert fair_shares(5, {"a": Demand(100, 1000), "b": Demand(100)}) == {"a": 4, "b": 1}


rows = st.builds(
    PoolPlaces,
    name=st.just("other"),
    held=st.integers(0, 30),
    wanted=st.integers(0, 30),
    leaving=st.integers(0, 5),
    weight=weights,
    starving=st.booleans(),
)


@given(st.integers(1, 40), weights, rows, st.integers(0, 30), st.integers(0, 30))
def test_a_pool_starts_no_more_than_is_free_and_wanted(
    most: int, weight: float, other: PoolPlaces, held: int, wanted: int
) -> None:
    left = room(FarmPlaces(max_workers=most, weight=weight, others=(other,)), "own", held, wanted, 0)

    assert 0 <= left.places <= max(0, left.free)
    assert left.places <= wanted
    assert left.free == most - held - other.held


@given(st.integers(1, 40), weights, rows, st.integers(0, 30), st.integers(0, 5))
def test_nothing_is_missing_while_places_are_free_or_becoming_free(
    most: int, weight: float, other: PoolPlaces, held: int, leaving: int
) -> None:
    left = room(FarmPlaces(max_workers=most, weight=weight, others=(other,)), "own", held, 0, leaving)

    assert left.missing == 0 or (other.starving and left.missing <= other.wanted)
    assert left.missing + max(0, left.free) + leaving + other.leaving <= max(
        other.wanted, max(0, left.free) + leaving + other.leaving
    )
