"""New work is told to wait when the farm has too much of it, its disk is full, or somebody asks too often."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.clock import SystemClock
from buildyard.errors import ObjectsUnavailable, Overloaded, StoreUnavailable
from buildyard.settings import Settings
from orchestrator.api.gate import Gate
from orchestrator.domain.backpressure import IntakeLimits, IntakeSeen, refusal, spend
from orchestrator.views import Load
from tests.orchestrator.api.fakes import FakeViews

LIMITS = IntakeLimits(open_builds=100, free_bytes=1000, requests_per_minute=60)


def test_a_full_queue_is_refused_with_the_time_it_needs() -> None:
    error = refusal(IntakeSeen(100, 42.0, None, 0), LIMITS)

    assert isinstance(error, Overloaded)
    assert error.retry_after == 42.0
    assert str(error) == "The farm has 100 builds in hand, and takes at most 100."


@given(st.none() | st.floats(0, 1e9))
def test_the_time_to_wait_is_always_bounded(wait: float | None) -> None:
    error = refusal(IntakeSeen(100, wait, None, 0), LIMITS)

    assert error is not None
    assert 1 <= error.retry_after <= 300


def test_an_upload_that_would_fill_the_disk_is_refused_before_it_comes() -> None:
    assert refusal(IntakeSeen(0, None, 2000, 1000), LIMITS) is None
    assert isinstance(refusal(IntakeSeen(0, None, 2000, 1001), LIMITS), ObjectsUnavailable)


def test_what_is_not_known_refuses_nothing() -> None:
    assert refusal(IntakeSeen(None, None, None, 10**12), LIMITS) is None


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
    free = IntakeLimits(open_builds=1, free_bytes=0, requests_per_minute=0)

    assert [spend(None, 0.0, free)[1] for _ in range(1000)] == [0.0] * 1000


def gate_of(tmp_path: Path, views: FakeViews, **settings: int) -> Gate:
    wanted = Settings.model_validate({"data_dir": tmp_path, **settings})
    return Gate(wanted, views, SystemClock())  # type: ignore[arg-type] # a fake of the views


async def test_the_gate_counts_each_requester_for_itself(tmp_path: Path) -> None:
    gate = gate_of(tmp_path, FakeViews(), requests_per_minute=2, disk_reserve_bytes=0)
    for _ in range(2):
        await gate.pass_or_raise("a", 0)

    with pytest.raises(Overloaded, match="More than 2 requests"):
        await gate.pass_or_raise("a", 0)
    await gate.pass_or_raise("b", 0)


async def test_the_gate_closes_when_the_farm_is_full(tmp_path: Path) -> None:
    views = FakeViews(in_hand=Load(5, 12.5))
    gate = gate_of(tmp_path, views, queue_max_builds=5, disk_reserve_bytes=0)

    with pytest.raises(Overloaded) as caught:
        await gate.pass_or_raise("a", 0)

    assert caught.value.retry_after == 12.5


async def test_a_store_that_does_not_answer_is_the_requests_own_trouble(tmp_path: Path) -> None:
    views = FakeViews(failure=StoreUnavailable("It is away."))

    await gate_of(tmp_path, views, disk_reserve_bytes=0).pass_or_raise("a", 0)


async def test_the_gate_keeps_room_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    gate = gate_of(tmp_path, FakeViews(), disk_reserve_bytes=2**62)

    with pytest.raises(ObjectsUnavailable, match="MiB of disk left"):
        await gate.pass_or_raise("a", 0)
