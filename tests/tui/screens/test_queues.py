"""The screens of pools, queues and dead letters."""

from __future__ import annotations

from textual.pilot import Pilot

from buildyard.contracts.scaling import Reading, Trust
from tests.tui.app.coverage import covers
from tests.tui.app.farms import Told, dashboard_of, ready, screen_text, seen
from tests.tui.samples import at, decision, identifier, letter, summary
from tests.tui.screens.builds_farm import FAILED, NOW, QUEUED, connected, farm, pool
from tui.app import FarmApp
from tui.screens.builds_detail import BuildScreen
from tui.screens.queues import QueuesScreen
from tui.screens.queues_detail import QueueScreen
from tui.screens.queues_facts import pool_chart, pool_facts
from tui.screens.queues_table import PoolLines, pool_columns, pool_line
from tui.state import Ref, Store
from tui.state.events import BuildsSeen, DeadSeen, DecisionsSeen, Event, PoolsSeen, WorkersSeen

HOSTILE = "\x1b]52;c;aGk=\x07[/x][red]\u202e"


def reading(value: int | None, trust: Trust = Trust.TRUSTED, **more: object) -> Reading:
    return Reading.model_validate({"value": value, "source": "broker", "age_seconds": 1.0, "trust": trust, **more})


def counted(**readings: Reading) -> WorkersSeen:
    told = {"ready": reading(3), "leases": reading(1), "queueReady": reading(3), "queueUnacked": reading(1)}
    return WorkersSeen(NOW, (), {"linux": {**told, **readings}})


def store_of(*events: object) -> Store:
    store = Store()
    for one in events:
        store.apply(one)
    return store


def cells(store: Store, name: str = "linux") -> dict[str, str]:
    row = PoolLines(lambda: store, lambda: NOW).row(name)
    return {column.name: column.cell(row).text for column in pool_columns()}


def said(store: Store, name: str = "linux") -> str:
    return "\n".join(f"{fact.label} {fact.text}" for fact in pool_facts(store, name, NOW))


# ---------------------------------------------------------------- values


def test_a_pool_tells_its_counts_how_far_they_are_believed_and_how_old_they_are() -> None:
    shown = cells(store_of(*farm(), counted()))
    assert shown == {
        "state": "✓ Open",
        "pool": "linux",
        "ready": "3",
        "unacked": "1",
        "oldest": "12s",
        "trust": "✓ Trusted",
        "read": "1s",
        "agents": "1/1",
        "wanted": "2",
        "dead": "0",
        "reason": "So.",
    }


def test_what_nobody_counted_is_a_question_mark_and_never_nought() -> None:
    only_decided = store_of(*connected(), DecisionsSeen((decision(1, known=False),)))
    shown = cells(only_decided)
    assert [shown[name] for name in ("ready", "unacked", "oldest", "read", "agents", "wanted", "dead")] == ["?"] * 7
    assert shown["state"] == "? Unknown"
    assert shown["trust"] == "? Unknown"
    assert "The producer has not told of this pool" in said(only_decided)
    uncounted = store_of(*farm(), counted(queueUnacked=reading(None, Trust.UNKNOWN, cause="The broker is away.")))
    assert cells(uncounted)["unacked"] == "?"
    assert cells(uncounted)["trust"] == "? Unknown"
    assert "? unacknowledged, broker, 1s ago" in said(uncounted)
    assert "The broker is away." in said(uncounted)
    assert "Nothing is known of a pool mars" in said(uncounted, "mars")


def test_readings_of_a_scaler_that_is_silent_are_stale_and_grow_old() -> None:
    store = store_of(*farm(), counted(), seen("scaler", "stale", NOW, silent=42))
    line = pool_line(store, "linux", NOW)
    assert line.trust == "Stale"
    assert cells(store)["read"] == "43s"
    assert "◔ Stale 3 ready jobs, broker, 43s ago" in said(store)


def test_a_paused_pool_tells_since_when_by_whom_and_why() -> None:
    store = store_of(*farm(), PoolsSeen(at(95), (pool(paused=True),)))
    assert cells(store)["state"] == "‖ Paused"
    assert "why The disk is changed.\nby kim, for 1m00" in said(store)


def test_the_chart_has_the_counts_over_time_and_the_decisions_that_did_something() -> None:
    store = store_of(*farm(), DecisionsSeen(tuple(decision(n) for n in range(2, 60))))
    chart = pool_chart(store, "linux", NOW)
    assert [mark.at for mark in chart.marks] == [at(1).timestamp()]
    assert chart.end == NOW.timestamp()
    assert len(chart.samples) > 50
    assert pool_chart(store, "mars", NOW).samples == []


# ---------------------------------------------------------------- screens


async def queues(pilot: Pilot[None]) -> tuple[FarmApp, QueuesScreen]:
    """The list of pools, drawn."""
    app = await ready(pilot)
    app.open_screen("queues")
    await pilot.pause()
    await ready(pilot)
    screen = app.farm_screen
    assert isinstance(screen, QueuesScreen)
    return app, screen


async def queue(pilot: Pilot[None], name: str = "linux") -> tuple[FarmApp, QueueScreen]:
    """One pool, drawn."""
    app = await ready(pilot)
    app.go_to(Ref("pool", name))
    await pilot.pause()
    await ready(pilot)
    screen = app.farm_screen
    assert isinstance(screen, QueueScreen)
    return app, screen


