"""How a connection is told, and that reads follow one another whatever a server does; with time as an argument."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest

from buildyard.errors import Forbidden, ProducerUnavailable, Unauthorized
from tests.tui import samples as s
from tui.source import poller as polling
from tui.source.link import DOWN_SECONDS, RETRY_SECONDS, STALE_SECONDS, Link
from tui.source.outbox import MOST_LINES, Outbox
from tui.source.poller import Poller, Read
from tui.source.streams import place_after
from tui.state import events as e

GONE = ProducerUnavailable("Nobody listens there.", remedy="Start it.")


class HandClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return s.at(self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def new_id(self) -> str:
        raise NotImplementedError


def link() -> Link:
    return Link("producer", "http://farm:8000")


def test_a_connection_is_connecting_until_somebody_answers_or_nobody_does() -> None:
    one = link()
    assert one.connection(s.at(0)) == "connecting"
    assert one.connection(s.at(999)) == "connecting"
    one.failed(s.at(1), GONE, 1)
    seen = one.seen(s.at(1))
    assert (seen.connection, seen.last_ok, seen.cause, seen.remedy) == ("down", None, str(GONE), "Start it.")
    assert seen.retry_at == s.at(2)


def test_silence_makes_it_stale_and_then_down_and_one_answer_mends_it() -> None:
    one = link()
    one.succeeded(s.at(0))
    told = [one.connection(s.at(t)) for t in (0, STALE_SECONDS - 0.1, STALE_SECONDS, DOWN_SECONDS - 0.1, DOWN_SECONDS)]
    assert told == ["connected", "connected", "stale", "stale", "down"]
    assert one.seen(s.at(4)).cause == "The producer at http://farm:8000 does not answer."
    one.succeeded(s.at(60))
    assert one.seen(s.at(60)).connection == "connected"
    assert (one.seen(s.at(60)).cause, one.recoveries) == ("", 1)


def test_a_failure_is_told_at_once_and_a_refusal_is_down_at_once() -> None:
    one = link()
    one.succeeded(s.at(0))
    one.failed(s.at(1), GONE, 1)
    assert one.connection(s.at(1)) == "stale"
    one.failed(s.at(1), Unauthorized("The token is wrong."), 1)
    assert one.connection(s.at(1)) == "down"


def test_the_promised_five_seconds_hold_for_the_figures_that_are_set() -> None:
    monitor = 0.25
    assert STALE_SECONDS + monitor < 5
    assert polling.READ_SECONDS + RETRY_SECONDS + monitor < 5


async def test_reads_never_overlap_and_one_that_is_refused_holds_up_no_other() -> None:
    outbox, one, clock = Outbox(), link(), HandClock()
    running, most = 0, 0
    calls: list[str] = []

    def read(name: str, error: Exception | None = None) -> Read:
        async def call() -> Sequence[e.Event]:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            calls.append(name)
            clock.seconds += 0.5
            if error:
                raise error
            return (e.LogEnded(name),)

        return Read(name, 1.0, call)

    poller = Poller(one, outbox, clock, [read("a"), read("b", Forbidden("No.")), read("c")], ProducerUnavailable)
    task = asyncio.create_task(poller.run())
    while calls.count("c") < 3:
        poller.retry_now()
        await outbox.take()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert most == 1
    assert calls.count("b") == 1, "it is asked again after half a minute only"
    assert one.connection(clock.now()) == "connected"


async def test_a_read_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox, one, clock = Outbox(), link(), HandClock()
    hung = asyncio.Event()

    async def hang() -> Sequence[e.Event]:
        hung.set()
        await asyncio.Event().wait()
        return ()

    monkeypatch.setattr(polling, "RETRY_SECONDS", 0.01)
    poller = Poller(one, outbox, clock, [Read("a", 1.0, hang, patience=0.01)], ProducerUnavailable)
    task = asyncio.create_task(poller.run())
    for _ in range(2):
        await hung.wait()
        hung.clear()
        if one.connection(clock.now()) == "down":
            break
        clock.seconds += 2
        poller.retry_now()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert one.connection(clock.now()) == "down"
    assert one.seen(clock.now()).cause == "No answer within 0.01 s."


async def test_lines_wait_for_the_reader_and_whole_answers_replace_each_other() -> None:
    outbox = Outbox()
    big = e.LogSeen("build/x", tuple(e.LogLine(str(n), n) for n in range(MOST_LINES)))
    await outbox.put(big)
    waiting = asyncio.create_task(outbox.put(e.LogEnded("build/x")))
    outbox.put_latest("pools", e.PoolsSeen(s.at(1), ()))
    outbox.put_latest("pools", e.PoolsSeen(s.at(2), ()))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await outbox.take() == (e.PoolsSeen(s.at(2), ()), big)
    await waiting
    assert await outbox.take() == (e.LogEnded("build/x"),)
    outbox.close()
    assert await outbox.take() == ()


@pytest.mark.parametrize(
    ("seen", "lines", "place"),
    [
        (["a", "b"], ["x", "a", "b", "c"], 3),
        (["a", "b"], ["a", "b"], 2),
        (["a", "b"], ["b", "c"], None),
        (["a"], ["a", "x", "a", "y"], 3),
        (["a", "b", "c"], ["b", "c"], None),
    ],
)
def test_the_place_behind_the_last_lines_is_found(seen: list[str], lines: list[str], place: int | None) -> None:
    assert place_after(seen, lines) == place
