"""The stream of all builds' events takes the place of asking for lists, and lists take its place when it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from buildyard.client import ProducerClient
from buildyard.contracts.api import BuildList, BuildStatus
from buildyard.contracts.events import EventType, FarmEvent, StreamReset
from buildyard.errors import BuildyardError, NotFound, ProducerUnavailable
from tests.scaler.fakes import FakeClock
from tests.tui import samples as s
from tui.source import happenings
from tui.source.builds import BuildReads
from tui.source.happenings import TYPES, FarmFollower
from tui.source.outbox import Outbox
from tui.state import Store
from tui.state import events as e


def told(number: int, build: int, kind: EventType, **data: Any) -> FarmEvent:
    return FarmEvent(
        build_id=s.identifier(build),
        seq=number,
        type=kind,
        at=s.at(number),
        data=data,
        id=str(number),
        project="shop",
        pool="linux",
    )


class Producer:
    """Tells what is put into it; a list of builds is empty."""

    def __init__(self) -> None:
        self.stream: asyncio.Queue[FarmEvent | StreamReset | BuildyardError] = asyncio.Queue()
        self.asked: list[str] = []
        self.types: frozenset[str] = frozenset()

    async def farm_events(
        self, *, types: Iterable[EventType] = (), after: str = ""
    ) -> AsyncGenerator[FarmEvent | StreamReset]:
        self.asked.append(after)
        self.types = frozenset(types)
        while True:
            one = await self.stream.get()
            if isinstance(one, BuildyardError):
                raise one
            yield one

    async def builds(
        self, *, status: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> BuildList:
        assert (status, cursor) != ("", "")
        return BuildList(builds=()[:limit], next_cursor=None)

    async def build(self, build_id: str) -> BuildStatus:
        raise NotFound(f"There is no build {build_id}.")


class Case:
    def __init__(self) -> None:
        self.producer = Producer()
        self.outbox = Outbox()
        self.clock = FakeClock()
        self.builds = BuildReads(self.producer, self.clock, 100)
        self.hurries: list[bool] = []
        producer = cast("ProducerClient", self.producer)
        self.follower = FarmFollower(producer, self.outbox, self.builds, self.hurries.append)

    @property
    def every(self) -> float:
        """Seconds between two looks at the newest builds."""
        return self.builds.reads()[0].every

    async def events(self) -> list[e.BuildChanged]:
        return [one for one in await self.outbox.take() if isinstance(one, e.BuildChanged)]

    @asynccontextmanager
    async def followed(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self.follower.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_an_event_is_told_with_its_project_at_once_and_lists_are_left_alone(monkeypatch: Any) -> None:
    monkeypatch.setattr(happenings, "_SETTLED_SECONDS", 0.01)
    case = Case()
    assert case.every == 1.0
    async with case.followed():
        await until(lambda: case.every == 15.0)
        assert case.hurries == [False], "all lists are read once more when the stream begins"
        case.producer.stream.put_nowait(told(1, 1, "build_received"))
        store = Store()
        for event in await case.events():
            store.apply(event)
        row = store.builds[s.identifier(1)]
        assert (row.status, row.project, row.pool) == ("Received", "shop", "linux")
    assert case.every == 1.0, "without the stream lists are polled"
    assert "log_stored" not in case.producer.types
    assert case.producer.types == set(TYPES)


async def test_it_goes_on_after_the_last_event_and_anew_where_the_place_is_not_known(monkeypatch: Any) -> None:
    monkeypatch.setattr(happenings, "_PAUSE_SECONDS", 0.0)
    case = Case()
    async with case.followed():
        for one in (told(7, 1, "build_queued"), ProducerUnavailable("It is away.", retry_after=0.1)):
            case.producer.stream.put_nowait(one)
        await until(lambda: len(case.producer.asked) == 2)
        case.producer.stream.put_nowait(StreamReset(reason="Another database."))
        case.producer.stream.put_nowait(ProducerUnavailable("It is away.", retry_after=0.1))
        await until(lambda: len(case.producer.asked) == 3)
    assert case.producer.asked == ["", "7", ""]


async def test_a_producer_without_the_stream_is_polled(monkeypatch: Any) -> None:
    monkeypatch.setattr(happenings, "_SETTLED_SECONDS", 0.01)
    case = Case()
    case.producer.stream.put_nowait(NotFound("There is nothing here."))
    async with case.followed():
        await until(lambda: case.producer.asked and case.producer.stream.empty())
        await asyncio.sleep(0.05)
        assert case.every == 1.0
        assert len(case.producer.asked) == 1, "it is not asked again and again"


async def test_what_an_event_does_not_tell_is_read(monkeypatch: Any) -> None:
    monkeypatch.setattr(happenings, "_SETTLED_SECONDS", 0.01)
    case = Case()
    async with case.followed():
        await until(lambda: case.every == 15.0)
        for read in case.builds.reads():
            read.started = case.clock.monotonic()
            read.due = read.started + read.every
        case.clock.seconds += 3
        case.hurries.clear()
        case.producer.stream.put_nowait(told(1, 5, "build_received"))
        await until(lambda: len(case.hurries) == 1)
        newest, _, _, unseen, _ = case.builds.reads()
        assert newest.due <= case.clock.monotonic(), "a build that is not known: the list has the rest of it"
        case.producer.stream.put_nowait(told(2, 5, "build_reprioritised", priority="High"))
        await until(lambda: len(case.hurries) == 2)
        assert unseen.due <= case.clock.monotonic()
        assert [type(event) for event in await unseen.call()] == [e.BuildGone]
        case.producer.stream.put_nowait(told(3, 5, "build_dead"))
        await until(lambda: len(case.hurries) == 3)
        assert case.hurries == [False, False, True], "dead letters are read as well"


def test_events_of_a_burst_make_no_more_reads_than_polling_would() -> None:
    case = Case()
    case.builds.streamed(on=True)
    newest = case.builds.reads()[0]
    newest.started = case.clock.monotonic()  # it was read this moment
    newest.due = newest.started + newest.every
    hurried = [case.builds.told(told(number, 100 + number, "build_received")) for number in range(1, 50)]
    assert not any(hurried)
    assert newest.due == case.clock.monotonic() + 1.0
