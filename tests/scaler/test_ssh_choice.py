"""Which host gets a worker: a pure choice, with laws for any number of hosts."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from scaler.executors.ssh_choice import (
    LONGEST_PAUSE_SECONDS,
    NOTES,
    HostSight,
    blindness,
    choose,
    note_keepers,
    pause_seconds,
    unseen,
)

_NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
_SIGHTS = st.lists(
    st.builds(
        HostSight,
        name=_NAMES,
        slots=st.integers(1, 5),
        running=st.none() | st.integers(0, 6),
        last_running=st.none() | st.integers(0, 3),
        cause=st.just("It is away."),
    ),
    unique_by=lambda sight: sight.name,
    max_size=8,
)


@given(_SIGHTS)
def test_a_chosen_host_answers_and_has_room_and_none_is_chosen_only_when_there_is_none(
    sights: list[HostSight],
) -> None:
    free = [sight for sight in sights if sight.running is not None and sight.running < sight.slots]

    chosen = choose(sights)

    assert chosen in {sight.name for sight in free} if free else chosen is None


@given(_SIGHTS)
def test_no_host_with_room_has_a_smaller_share_taken_than_the_chosen_one(sights: list[HostSight]) -> None:
    shares = {sight.name: Fraction(sight.running, sight.slots) for sight in sights if sight.running is not None}
    chosen = choose(sights)
    if chosen is not None:
        assert shares[chosen] == min(shares.values())


@given(_SIGHTS, st.randoms())
def test_the_order_of_hosts_and_hosts_without_room_do_not_change_the_choice(
    sights: list[HostSight], random: Random
) -> None:
    shuffled = [sight for sight in sights if sight.running is not None and sight.running < sight.slots]
    random.shuffle(shuffled)

    assert choose(shuffled) == choose(sights)


@given(_SIGHTS)
def test_workers_started_one_after_the_other_fill_every_slot_and_no_more(sights: list[HostSight]) -> None:
    state = {sight.name: sight for sight in sights}
    room = sum(max(0, sight.slots - sight.running) for sight in sights if sight.running is not None)
    started = 0
    while (name := choose(list(state.values()))) is not None:
        state[name] = replace(state[name], running=(state[name].running or 0) + 1)
        started += 1

    assert started == room


@given(_NAMES, _SIGHTS)
def test_notes_are_kept_by_as_many_hosts_that_answer_as_there_are_up_to_three(
    name: str, sights: list[HostSight]
) -> None:
    here = {sight.name for sight in sights if sight.running is not None}

    keepers = note_keepers(name, sights)

    assert len(keepers) == len(set(keepers)) == min(NOTES, len(here))
    assert set(keepers) <= here


@given(_NAMES, _SIGHTS, st.data())
def test_two_scalers_of_which_each_misses_a_host_share_a_note_keeper_and_its_order(
    name: str, sights: list[HostSight], data: st.DataObject
) -> None:
    all_here = [replace(sight, running=0) for sight in sights]
    if len(all_here) < 3:
        return
    missing = [data.draw(st.sampled_from(all_here)).name for _ in range(2)]
    views = [[replace(sight, running=None) if sight.name == away else sight for sight in all_here] for away in missing]

    first, second = (note_keepers(name, view) for view in views)

    shared = [host for host in first if host in second]
    assert shared
    assert shared == [host for host in second if host in first]


@given(_NAMES, _SIGHTS, st.data())
def test_two_scalers_that_note_places_at_once_come_to_the_same_one(
    name: str, sights: list[HostSight], data: st.DataObject
) -> None:
    """Each makes its note where there is none and goes on with what it finds, in any order of their steps."""
    if len(sights) < 3:
        return
    notes: dict[str, str] = {}
    places = {"one": "by one", "two": "by two"}
    steps: list[str] = []
    left = {}
    for scaler in places:
        away = data.draw(st.sampled_from(sights)).name
        view = [replace(sight, running=None if sight.name == away else 0) for sight in sights]
        left[scaler] = list(note_keepers(name, view))
        steps += [scaler] * len(left[scaler])

    for scaler in data.draw(st.permutations(steps)):
        places[scaler] = notes.setdefault(left[scaler].pop(0), places[scaler])

    assert places["one"] == places["two"]


@given(st.integers(-1, 100), st.floats(0, 1))
def test_a_pause_is_bounded_and_never_shorter_than_half_of_its_longest(failures: int, chance: float) -> None:
    pause = pause_seconds(failures, chance)

    assert 0 <= pause <= LONGEST_PAUSE_SECONDS
    assert pause >= pause_seconds(failures, 1.0) / 2
    assert pause_seconds(failures, 1.0) <= pause_seconds(failures + 1, 1.0)


@given(_SIGHTS)
def test_who_runs_on_a_host_that_is_away_is_known_from_before_while_another_host_answers(
    sights: list[HostSight],
) -> None:
    unknown = unseen(sights)
    here = [sight for sight in sights if sight.running is not None]
    away = [sight for sight in sights if sight.running is None]

    assert {sight for sight in away if sight.last_running is None} <= set(unknown) <= set(away)
    assert not here or all(sight.last_running is None for sight in unknown)
    assert here or {sight for sight in away if sight.last_running != 0} == set(unknown)


@given(_SIGHTS)
def test_every_host_whose_workers_are_unknown_is_named(sights: list[HostSight]) -> None:
    sentence = blindness("linux", sights)

    assert bool(sentence) is bool(unseen(sights))
    assert all(f"The host {sight.name} of the pool linux cannot be asked" in sentence for sight in unseen(sights))


def test_the_sentence_counts_what_was_last_seen_and_what_the_other_hosts_have() -> None:
    assert blindness("linux", [HostSight("a", 4, None, 2, "127.0.0.1:22: Connection refused")]) == (
        "The host a of the pool linux cannot be asked (127.0.0.1:22: Connection refused; 2 workers ran there when last "
        "seen)."
    )
    sights = [
        HostSight("a", 4, None, None, "127.0.0.1:22: Connection refused"),
        HostSight("b", 4, 3, 3),
        HostSight("c", 4, 0, 0),
    ]

    assert blindness("linux", sights) == (
        "The host a of the pool linux cannot be asked (127.0.0.1:22: Connection refused). "
        "On the other 2 hosts 3 workers of the pool run."
    )
