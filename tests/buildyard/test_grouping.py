"""Items that come at the same time are done together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.errors import InvalidRequest, Overloaded, StoreUnavailable
from buildyard.grouping import Grouped, runs


class Doing:
    """Doubles numbers, a group at a time, when it is let."""

    def __init__(self, *, most: int = 100, waiting_most: int = 100, wrong: frozenset[int] = frozenset()) -> None:
        self.groups: list[list[int]] = []
        self.go = asyncio.Event()
        self.failure: Exception | None = None
        self.grouped = Grouped(self._together, most=most, waiting_most=waiting_most)
        self._wrong = wrong

    async def _together(self, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        if self._wrong.intersection(items):
            raise InvalidRequest("One of them is wrong.")
        return [item * 2 for item in items]

    async def asked(self, *items: int) -> list[asyncio.Task[int]]:
        tasks = [asyncio.create_task(self.grouped.do(item)) for item in items]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return tasks


async def test_a_lone_item_is_done_at_once_and_what_comes_meanwhile_together() -> None:
    doing = Doing()
    first = await doing.asked(1)
    later = await doing.asked(2, 3, 4)
    doing.go.set()

    assert await asyncio.gather(*first, *later) == [2, 4, 6, 8]
    assert doing.groups == [[1], [2, 3, 4]]


async def test_a_group_has_no_more_than_its_most() -> None:
    doing = Doing(most=2)
    tasks = await doing.asked(1, 2, 3, 4, 5)
    doing.go.set()

    await asyncio.gather(*tasks)
    assert max(len(group) for group in doing.groups) == 2


async def test_one_that_is_refused_fails_alone() -> None:
    doing = Doing(wrong=frozenset({3}))
    doing.go.set()
    answers = await asyncio.gather(*await doing.asked(1, 2, 3, 4), return_exceptions=True)

    assert [answer for answer in answers if isinstance(answer, int)] == [2, 4, 8]
    assert isinstance(answers[2], InvalidRequest)


async def test_when_the_store_is_gone_all_of_a_group_hear_it_and_the_next_ones_are_tried_anew() -> None:
    doing = Doing()
    doing.failure = StoreUnavailable("The database is gone.")
    doing.go.set()
    answers = await asyncio.gather(*await doing.asked(1, 2), return_exceptions=True)
    doing.failure = None

    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    assert await doing.grouped.do(5) == 10


async def test_too_many_that_wait_are_told_to_come_again() -> None:
    doing = Doing(waiting_most=2)
    first = await doing.asked(1)
    waiting = await doing.asked(2, 3)

    with pytest.raises(Overloaded) as caught:
        await doing.grouped.do(4)
    doing.go.set()

    assert caught.value.retry_after is not None
    assert await asyncio.gather(*first, *waiting) == [2, 4, 6]


async def test_one_that_gives_up_before_its_group_begins_is_not_done() -> None:
    doing = Doing()
    first = await doing.asked(1)
    [gone, stays] = await doing.asked(2, 3)
    gone.cancel()
    await asyncio.sleep(0)
    doing.go.set()

    assert await asyncio.gather(*first, stays) == [2, 6]
    assert doing.groups == [[1], [3]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(), max_size=30), st.frozensets(st.integers(), max_size=5), st.integers(1, 7))
def test_everyone_gets_the_answer_to_what_it_asked(items: list[int], wrong: frozenset[int], most: int) -> None:
    async def ask() -> list[int | BaseException]:
        doing = Doing(most=most, wrong=wrong)
        doing.go.set()
        return await asyncio.gather(*(doing.grouped.do(item) for item in items), return_exceptions=True)

    answers = asyncio.run(ask())

    for item, answer in zip(items, answers, strict=True):
        assert isinstance(answer, InvalidRequest) if item in wrong else answer == item * 2


@given(items=st.lists(st.integers(0, 9), max_size=40), most=st.integers(1, 7))
def test_runs_keep_every_item_in_its_order_and_are_as_long_as_they_may_be(items: list[int], most: int) -> None:
    """Odd items go together, even ones alone."""
    found = list(runs(items, lambda item: item % 2 == 1, most))

    assert [item for run in found for item in run] == items
    for run in found:
        assert 1 <= len(run) <= most
        assert len(run) == 1 or all(item % 2 == 1 for item in run)
    for run, after in pairwise(found):
        assert len(run) == most or run[-1] % 2 == 0 or after[0] % 2 == 0
