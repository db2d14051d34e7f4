"""How far a batch's program is fed ahead of its answers: no further than it reads by itself.

A program that answers row by row gets the next row when the result of the last one is safe, so that a crash repeats
none that is finished; while its rows are quick it gets some ahead. One that keeps its answers back until it has read
more is found out: it waits for input although nothing is left to read. A blank before a row, which JSON allows, tells
the two apart: who works on a row leaves it unread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from worker.batch.row_sink import SLOW_SECONDS

MOST_AHEAD = 64
_LOOK_SECONDS = 0.02
_LONGEST_LOOK_SECONDS = 0.25
_LOOKS = 2
"""So often in a row it must have been seen to wait for more, since an answer may be on its way."""


class Pace:
    """Says when the program may have another row.

    Args:
        unread: bytes of its input that it has not read yet; None where the system does not tell.
        nudge: puts a blank into its input.
    """

    def __init__(self, unread: Callable[[], int | None], nudge: Callable[[], None]) -> None:
        self._unread = unread
        self._nudge = nudge
        self._given = 0
        self._ahead = self._needed = 1
        self._telling = False
        self._answered = asyncio.Event()

    def give(self) -> None:
        """The program got a row."""
        self._given += 1

    def answered(self) -> None:
        """It answered one; the result is being told."""
        self._telling = True

    def told(self, seconds: float) -> None:
        """The result of a row that took so long is as safe as it needs to be."""
        self._telling = False
        self._given -= 1
        affordable = min(MOST_AHEAD, int(SLOW_SECONDS / max(seconds, SLOW_SECONDS / MOST_AHEAD)))
        self._ahead = max(self._needed, min(affordable, self._ahead * 2))
        self._answered.set()

    async def room(self) -> None:
        """Return when the program may have another row."""
        look, waited = _LOOK_SECONDS, -1
        while self._given >= self._ahead:
            self._answered.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(look):
                    await self._answered.wait()
                look, waited = _LOOK_SECONDS, -1
                continue
            if self._telling or self._unread():
                look, waited = min(look * 1.5, _LONGEST_LOOK_SECONDS), min(waited, 0)
            elif waited < 0:
                self._nudge()
                waited = 0
            elif waited < _LOOKS:
                look, waited = _LOOK_SECONDS, waited + 1
            else:
                self._ahead = self._needed = self._given * 2
