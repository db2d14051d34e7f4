"""The feed hands on what happens, and never waits for a slow listener."""

from __future__ import annotations

from buildyard.contracts.events import BuildEvent
from orchestrator.feed import WATCH_LIMIT, Feed
from tests.orchestrator.world import START, an_id


def an_event(seq: int, build: int = 1) -> BuildEvent:
    return BuildEvent(build_id=an_id(build), seq=seq, type="rows_done", at=START)


async def test_a_watch_gets_the_events_of_its_own_build_in_order() -> None:
    feed = Feed()
    async with feed.watch(an_id(1)) as watch:
        feed.publish([an_event(1), an_event(1, build=2), an_event(2)])

        assert [await watch.next_item(1), await watch.next_item(1)] == [an_event(1), an_event(2)]
        assert await watch.next_item(0.01) is None


async def test_a_slow_watch_overflows_and_is_told_so() -> None:
    feed = Feed()
    async with feed.watch(an_id(1)) as watch:
        feed.publish(an_event(seq) for seq in range(1, WATCH_LIMIT + 2))

        assert await watch.next_item(1) is None
        assert watch.overflowed


async def test_nothing_is_kept_for_a_build_that_nobody_watches() -> None:
    feed = Feed()
    async with feed.watch(an_id(1)):
        pass

    feed.publish([an_event(1)])

    assert not feed._watches
