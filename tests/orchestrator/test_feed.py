"""The feed hands on what happens, and never waits for a slow listener."""

from __future__ import annotations

from buildyard.contracts.builds import StageName
from buildyard.contracts.events import BuildEvent
from buildyard.contracts.messages import LogLine, LogLines
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


def some_lines(*numbers: int, build: int = 1) -> LogLines:
    lines = tuple(LogLine(n=number, at=START, stage=StageName.BUILD, text="text") for number in numbers)
    return LogLines(build_id=an_id(build), job_id=an_id(7), attempt=1, lines=lines)


async def test_who_follows_a_log_gets_the_lines_that_are_not_stored_yet_first() -> None:
    feed = Feed()
    feed.publish([some_lines(1, 2), some_lines(1, build=2)])

    async with feed.watch(an_id(1), recent_lines=True) as watch:
        feed.publish([some_lines(3)])

        assert [await watch.next_item(1), await watch.next_item(1)] == [some_lines(1, 2), some_lines(3)]


async def test_who_follows_events_gets_no_lines_of_before() -> None:
    feed = Feed()
    feed.publish([some_lines(1, 2)])

    async with feed.watch(an_id(1)) as watch:
        assert await watch.next_item(0.01) is None


async def test_no_lines_are_kept_of_a_build_that_has_ended() -> None:
    feed = Feed()
    feed.publish([some_lines(1), BuildEvent(build_id=an_id(1), seq=1, type="build_ended", at=START)])

    async with feed.watch(an_id(1), recent_lines=True) as watch:
        assert await watch.next_item(0.01) is None
