"""How far a batch's program is fed ahead of its answers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.batch.pace import MOST_AHEAD, Pace
from worker.batch.row_sink import SLOW_SECONDS


class Program:
    """A program that reads its input at once while it waits for some; `unread` is None where nobody can tell."""

    def __init__(self, *, waits: bool, known: bool = True) -> None:
        self.waits = waits
        self.known = known
        self.nudges = 0

    def unread(self) -> int | None:
        if not self.known:
            return None
        return 0 if self.waits else self.nudges

    def nudge(self) -> None:
        self.nudges += 1

    def pace(self) -> Pace:
        return Pace(self.unread, self.nudge)


async def has_room(pace: Pace, seconds: float = 0.3) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await pace.room()
    except TimeoutError:
        return False
    return True


async def test_a_program_at_work_gets_no_second_row_and_one_blank() -> None:
    program = Program(waits=False)
    pace = program.pace()
    assert await has_room(pace)
    pace.give()

    assert not await has_room(pace, 0.5)

    assert program.nudges == 1
    pace.answered()
    assert not await has_room(pace, 0.1), "the result is not told yet"
    pace.told(1.0)
    assert await has_room(pace)


@pytest.mark.parametrize("known", [True, False])
async def test_a_program_that_waits_for_more_gets_twice_as_much(known: bool) -> None:
    program = Program(waits=True, known=known)
    pace = program.pace()
    given_rows = 0
    for wanted in (1, 2, 4, 8):
        assert await has_room(pace, 10)
        while given_rows < wanted:
            pace.give()
            given_rows += 1

    assert await has_room(pace, 10)


@given(st.lists(st.floats(min_value=0, max_value=10), min_size=1, max_size=50))
def test_rows_ahead_take_no_longer_than_a_slow_row_and_none_is_ahead_of_one(times: list[float]) -> None:
    async def check() -> None:
        pace = Program(waits=False).pace()
        for seconds in times:
            pace.give()
            pace.answered()
            pace.told(seconds)
        ahead = 0
        while ahead <= MOST_AHEAD and await has_room(pace, 0):
            pace.give()
            ahead += 1
        assert 1 <= ahead <= MOST_AHEAD
        assert ahead == 1 or ahead * times[-1] <= SLOW_SECONDS * 1.001

    asyncio.run(check())
