"""Grouping: what several tasks ask for at the same time is done in one go.

A commit to a database and a sync of a disk cost about as much for fifty as for one. While one group is being done the
next one gathers, so a lone item waits for nobody and a crowd shares the cost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from buildyard.errors import Overloaded, PermanentError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_RETRY_SECONDS = 2.0


def runs(items: Iterable[_Item], goes_together: Callable[[_Item], bool], most: int) -> Iterator[tuple[_Item, ...]]:
    """Cut items into runs without changing their order: up to `most` that go together, or one that goes alone."""
    run: list[_Item] = []
    for item in items:
        together = goes_together(item)
        if run and (not together or len(run) == most):
            yield tuple(run)
            run = []
        if together:
            run.append(item)
        else:
            yield (item,)
    if run:
        yield tuple(run)


class Grouped(Generic[_Item, _Result]):
    """Does items in groups, in their order.

    Args:
        together: does a group, all of it or nothing; gives one result an item.
        most: items in a group.
        waiting_most: items that may wait for their group.
    """

    def __init__(
        self, together: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result]]], *, most: int, waiting_most: int
    ) -> None:
        self._together = together
        self._most = most
        self._waiting_most = waiting_most
        self._waiting: deque[tuple[_Item, asyncio.Future[_Result]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def do(self, item: _Item) -> _Result:
        """Do an item, together with those that come at the same time.

        When its task is cancelled before its group has begun, it is not done; later, it may be.

        Raises:
            Overloaded: too many items wait already.
            Exception: what doing it raised. An item that is refused for good (PermanentError) fails alone.
        """
        if len(self._waiting) >= self._waiting_most:
            raise Overloaded(
                "Too many requests wait for the store.", remedy="Try again soon.", retry_after=_RETRY_SECONDS
            )
        done: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await done

    async def _run(self) -> None:
        group: list[tuple[_Item, asyncio.Future[_Result]]] = []
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                group = [(item, done) for item, done in group if not done.done()]
                if group:
                    await self._do(group)
        finally:
            self._running = None
            for _, done in (*group, *self._waiting):  # some are left only when this task was cancelled
                done.cancel()
            self._waiting.clear()

    async def _do(self, group: Sequence[tuple[_Item, asyncio.Future[_Result]]]) -> None:
        try:
            results = await self._together([item for item, _ in group])
        except PermanentError as error:
            if len(group) == 1:
                _fail(group, error)
                return
            for one in group:  # one of them is to blame: each alone shows which
                await self._do([one])
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            _fail(group, error)
        else:
            for (_, done), result in zip(group, results, strict=True):
                if not done.done():
                    done.set_result(result)


def _fail(group: Sequence[tuple[_Item, asyncio.Future[_Result]]], error: Exception) -> None:
    for _, done in group:
        if not done.done():
            done.set_exception(error)
