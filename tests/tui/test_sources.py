"""One suite for all sources: a live farm, a recording and the demo have one shape and keep the same promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from buildyard.clock import SystemClock
from tests.journey.yard import PATIENCE, Yard, make_project, open_yard
from tests.servers import need
from tests.tui import samples as s
from tui.recording import Recorder, decoded, encoded, opened
from tui.source import Interest, Seekable, Source
from tui.source.demo import DemoSource
from tui.source.demo.source import START
from tui.source.live import LiveSource
from tui.source.replay import Replay
from tui.state import Store
from tui.state import events as e

pytestmark = [pytest.mark.asyncio(loop_scope="module")]
LINES = 300


@dataclass
class Case:
    """A kind of source: how one is made, and a log that it can tell of."""

    make: Callable[[], Source]
    stream: str
    build: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def yard(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Yard]:
    need("make")
    async with open_yard(tmp_path_factory.mktemp("yard"), {}) as yard:
        yield yard


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["live", "replay", "demo"])
async def case(request: pytest.FixtureRequest, yard: Yard, tmp_path_factory: pytest.TempPathFactory) -> Case:
    if request.param == "live":
        build = await yard.submit(
            make_project(
                f"echo 'main.c:3:5: warning: unused [-Wunused]'; for i in $$(seq {LINES}); do echo line $$i; done"
            )
        )
        await yard.end(build)
        return Case(lambda: LiveSource(yard.farm.api_url, yard.farm.scaler_url), e.log_of_build(build), build)
    if request.param == "replay":
        path, build = _recorded(tmp_path_factory.mktemp("tape") / "x.farm")
        tape = opened(path)
        return Case(lambda: _fast(Replay(tape)), e.log_of_build(build), build)
    build = _running(DemoSource(5, past=100))
    return Case(lambda: DemoSource(5, past=100, speed=20), e.log_of_build(build), build)


def _running(source: DemoSource) -> str:
    """A build of the story that runs for a while."""
    for _ in range(4):
        source.next_second()
    return min(build.id for build in source._farm.builds.values() if build.status == "Running" and not build.cursed)


def _recorded(path: Path) -> tuple[Path, str]:
    build = _running(DemoSource(5, past=100))
    source = DemoSource(5, past=100)
    source.watch(Interest(frozenset({build}), frozenset({e.log_of_build(build)})))
    with path.open("wb") as file, Recorder(file, START, "demo") as recorder:
        for event in (*source._sources(), *source._farm.past()):
            recorder.add(event, START)
        for _ in range(60):
            for event in source.next_second():
                recorder.add(event, source._farm.now)
    return path, build


def _fast(replay: Replay) -> Replay:
    replay.speed(40)
    return replay


@asynccontextmanager
async def reading(source: Source, store: Store) -> AsyncIterator[asyncio.Event]:
    """Read a source into a store, as the app does; the event is set with each batch."""
    news = asyncio.Event()

    async def read() -> None:
        async for events in source.batches():
            for event in events:
                store.apply(event)
            news.set()

    async with source:
        task = asyncio.create_task(read())
        yield news
    await asyncio.wait_for(task, 60)


async def until(condition: Callable[[], bool], news: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            news.clear()
            await news.wait()


async def test_a_source_has_the_one_shape(case: Case) -> None:
    source = case.make()
    assert isinstance(source, Source)
    assert source.title
    assert isinstance(source, Seekable) == isinstance(source, Replay)


async def test_it_tells_how_its_connections_are_and_what_there_is(case: Case) -> None:
    store = Store()
    async with reading(case.make(), store) as news:
        await until(lambda: len(store.sources) == 2 and bool(store.builds and store.pools and store.decisions), news)
        await until(lambda: {one.connection for one in store.sources.values()} == {"connected"}, news)
        await until(lambda: store.dead_known and case.build in store.builds, news)
        assert all(one.address for one in store.sources.values())
        assert store.pools["linux"].ready is not None
        assert store.passed_over == 0


async def test_what_is_looked_at_is_told_in_full_with_every_line_of_its_log(case: Case) -> None:
    store = Store()
    source = case.make()
    source.watch(Interest(frozenset({case.build}), frozenset({case.stream})))
    async with reading(source, store) as news:
        await until(lambda: case.build in store.details, news)
        await until(lambda: (stream := store.logs.get(case.stream)) is not None and stream.ended, news)
        await until(lambda: store.builds[case.build].ended, news)
        lines = [item for item in store.logs[case.stream].read().items if isinstance(item, e.LogLine)]
        numbers = [line.n for line in lines]
        assert numbers == list(range(1, len(numbers) + 1))
        assert store.logs[case.stream].missing == 0
        await until(lambda: case.build in store.artifacts or store.builds[case.build].status != "Succeeded", news)
        await until(lambda: bool(store.diagnostics.get(case.build)), news)
        assert all(one.place.count(":") == 2 for one in store.diagnostics[case.build])


async def test_what_is_not_looked_at_any_more_is_told_no_more(case: Case) -> None:
    store = Store()
    source = case.make()
    if isinstance(source, Replay):
        return  # what is on a tape is on it
    source.watch(Interest(logs=frozenset({case.stream})))
    source.watch(Interest())
    async with reading(source, store) as news:
        await until(lambda: bool(store.pools and store.decisions), news)
        assert store.logs.names() == ()


async def test_whatever_it_tells_can_be_recorded(case: Case) -> None:
    seen: set[type] = set()
    async with asyncio.timeout(PATIENCE), case.make() as source:
        async for events in source.batches():
            for event in events:
                line = encoded(event, 0)
                assert encoded(decoded(line)[1] or e.LogEnded(""), 0) == line
                seen.add(type(event))
            if {e.SourceSeen, e.PoolsSeen, e.AgentsSeen, e.DecisionsSeen, e.BuildsSeen} <= seen:
                return


async def test_its_time_never_goes_back(case: Case) -> None:
    store = Store()
    source = case.make()
    async with reading(source, store) as news:
        before = source.now()
        await until(lambda: bool(store.pools), news)
        assert source.now() >= before


async def test_it_ends_at_once_and_leaves_nothing_behind(case: Case) -> None:
    before = asyncio.all_tasks()
    store = Store()
    source = case.make()
    source.watch(Interest(frozenset({case.build}), frozenset({case.stream, "agent/linux-1-1"})))
    async with reading(source, store) as news:
        await until(lambda: bool(store.pools), news)
    assert asyncio.all_tasks() == before


async def test_a_farm_that_is_not_there_is_told_as_one_and_nothing_waits_for_it() -> None:
    store = Store()
    async with AsyncExitStack() as stack:
        source = LiveSource("http://127.0.0.1:9", "http://127.0.0.1:9")
        source.watch(Interest(frozenset({s.identifier(1)}), frozenset({"build/" + s.identifier(1), "agent/linux-1-1"})))
        news = await stack.enter_async_context(reading(source, store))
        await until(lambda: {one.connection for one in store.sources.values()} == {"down"}, news)
        seen = store.sources["producer"]
        assert seen.last_ok is None
        assert "127.0.0.1:9" in seen.cause
        assert "BUILDYARD_API_URL" in seen.remedy
        assert seen.retry_at is not None
        source.retry_now()


async def test_a_wrong_token_is_told_as_one() -> None:
    body = b'{"title": "Unauthorized", "status": 401, "detail": "The token is wrong.", "code": "unauthorized"}'
    head = f"HTTP/1.1 401 Unauthorized\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    store = Store()
    async with server, reading(LiveSource(url, url, "wrong"), store) as news:
        await until(lambda: {one.connection for one in store.sources.values()} == {"down"}, news)
        assert store.sources["producer"].cause == "The token is wrong."


async def test_a_reader_that_is_slow_loses_no_line_and_no_decision(yard: Yard) -> None:
    build = await yard.submit(make_project("for i in $$(seq 20000); do echo line $$i; done"))
    await yard.end(build)
    stream = e.log_of_build(build)
    store = Store()
    source = LiveSource(yard.farm.api_url, yard.farm.scaler_url)
    source.watch(Interest(logs=frozenset({stream}), tail=10**6))
    async with source:
        batches = source.batches()
        async with asyncio.timeout(PATIENCE):
            while (log := store.logs.get(stream)) is None or not log.ended:
                await asyncio.sleep(0.1)  # the time that a slow reader takes
                for event in await anext(batches):
                    assert not isinstance(event, e.LogSeen) or len(event.lines) < 20_000
                    store.apply(event)
    assert store.logs[stream].missing == 0
    assert store.logs[stream].received >= 20_000
    numbers = sorted(store.decisions)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


async def test_the_same_seed_tells_the_same_story_whatever_the_steps() -> None:
    one, other = DemoSource(9, past=50), DemoSource(9, past=50)
    first = [one.next_second() for _ in range(8)]
    assert [other.next_second() for _ in range(8)] == first
    assert [DemoSource(10, past=50).next_second() for _ in range(8)] != first


async def test_the_demo_has_bursts_failures_dead_letters_and_a_broker_that_is_away() -> None:
    source, store = DemoSource(1, past=500), Store()
    codes: set[str] = set()
    connections: set[str] = set()
    ready: list[int] = []
    started = 0
    for _ in range(225):
        source._farm.step()
        ready.append(len(source._farm.queues["linux"]))
        started = max(started, *(len(names) for names in source._farm.started.values()), 0)
    for _ in range(95):
        for event in source.next_second():
            store.apply(event)
        codes |= {row.decision.code for row in store.pools.values() if row.decision}
        connections.add(store.sources["scaler"].connection)
        ready.append(store.pools["linux"].ready or 0)
    statuses = {row.status for row in store.builds.values()}
    assert {"unknown_count", "at_maximum"} <= codes
    assert started == 5
    assert {"Queued", "Running", "Succeeded", "Failed"} <= statuses
    assert connections == {"connected", "stale", "down"}
    assert max(ready) > 150
    assert store.dead
    assert len(store.agents) > 300


async def test_a_tape_can_be_scrubbed() -> None:
    clock = SystemClock()
    told: list[tuple[int, e.Event]] = [
        (n * 1000, e.LogSeen("build/x", (e.LogLine(f"line {n}", n),))) for n in range(1, 101)
    ]
    replay = Replay(_Tape(told), clock)  # type: ignore[arg-type]
    replay.pause(paused=True)
    store = Store()
    generation = replay.generation
    async with asyncio.timeout(PATIENCE), replay:
        batches = replay.batches()

        async def go_to(second: int) -> int:
            nonlocal store, generation
            replay.seek(s.at(second))
            if replay.generation != generation:
                generation, store = replay.generation, Store()
            while (log := store.logs.get("build/x")) is None or log.last_number < second:
                for event in await anext(batches):
                    store.apply(event)
            assert replay.now() == s.at(second)
            return store.logs["build/x"].last_number

        assert await go_to(40) == 40
        assert await go_to(90) == 90
        assert generation == 0
        assert await go_to(10) == 10
        assert generation == 1
        replay.seek(s.at(500))
        assert replay.now() == s.at(100)
        assert replay.paused


class _Tape:
    """As much of a recording as a replay needs."""

    damage = ""
    span = (s.at(0), s.at(100))

    def __init__(self, told: list[tuple[int, e.Event]]) -> None:
        self._told = told
        self.header = type("Header", (), {"title": "tape"})

    def since(self, milliseconds: int, *, target: float = 0) -> object:
        assert target >= 0
        return iter([one for one in self._told if one[0] >= milliseconds])
