"""The dashboard's live source against a real farm whose producer and scaler are killed and come back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest
import pytest_asyncio

from buildyard.errors import BuildyardError
from tests.journey.yard import PATIENCE, Yard, make_project, open_yard
from tests.servers import need
from tui.source import Interest
from tui.source.live import LiveSource
from tui.state import Store
from tui.state import events as e

pytestmark = [pytest.mark.journey, pytest.mark.asyncio(loop_scope="module")]
LINES = 400
SLACK = 3
"""The promises are 5 s; a machine that does many things at once gets three times that."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def yard(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Yard]:
    need("make")
    async with open_yard(tmp_path_factory.mktemp("yard"), {}) as yard:
        yield yard


class Watched:
    """A live source, read as the app reads it, and when each connection changed."""

    def __init__(self, source: LiveSource) -> None:
        self.source = source
        self.store = Store()
        self.news = asyncio.Event()
        self.changes: list[tuple[float, str, str]] = []

    async def read(self) -> None:
        async for events in self.source.batches():
            for event in events:
                self.store.apply(event)
                if isinstance(event, e.SourceSeen):
                    self.changes.append((monotonic(), event.source, event.connection))
            self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.news.clear()
                await self.news.wait()

    async def connection(self, source: str, *wanted: str) -> float:
        """Wait until a source is in one of these states; when that was."""
        start = len(self.changes)
        await self.until(lambda: any(one[1] == source and one[2] in wanted for one in self.changes[start:]))
        return next(at for at, name, state in self.changes[start:] if name == source and state in wanted)


@asynccontextmanager
async def watched(yard: Yard) -> AsyncIterator[Watched]:
    source = LiveSource(yard.farm.api_url, yard.farm.scaler_url)
    it = Watched(source)
    async with source:
        task = asyncio.create_task(it.read())
        yield it
    await asyncio.wait_for(task, 60)


def pid_of(yard: Yard, part: str) -> int:
    pid = (yard.farm.producer if part == "producer" else yard.farm.scaler).pid
    assert pid is not None
    return pid


async def answers_again(yard: Yard) -> float:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await yard.producer.pools()
            except BuildyardError:
                await asyncio.sleep(0.05)
            else:
                return monotonic()


async def test_a_producer_that_is_killed_and_comes_back_costs_no_line_and_is_seen_in_time(yard: Yard) -> None:
    async with watched(yard) as it:
        build = await yard.submit(make_project(f"for i in $$(seq {LINES}); do echo line $$i; sleep 0.02; done"))
        stream = e.log_of_build(build)
        it.source.watch(Interest(frozenset({build}), frozenset({stream})))
        await it.until(lambda: (log := it.store.logs.get(stream)) is not None and log.received > LINES // 8)
        shown = it.store.builds[build]

        killed = monotonic()
        os.kill(pid_of(yard, "producer"), signal.SIGKILL)
        stale = await it.connection("producer", "stale", "down")
        assert stale - killed < 5 * SLACK
        assert it.store.builds[build].id == shown.id, "what was known stays"
        assert it.store.sources["producer"].cause
        back = await answers_again(yard)
        live = await it.connection("producer", "connected")
        assert live - back < 5 * SLACK

        await it.until(lambda: it.store.logs[stream].ended and it.store.builds[build].ended)
        log = it.store.logs[stream]
        kept = [item.text for item in log.read().items if isinstance(item, e.LogLine)]
        whole = (await yard.log(build)).split("\n")
        assert len(kept) + log.missing == len(whole)
        assert kept == whole
        assert any(not isinstance(item, e.LogLine) for item in log.read().items), "the seam is shown"
        assert it.store.builds[build].status == "Succeeded"


async def test_a_producer_that_hangs_is_stale_soon_and_live_soon_after(yard: Yard) -> None:
    async with watched(yard) as it:
        await it.until(lambda: len(it.store.pools) > 0 and len(it.store.decisions) > 0)
        await it.until(lambda: {one.connection for one in it.store.sources.values()} == {"connected"})
        pid = pid_of(yard, "producer")
        frozen = monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            stale = await it.connection("producer", "stale")
            assert stale - frozen < 5 * SLACK, it.changes[-40:]
            await it.until(lambda: it.store.sources["scaler"].connection == "connected")  # it may look late here too
        finally:
            os.kill(pid, signal.SIGCONT)
        thawed = monotonic()
        assert await it.connection("producer", "connected") - thawed < 5 * SLACK

        os.kill(pid_of(yard, "scaler"), signal.SIGKILL)
        await it.connection("scaler", "stale", "down")
        await it.connection("scaler", "connected")
        newest = max(it.store.decisions)
        await it.until(lambda: max(it.store.decisions) > newest)


async def test_an_agents_own_log_is_followed_and_found_again_after_the_scaler_was_away(
    yard: Yard, tmp_path: Path
) -> None:
    async with watched(yard) as it:
        gate = tmp_path / "gate"
        build = await yard.submit(make_project(f"while ! test -e {gate}; do sleep 0.05; done"))
        await it.until(lambda: any(agent.build_id == build for agent in it.store.agents.values()))
        name = next(agent.name for agent in it.store.agents.values() if agent.build_id == build)
        stream = e.log_of_agent(name)
        it.source.watch(Interest(logs=frozenset({stream})))
        await it.until(lambda: it.store.logs.get(stream) is not None)
        os.kill(pid_of(yard, "scaler"), signal.SIGKILL)
        await it.connection("scaler", "stale", "down")
        await it.connection("scaler", "connected")
        before = it.store.logs[stream].received
        gate.touch()
        await yard.end(build)
        await it.until(lambda: it.store.logs[stream].received > before)
        log = it.store.logs[stream]
        lines = [item.text for item in log.read().items if isinstance(item, e.LogLine)]
        whole = (yard.folder / "data").rglob("agent.log")
        file = next(path for path in whole if path.parent.name == name)
        assert "\n".join(lines) in file.read_text(errors="replace")
        assert log.unknown_gaps == 0
