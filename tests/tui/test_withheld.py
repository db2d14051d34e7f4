"""What a source does not tell, since one may not see it or it is another version's, is said and hides nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from buildyard import __version__
from buildyard.contracts.wire import rfc3339
from buildyard.errors import BuildyardError, Forbidden, NotFound, ProducerUnavailable
from tests.tui import samples as s
from tests.tui.app.farms import Told, dashboard_of, ready, screen_text, seen
from tests.tui.test_connections import HandClock, link
from tests.tui.test_sources import reading, until
from tui.app import FarmApp
from tui.panels import panel_state
from tui.source.link import STALE_SECONDS
from tui.source.live import LiveSource
from tui.source.outbox import Outbox
from tui.source.poller import Poller, Read
from tui.state import Store
from tui.state import events as e

REFUSED = Forbidden("Only operators may see agents.", remedy="Ask one for a token.")


def part(name: str = "producer/agents", *, forbidden: bool = True, cause: str = "Only operators may.") -> e.PartSeen:
    return e.PartSeen("producer", s.at(9), name, cause, "Ask one for a token.", forbidden=forbidden)


# ---------------------------------------------------------------- reading


def misread() -> BuildyardError:
    error = ProducerUnavailable("They do not understand each other.")
    error.__cause__ = ValueError("another shape")
    return error


@pytest.mark.parametrize(
    ("error", "forbidden"), [(REFUSED, True), (NotFound("There is no such thing here."), False), (misread(), False)]
)
async def test_a_read_that_is_refused_is_told_once_and_told_again_when_it_is_not(
    error: BuildyardError, forbidden: bool
) -> None:
    outbox, one, clock = Outbox(), link(), HandClock()
    one.succeeded(s.at(0))
    failing = [True]
    asked: list[int] = []

    async def call() -> Sequence[e.Event]:
        asked.append(1)
        if failing[0]:
            raise error
        return ()

    poller = Poller(one, outbox, clock, [Read("agents", 1.0, call)], ProducerUnavailable)
    task = asyncio.create_task(poller.run())
    told = (await outbox.take())[0]
    assert isinstance(told, e.PartSeen)
    assert (told.part, told.cause, told.forbidden) == ("producer/agents", str(error), forbidden)
    assert one.connection(clock.now()) == "connected", "the server is well"

    failing[0] = False
    one.succeeded(s.at(40))
    clock.seconds = 40
    poller.retry_now()
    assert await outbox.take() == (e.PartSeen("producer", s.at(40), "producer/agents"),)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(asked) == 2


async def test_a_server_that_refuses_nearly_all_is_asked_often_enough_to_be_known_as_well() -> None:
    outbox, one, clock = Outbox(), link(), HandClock()
    one.succeeded(s.at(0))

    async def refuse() -> Sequence[e.Event]:
        raise REFUSED

    async def health() -> Sequence[e.Event]:
        return ()

    reads = [Read("agents", 1.0, refuse), Read("health", 5.0, health, due=99.0)]
    task = asyncio.create_task(Poller(one, outbox, clock, reads, ProducerUnavailable).run())
    await outbox.take()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert reads[1].every < STALE_SECONDS


async def test_a_server_of_which_nothing_is_understood_is_no_farm() -> None:
    outbox, one, clock = Outbox(), link(), HandClock()
    failed = asyncio.Event()

    async def call() -> Sequence[e.Event]:
        failed.set()
        raise misread()

    task = asyncio.create_task(Poller(one, outbox, clock, [Read("pools", 1.0, call)], ProducerUnavailable).run())
    await failed.wait()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert one.connection(clock.now()) == "down"
    assert one.seen(clock.now()).cause == "They do not understand each other."


def test_the_store_knows_what_is_withheld_until_it_is_told_again() -> None:
    store = Store()
    assert store.apply(part()) == {("source", "producer")}
    assert store.withheld["producer/agents"].remedy == "Ask one for a token."
    store.apply(e.PartSeen("producer", s.at(10), "producer/agents"))
    assert not store.withheld
    for number in range(500):
        store.apply(part(f"log/build/{number}"))
    assert len(store.withheld) <= 100


# ---------------------------------------------------------------- showing


def test_a_panel_without_data_says_why_and_one_with_data_keeps_them() -> None:
    known = {"producer": seen("producer", "connected", s.at(9))}
    read: tuple[e.SourceName, ...] = ("producer",)
    instead = panel_state(read, known, s.at(9), loaded=False, withheld=[part()])
    assert (instead.condition, instead.word) == ("withheld", "NOT PERMITTED")
    assert [text for text, _ in instead.lines][:2] == [
        "You may not see this: Only operators may.",
        "Ask one for a token.",
    ]
    older = panel_state(read, known, s.at(9), loaded=False, withheld=[part(forbidden=False, cause="404.")])
    assert older.word == "NOT TOLD"
    assert "buildyard doctor" in " ".join(text for text, _ in older.lines)
    beside = panel_state(read, known, s.at(9), withheld=[part()])
    assert (beside.condition, beside.word, beside.lines) == ("partly", "in part: Only operators may.", ())
    down = {"producer": seen("producer", "down", s.at(9), silent=20.0)}
    assert panel_state(read, down, s.at(9), withheld=[part()]).condition == "down"


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_what_one_may_not_see_is_said_in_its_panel_and_in_the_attention_list(size: tuple[int, int]) -> None:
    well = [seen("producer", "connected", s.at(9)), seen("scaler", "connected", s.at(9))]
    pools, builds = e.PoolsSeen(s.at(9), (s.pool(),)), e.BuildsSeen(s.at(9), (s.summary(1),))
    app = dashboard_of(*well, pools, builds, part(), part("scaler/workers"), part("log/agent/x"), now=s.at(9))
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        text = screen_text(app)
        assert "producer, in part: Only operators may." in text
        assert "linux" in text, "the others go on"
        await pilot.press("4")
        await ready(pilot)
        assert "You may not see this: Only operators may." in screen_text(app)
        assert "Ask one for a token." in screen_text(app)
        assert isinstance(app.source, Told)
        agents = e.AgentsSeen(s.at(10), (s.agent("linux-1-1"),))
        app.source.tell(e.PartSeen("producer", s.at(10), "producer/agents"), agents)
        await ready(pilot)
        assert "linux-1-1" in screen_text(app)
        assert "You may not see this" not in screen_text(app)


async def test_a_log_that_one_may_not_read_says_so_in_place_of_its_lines() -> None:
    well = [seen("producer", "connected", s.at(9)), seen("scaler", "connected", s.at(9))]
    agents = e.AgentsSeen(s.at(9), (s.agent("linux-1-1"),))
    stream = e.part_of_log(e.log_of_agent("linux-1-1"))
    app = dashboard_of(*well, agents, part(stream, cause="You may not read logs."), now=s.at(9))
    async with app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        await pilot.press("4")
        await ready(pilot)
        assert "You may not see this: You may not read logs." in screen_text(app)
        assert "NOT PERMITTED" in screen_text(app)


# ---------------------------------------------------------------- servers of other versions


@asynccontextmanager
async def server(answers: dict[str, object], version: str) -> AsyncIterator[str]:
    """A server that answers these paths, and 404 to all others."""
    health = {"status": "ok", "version": version, "checks": []}
    told = {"/healthz": health, "/api/v1/health": health, **answers}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode().split("?")[0]
            found = told.get(path)
            status = "200 OK" if found is not None else "404 Not Found"
            body = json.dumps({"detail": "Not Found"} if found is None else found).encode()
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
            await writer.drain()
        finally:
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def wire(value: object) -> dict[str, object]:
    told: dict[str, object] = value.model_dump(mode="json", by_alias=True)  # type: ignore[attr-defined]
    return told


async def test_an_older_farm_tells_what_it_has_and_the_rest_is_said_to_be_missing() -> None:
    pools, builds = (
        {"pools": [wire(s.pool())], "at": rfc3339(s.at(0))},
        {"builds": [wire(s.summary(1))], "nextCursor": None},
    )
    store = Store()
    async with (
        server({"/api/v1/pools": pools, "/api/v1/builds": builds}, "0.0.1") as url,
        reading(LiveSource(url, url), store) as news,
    ):
        await until(lambda: bool(store.pools) and bool(store.builds), news)
        await until(lambda: {"producer/agents", "producer/dead", "scaler/workers"} <= store.withheld.keys(), news)
        assert store.sources["producer"].connection == "connected"
        assert not store.withheld["producer/agents"].forbidden


async def test_a_newer_farm_is_read_as_far_as_it_is_understood() -> None:
    later = {**wire(s.summary(1)), "status": "Hibernating", "mood": "good"}
    pools = {"pools": [{**wire(s.pool()), "colour": "blue"}], "at": rfc3339(s.at(0)), "page": 1}
    answers = {
        "/api/v1/pools": pools,
        "/api/v1/builds": {"builds": [later], "nextCursor": None},
        "/api/v1/agents": {"workers": []},
    }
    store = Store()
    async with server(answers, "99.0.0") as url, reading(LiveSource(url, url), store) as news:
        await until(lambda: bool(store.pools) and bool(store.builds), news)
        assert store.builds[s.identifier(1)].status == "Hibernating"
        await until(lambda: "producer/agents" in store.withheld, news)
        cause = store.withheld["producer/agents"].cause
        assert "99.0.0" in cause
        assert __version__ in cause
        assert "do not understand each other" in cause


async def test_a_server_that_knows_none_of_the_paths_is_no_farm() -> None:
    store = Store()
    none: dict[str, object] = {"/healthz": None, "/api/v1/health": None}
    async with server(none, "1") as url, reading(LiveSource(url, url), store) as news:
        await until(lambda: {one.connection for one in store.sources.values()} == {"down"}, news)
        assert "answers with the status 404" in store.sources["producer"].cause
        assert not store.withheld


async def test_something_else_at_the_address_is_said_to_be_no_farm() -> None:
    store = Store()
    pages: dict[str, object] = dict.fromkeys(
        ("/healthz", "/api/v1/health", "/api/v1/pools", "/workers"), "<html>Welcome</html>"
    )
    async with server(pages, "") as url, reading(LiveSource(url, url), store) as news:
        await until(lambda: {one.connection for one in store.sources.values()} == {"down"}, news)
        assert "answers, but not as Buildyard's producer does" in store.sources["producer"].cause
        app = FarmApp(Told((store.sources["producer"], store.sources["scaler"]), s.at(0)))
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            assert "never connected" in screen_text(app)
            assert "not as Buildyard's producer does" in screen_text(app)