def with_letters() -> tuple[Event, ...]:
    other = letter(5, "windows").model_copy(update={"reason": HOSTILE, "project_name": HOSTILE, "reason_code": HOSTILE})
    pools = PoolsSeen(at(95), (pool(), pool(name="windows", ready=0, busy=0)))
    return (*farm(), pools, counted(), DeadSeen(at(96), (letter(FAILED), other), more=True))


async def test_dead_letters_are_listed_with_attempts_and_reason_and_open_as_builds() -> None:
    async with dashboard_of(*with_letters(), now=at(99)).run_test(size=(160, 45)) as pilot:
        app, screen = await queues(pilot)
        text = screen_text(app)
        assert "Dead letters 2 or more" in text
        [row] = [line for line in text.splitlines() if "worker_lost" in line]
        assert row.split() == [">", "✗", "Failed", "p", "linux", "3", "1m30", "worker_lost", "lost"]
        assert "[/x][red]" in text
        assert "\x1b" not in text
        await pilot.press("tab", "tab")
        assert screen.panel is screen.dead_panel
        assert screen.cursor_ref() == Ref("dead", identifier(FAILED))
        await pilot.press("enter")
        await pilot.pause()
        await ready(pilot)
        assert isinstance(app.farm_screen, BuildScreen)
        assert app.farm_screen.build_id == identifier(FAILED)
        assert "after 3 attempts: it waits for a person" in app.farm_screen.facts.text


async def test_a_dead_letter_that_was_dealt_with_leaves_the_list() -> None:
    async with dashboard_of(*with_letters(), now=at(99)).run_test(size=(80, 24)) as pilot:
        app, screen = await queues(pilot)
        app.go_to(Ref("dead", identifier(5)))
        await pilot.pause()
        await ready(pilot)
        assert screen.panel is screen.dead_panel
        assert screen.dead.cursor == identifier(5)
        source = app.source
        assert isinstance(source, Told)
        source.tell(DeadSeen(at(98), (letter(FAILED),)))
        await ready(pilot)
        assert screen.dead.cursor == identifier(FAILED)
        source.tell(DeadSeen(at(99), ()))
        await ready(pilot)
        assert "No dead letters: nothing waits for a person." in screen_text(app)
        assert screen.cursor_ref() is None


async def test_without_pools_the_list_says_where_they_come_from() -> None:
    async with dashboard_of(*connected(), PoolsSeen(at(1), ()), now=NOW).run_test(size=(60, 15)) as pilot:
        app, screen = await queues(pilot)
        assert "No pools. The producer reads them from POOLS_FILE." in screen_text(app)
        assert screen.cursor_ref() is None
        screen.pools.set_filter("pool:x")
        await pilot.press("J", "enter", "escape")


@covers("look.details")
async def test_enter_opens_a_pool_with_its_builds_and_its_dead_letters() -> None:
    async with dashboard_of(*with_letters(), now=at(99)).run_test(size=(160, 45)) as pilot:
        app, _ = await queues(pilot)
        await pilot.press("enter")
        await pilot.pause()
        await ready(pilot)
        screen = app.farm_screen
        assert isinstance(screen, QueueScreen)
        assert screen.pool == "linux"
        text = screen_text(app)
        assert "Waiting and running 2" in text
        assert "project-3" in text
        assert "project-1 " not in text
        assert "Dead letters 1 or more" in text
        await pilot.press("tab")
        assert screen.cursor_ref() == Ref("build", identifier(2))  # the oldest, and of two equals the first told
        await pilot.press("d")
        await pilot.pause()
        assert isinstance(app.farm_screen, BuildScreen)


async def test_a_build_that_ends_leaves_its_pools_list() -> None:
    async with dashboard_of(*with_letters(), now=at(99)).run_test(size=(160, 45)) as pilot:
        app, screen = await queue(pilot)
        assert screen.builds.total == 2
        source = app.source
        assert isinstance(source, Told)
        source.tell(BuildsSeen(at(97), (summary(QUEUED, "Cancelled"), summary(8), summary(9, pool="windows"))))
        await ready(pilot)
        assert set(screen.builds.visible_keys()) == {identifier(2), identifier(8)}


async def test_where_there_is_little_room_one_panel_of_a_pool_is_shown_at_a_time() -> None:
    async with dashboard_of(*with_letters(), now=at(99)).run_test(size=(80, 24)) as pilot:
        app, screen = await queue(pilot)
        assert "intake     ✓ Open" in screen_text(app)
        assert "Waiting and running" not in screen_text(app)
        for shown in ("Waiting and running 2", "workers", "Dead letters 1 or more"):
            await pilot.press("tab")
            await ready(pilot)
            assert shown in screen_text(app)
        await pilot.press("tab", "G", "g", "j", "k")
        assert screen.panel is screen.facts_panel


async def test_a_scaler_that_is_silent_dims_the_pools_and_the_counts_stay() -> None:
    told = (*with_letters(), seen("scaler", "stale", at(99), silent=42))
    async with dashboard_of(*told, now=at(99)).run_test(size=(80, 24)) as pilot:
        app, screen = await queues(pilot)
        assert screen.pools_panel.has_class("-dim")
        assert not screen.dead_panel.has_class("-dim")
        text = screen_text(app)
        assert "STALE 42s" in text
        assert "◔ Stale" in text
        assert "43s" in text
