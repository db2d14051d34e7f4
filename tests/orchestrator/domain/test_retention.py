"""Which uploads go, and what is kept of ended builds: on every input."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from buildyard.clock import SystemClock
from orchestrator.domain.retention import (
    Keep,
    Kept,
    Past,
    SourceUse,
    aged,
    made_at,
    orphaned,
    outlived,
    releasable,
    still_kept,
)
from tests.orchestrator.world import START

KEEP = Keep(unbuilt=timedelta(hours=24), built=timedelta(hours=168))


def id_of(age_hours: float, number: int = 0) -> str:
    milliseconds = int(((START - timedelta(hours=age_hours)).timestamp()) * 1000)
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-{number:012d}"


hours = st.floats(0, 1000)
uses = st.builds(
    lambda number, ended, waits: (number, ended, waits), st.integers(0, 4), st.none() | hours, st.booleans()
)


@given(ages=st.lists(hours, min_size=5, max_size=5), told=st.lists(uses), unbuilt=st.sets(st.integers(0, 4)))
def test_an_upload_goes_only_when_it_is_old_and_no_build_of_it_is_open_recent_or_waits(
    ages: list[float], told: list[tuple[int, float | None, bool]], unbuilt: set[int]
) -> None:
    ids = [id_of(age, number) for number, age in enumerate(ages)]
    builds = [
        SourceUse(ids[number], None if ended is None else START - timedelta(hours=ended), waits)
        for number, ended, waits in told
    ]

    gone = releasable(ids, builds, {ids[number] for number in unbuilt}, START, KEEP)

    for number, (one, age) in enumerate(zip(ids, ages, strict=True)):
        mine = [(ended, waits) for which, ended, waits in told if which == number]
        needed = number in unbuilt or any(ended is None or waits or ended <= 168 for ended, waits in mine)
        old = age > 24 + 1e-5  # an id counts milliseconds
        assert (one in gone) <= (not needed)
        assert not old or needed or one in gone


@given(text=st.text(max_size=40))
def test_no_name_is_too_odd_to_be_asked_for_its_age(text: str) -> None:
    made_at(text)
    assert set(aged([text], START, timedelta(0))) <= {text}


def test_an_id_tells_when_it_was_made() -> None:
    clock = SystemClock()
    made = made_at(clock.new_id())
    assert made is not None
    assert abs(clock.now() - made) < timedelta(minutes=1)
    assert made_at("01938a2e-7c1b-4d8e-9f00-123456789abc") is None, "only version 7 holds a time"


days = st.floats(0, 500).map(lambda number: timedelta(days=number))
keeps = st.builds(
    Keep,
    unbuilt=days,
    built=days,
    builds=days,
    outputs=days,
    newest=days,
    leftovers=days,
    orphans=days,
)
pasts = st.builds(
    Past,
    build_id=st.just("one"),
    ended_at=st.none() | days.map(lambda age: START - age),
    kept=st.sampled_from(Kept),
    waits=st.booleans(),
    needed=st.booleans(),
    newest=st.booleans(),
    messy=st.booleans(),
)


@given(build=pasts, keep=keeps)
def test_nothing_goes_of_a_build_that_has_not_ended(build: Past, keep: Keep) -> None:
    running = replace(build, ended_at=None)
    assert still_kept(running, START, keep) is build.kept


@given(build=pasts, keep=keeps)
def test_of_a_dead_letter_that_nobody_settled_goes_only_what_nothing_refers_to(build: Past, keep: Keep) -> None:
    waiting = replace(build, waits=True)
    assert still_kept(waiting, START, keep) in {build.kept, Kept.TIDY}


@given(build=pasts, keep=keeps)
def test_a_build_whose_rows_an_open_retry_may_take_over_keeps_its_record(build: Past, keep: Keep) -> None:
    needed = replace(build, needed=True)
    assert build.kept is Kept.NOTHING or still_kept(needed, START, keep) is not Kept.NOTHING


@given(build=pasts, keep=keeps)
def test_what_is_gone_never_counts_as_kept_again(build: Past, keep: Keep) -> None:
    now_kept = still_kept(build, START, keep)
    assert now_kept is build.kept or now_kept in build.kept.less
    assert still_kept(replace(build, kept=now_kept), START, keep) is now_kept


@given(build=pasts, keep=keeps, later=days)
def test_as_time_goes_on_never_more_is_kept(build: Past, keep: Keep, later: timedelta) -> None:
    first, then = still_kept(build, START, keep), still_kept(build, START + later, keep)
    assert then is first or then in first.less


@given(build=pasts, keep=keeps)
def test_nothing_is_kept_longer_than_the_settings_say_unless_somebody_needs_it(build: Past, keep: Keep) -> None:
    free = replace(build, waits=False, needed=False)
    longest = max(keep.builds, keep.newest) if build.newest else keep.builds
    old = build.ended_at is not None and START - build.ended_at > longest
    assert (still_kept(free, START, keep) is Kept.NOTHING) == (old or build.kept is Kept.NOTHING)


@given(build=pasts, keep=keeps)
def test_the_newest_success_keeps_all_that_is_its_own_for_its_longer_time(build: Past, keep: Keep) -> None:
    newest = replace(build, newest=True, kept=Kept.ALL)
    young = build.ended_at is None or START - build.ended_at <= keep.newest
    assert not young or still_kept(newest, START, keep) in {Kept.ALL, Kept.TIDY}


@given(build=pasts, keep=keeps)
def test_a_look_for_what_is_old_enough_overlooks_nothing(build: Past, keep: Keep) -> None:
    """The store is asked only for builds that ended before `at_least`, and only for those of which more is kept."""
    now_kept = still_kept(build, START, keep)
    if now_kept is not build.kept:
        assert build.ended_at is not None
        assert build.ended_at < START - keep.at_least(now_kept)
        assert build.kept in now_kept.more


@given(known=st.sets(st.integers(0, 5)), asked=st.lists(st.integers(0, 5)))
def test_an_object_is_an_orphan_only_when_its_build_is_not_there(known: set[int], asked: list[int]) -> None:
    keys = [f"builds/{number}/jobs/x/{place}" for place, number in enumerate(asked)]
    there = {str(number) for number in known}
    assert orphaned(keys, there) == [key for key, number in zip(keys, asked, strict=True) if number not in known]


@given(text=st.text(max_size=30))
def test_a_message_that_tells_no_time_counts_as_new(text: str) -> None:
    assert not outlived(None, START)
    assert not outlived("2020-01-01T00:00:00", START), "a time without a zone is none"
    assert outlived("2020-01-01T00:00:00Z", START)
    assert outlived(text, START) in {True, False}
