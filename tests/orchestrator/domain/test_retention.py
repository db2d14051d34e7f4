"""Which uploads go, and what is believed of a broker's counts: on every input."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from buildyard.clock import SystemClock
from orchestrator.domain.retention import Keep, SourceUse, aged, made_at, releasable
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
