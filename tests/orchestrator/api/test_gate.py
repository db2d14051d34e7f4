"""New work is told to wait when the farm has too much of it, its disk is full, or somebody asks too often."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.clock import Clock, SystemClock
from buildyard.errors import ObjectsUnavailable, Overloaded, StoreUnavailable
from buildyard.settings import Settings
from orchestrator.api.gate import Gate
from orchestrator.domain.backpressure import (
    LONGEST_WAIT,
    SHORTEST_WAIT,
    IntakeLimits,
    IntakeSeen,
    refusal,
    spend,
    wait_seconds,
)
from orchestrator.views import Load
from tests.orchestrator.api.fakes import FakeViews

LIMITS = IntakeLimits(open_builds=100, unbuilt_bytes=5000, free_bytes=1000, requests_per_minute=60)
FULL = IntakeSeen(open_builds=100)


def test_a_full_queue_is_refused_with_the_time_it_needs() -> None:
    error = refusal(replace(FULL, agents=4, past_seconds=(40.0,)), LIMITS)

    assert isinstance(error, Overloaded)
    assert error.retry_after == 10.0, "four agents end a build of 40 s every 10 s"
    assert str(error) == "The farm has 100 builds in hand, and takes at most 100."
    assert error.remedy == "Try again in about 10 s, or cancel what is no longer wanted."


def test_before_anything_was_built_the_wait_is_that_of_the_oldest_job() -> None:
    error = refusal(replace(FULL, oldest_wait_seconds=42.0), LIMITS)

    assert error is not None
    assert error.retry_after == 42.0


_DURATIONS = st.lists(st.floats(0, 1e7), max_size=20).map(tuple)


@given(st.integers(1, 10**6), st.integers(0, 1000), _DURATIONS, st.none() | st.floats(0, 1e9))
def test_the_time_to_wait_is_bounded_longer_for_more_ends_and_shorter_with_more_agents(
    ends: int, agents: int, past: tuple[float, ...], oldest: float | None
) -> None:
    seen = replace(FULL, agents=agents, past_seconds=past, oldest_wait_seconds=oldest)

    wait = wait_seconds(ends, seen)

    assert SHORTEST_WAIT <= wait <= LONGEST_WAIT
    assert wait_seconds(ends + 1, seen) >= wait
    assert wait_seconds(ends, replace(seen, agents=agents + 1)) <= wait


@given(
    unbuilt=st.integers(0, 10**6), coming=st.integers(0, 10**6), limit=st.integers(0, 10**6), builds=st.integers(0, 99)
)
def test_uploads_wait_exactly_while_they_would_be_too_many_bytes(
    unbuilt: int, coming: int, limit: int, builds: int
) -> None:
    limits = replace(LIMITS, unbuilt_bytes=limit)
    seen = IntakeSeen(open_builds=builds, unbuilt_bytes=unbuilt, coming_bytes=coming, agents=2, past_seconds=(8.0,))

    error = refusal(seen, limits)

    assert (error is not None) == (limit > 0 and unbuilt > 0 and unbuilt + max(coming, 1) > limit)
    assert error is None or isinstance(error, Overloaded)
    assert refusal(replace(seen, coming_bytes=None), limits) is None, "without an upload it adds no bytes"
    assert refusal(replace(seen, unbuilt_bytes=None), limits) is None, "what is not known refuses nothing"


def test_the_wait_for_bytes_is_that_for_the_builds_that_hold_them() -> None:
    seen = IntakeSeen(open_builds=10, unbuilt_bytes=5000, coming_bytes=1000, agents=1, past_seconds=(30.0,))

    error = refusal(seen, LIMITS)

    assert error is not None
    assert error.retry_after == 60.0, "1000 bytes are held by two builds of 500"


def test_an_upload_that_would_fill_the_disk_is_refused_before_it_comes() -> None:
    assert refusal(IntakeSeen(free_bytes=2000, coming_bytes=1000), LIMITS) is None
    assert isinstance(refusal(IntakeSeen(free_bytes=2000, coming_bytes=1001), LIMITS), ObjectsUnavailable)


def test_what_is_not_known_refuses_nothing() -> None:
    assert refusal(IntakeSeen(coming_bytes=10**12), LIMITS) is None


@given(st.lists(st.floats(0, 5), min_size=1, max_size=300))
def test_nobody_gets_more_than_a_minutes_worth_and_the_rate(pauses: list[float]) -> None:
    now, allowance, passed = 0.0, None, 0
    for pause in pauses:
        now += pause
        allowance, wait = spend(allowance, now, LIMITS)
        passed += wait == 0
        if wait:
            assert spend(allowance, now + wait + 0.001, LIMITS)[1] == 0, "after the wait it goes ahead"

    assert passed <= 60 + now + 1


def test_without_a_limit_everybody_goes_ahead() -> None:
    free = IntakeLimits(open_builds=1, unbuilt_bytes=0, free_bytes=0, requests_per_minute=0)

    assert [spend(None, 0.0, free)[1] for _ in range(1000)] == [0.0] * 1000


class Standstill(SystemClock):
    """No time goes by, so that what was counted stays fresh."""

    def monotonic(self) -> float:
        return 0.0


def gate_of(tmp_path: Path, views: FakeViews, clock: Clock | None = None, **settings: int) -> Gate:
    wanted = Settings.model_validate({"data_dir": tmp_path, **settings})
    return Gate(wanted, views, clock or SystemClock())  # type: ignore[arg-type] # a fake of the views


async def test_the_gate_counts_each_requester_for_itself(tmp_path: Path) -> None:
    gate = gate_of(tmp_path, FakeViews(), requests_per_minute=2, disk_reserve_bytes=0)
    for _ in range(2):
        await gate.pass_or_raise("a", 0)

    with pytest.raises(Overloaded, match="More than 2 requests"):
        await gate.pass_or_raise("a", 0)
    await gate.pass_or_raise("b", 0)


async def test_the_gate_closes_when_the_farm_is_full(tmp_path: Path) -> None:
    views = FakeViews(in_hand=Load(5, None, 0, 2, (25.0,)))
    gate = gate_of(tmp_path, views, queue_max_builds=5, disk_reserve_bytes=0)

    with pytest.raises(Overloaded) as caught:
        await gate.pass_or_raise("a", 0)

    assert caught.value.retry_after == 12.5


async def test_builds_let_in_since_the_last_count_are_counted_too(tmp_path: Path) -> None:
    views = FakeViews(in_hand=Load(3, None, 0, 2, ()))
    gate = gate_of(tmp_path, views, Standstill(), queue_max_builds=5, disk_reserve_bytes=0)
    for _ in range(2):
        await gate.pass_or_raise("a", None)

    with pytest.raises(Overloaded, match="5 builds in hand, and takes at most 5"):
        await gate.pass_or_raise("a", None)


async def test_uploads_on_their_way_count_until_they_have_come(tmp_path: Path) -> None:
    gate = gate_of(tmp_path, FakeViews(in_hand=Load(1, None, 400, 1, ())), unbuilt_max_bytes=1000, disk_reserve_bytes=0)
    async with gate.passed("a", 500):
        with pytest.raises(Overloaded, match="uploads that are not built yet"):
            await gate.pass_or_raise("b", 101)
        await gate.pass_or_raise("b", 100)
        await gate.pass_or_raise("b", None)
    await gate.pass_or_raise("b", 600)


async def test_who_was_told_that_the_disk_is_full_finds_the_gate_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gate_of(tmp_path, FakeViews(), disk_reserve_bytes=1000)
    await gate.pass_or_raise("a", 0)  # what it saw stays fresh for a while
    monkeypatch.setattr(gate, "_least_free", lambda: 0)

    with pytest.raises(ObjectsUnavailable):
        await gate.check_room()
    with pytest.raises(ObjectsUnavailable):
        await gate.pass_or_raise("a", 0)


async def test_a_store_that_does_not_answer_is_the_requests_own_trouble(tmp_path: Path) -> None:
    views = FakeViews(failure=StoreUnavailable("It is away."))

    await gate_of(tmp_path, views, disk_reserve_bytes=0).pass_or_raise("a", 0)


async def test_the_gate_keeps_room_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    gate = gate_of(tmp_path, FakeViews(), disk_reserve_bytes=2**62)

    with pytest.raises(ObjectsUnavailable, match="MiB of disk left"):
        await gate.pass_or_raise("a", 0)
