"""Agents: what is said of each, and the screens that show it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from textual.pilot import Pilot

from buildyard.contracts.agents import AgentHealth, AgentView, Capabilities
from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.scaling import PendingCode
from tests.tui import samples as s
from tests.tui.app.coverage import covers
from tests.tui.app.farms import dashboard, dashboard_of, ready, screen_text, seen
from tests.tui.test_safe_text import HOSTILE
from tests.tui.widgets.test_hostile_text import NEVER
from tui.app import FarmApp
from tui.screens.agents import AgentsScreen
from tui.screens.agents_detail import AgentScreen
from tui.screens.agents_facts import agent_facts, why
from tui.screens.agents_rows import AgentLine, AgentRows, agent_columns
from tui.state import Ref, Store
from tui.state import events as e
from tui.summary import concerns

Compare = Callable[..., bool]
NOW = s.at(60)


def store_of(*events: object) -> Store:
    store = Store()
    for event in events:
        store.apply(event)
    return store


def line_of(view: AgentView | None = None, worker: WorkerInfo | None = None) -> tuple[Store, AgentLine]:
    store = store_of(
        e.AgentsSeen(s.at(1), (view,) if view else ()), e.WorkersSeen(s.at(1), (worker,) if worker else ())
    )
    return store, AgentRows(store, lambda: NOW).row(next(iter(store.agents)))


def said(store: Store, line: AgentLine) -> str:
    return "\n".join(f"{fact.label}: {fact.text}" for fact in agent_facts(store, line))


def test_a_worker_that_has_not_joined_is_pending_with_its_age_in_words() -> None:
    worker = s.worker("linux-1-1", "Pending").model_copy(update={"age_seconds": 12.0, "detail": "It loads its tools."})
    store, line = line_of(worker=worker)
    assert why(line).startswith("It was started 12s ago, and has not joined yet.")
    assert "It loads its tools." in why(line)
    assert "does not know it: it has not joined" in said(store, line)


def test_a_worker_of_a_platform_tells_what_it_waits_for_its_phase_its_node_and_its_restarts() -> None:
    waits = {"pending_code": PendingCode.NO_NODE, "pending_reason": "No node has 64 cores.", "phase": "Pending"}
    worker = s.worker("linux-1-1", "Pending").model_copy(update={"age_seconds": 90.0, **waits})
    store, line = line_of(worker=worker)
    assert why(line) == "It was started 1m30 ago, and its platform has not begun to run it: No node has 64 cores."
    assert "phase: Pending" in said(store, line)
    assert "restarts" not in said(store, line)

    gone = s.worker("linux-1-1", "Exited").model_copy(update={"pending_code": PendingCode.IMAGE_PULL})
    assert why(line_of(worker=gone)[1]) == "It never began to run, and was taken away: image pull."

    runs = s.worker("linux-1-1", "Idle").model_copy(update={"phase": "Running", "node": "node-7", "restarts": 2})
    told = said(*line_of(worker=runs))
    assert all(text in told for text in ("phase: Running", "node: node-7", "restarts: 2"))


def test_workers_that_cannot_start_are_told_once_with_their_cause_where_one_looks_first() -> None:
    def pod(name: str, code: PendingCode) -> WorkerInfo:
        waits = {"pending_code": code, "pending_reason": "No node has 64 cores."}
        return s.worker(name, "Pending").model_copy(update=waits)

    starting = pod("linux-3-1", PendingCode.STARTING)
    pods = (pod("linux-1-1", PendingCode.NO_NODE), pod("linux-2-1", PendingCode.NO_NODE), starting)
    store = store_of(e.WorkersSeen(s.at(1), pods))
    (concern,) = concerns(store, NOW)
    assert concern.text == "agent linux-1-1 and 1 more cannot start: No node has 64 cores."
    assert concern.ref == Ref("agent", "linux-1-1")
    why_ = next(column for column in agent_columns() if column.name == "why")
    assert why_.cell(AgentRows(store, lambda: NOW).row("linux-2-1")).text == "No node has 64 cores."


def test_a_worker_that_joins_too_late_is_said_to_count_no_longer_as_on_its_way() -> None:
    _, line = line_of(worker=s.worker("linux-1-1", "Pending").model_copy(update={"age_seconds": 61.0}))
    assert "no longer counts as on its way" in why(line)


def test_a_draining_agent_says_who_asked_it_to_leave_and_that_it_finishes_its_build() -> None:
    view = s.agent("linux-1-1", 7, "Draining").model_copy(update={"reason": "maintenance"})
    _, line = line_of(view)
    assert "finishes the build it has" in why(line)
    assert "Asked to leave: maintenance" in why(line)


@pytest.mark.parametrize(
    ("code", "words"), [(0, "by itself, with exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-99, "the signal 99")]
)
def test_an_ended_process_tells_how_it_ended(code: int, words: str) -> None:
    _, line = line_of(worker=s.worker("linux-1-1", "Exited").model_copy(update={"exit_code": code}))
    assert words in why(line)


def test_a_state_of_a_newer_server_is_shown_as_it_is() -> None:
    store, line = line_of(s.agent("linux-1-1", state="Sleeping"))
    assert "does not know the state" in why(line)
    assert "Sleeping" in said(store, line)


def test_what_the_platform_does_not_tell_is_unknown_and_never_zero() -> None:
    store, line = line_of(s.agent("linux-1-1"))
    text = said(store, line)
    assert "memory: ? free: the platform does not tell" in text
    assert "disk: ? free" in text
    assert "load: ? on ? cores" in text


def test_health_is_shown_beside_what_the_machine_has_and_little_room_is_marked() -> None:
    view = s.agent("linux-1-1").model_copy(
        update={
            "capabilities": Capabilities(os="linux", cores=2, memory_bytes=8 << 30, disk_bytes=100 << 30),
            "health": AgentHealth(load_1m=5.5, memory_free_bytes=4 << 30, disk_free_bytes=1 << 30),
        }
    )
    store, line = line_of(view)
    facts = {fact.label: fact for fact in agent_facts(store, line)}
    assert (facts["memory"].text, facts["memory"].tone) == ("4.0GiB free of 8.0GiB", "plain")
    assert (facts["disk"].text, facts["disk"].tone) == ("1.0GiB free of 100GiB", "warning")
    assert (facts["load"].text, facts["load"].tone) == ("5.5 on 2 cores", "warning")


def test_an_agent_tells_which_decision_started_it_and_why() -> None:
    store = store_of(e.AgentsSeen(s.at(1), (s.agent("linux-1-1"),)), e.DecisionsSeen((s.decision(5, ("linux-1-1",)),)))
    text = said(store, AgentRows(store, lambda: NOW).row("linux-1-1"))
    assert "decision: 5" in text
    assert "because: So." in text


def test_agents_in_trouble_come_first_and_slots_count_as_numbers() -> None:
    views = (s.agent("linux-10-1"), s.agent("linux-9-1"), s.agent("linux-2-1", state="Lost"), s.agent("odd name"[:3]))
    store = store_of(e.AgentsSeen(s.at(1), views))
    assert AgentRows(store, lambda: NOW).keys()[0] == "linux-2-1"
    keys = list(AgentRows(store, lambda: NOW).keys())
    assert keys.index("linux-9-1") < keys.index("linux-10-1")


def test_a_row_is_drawn_anew_once_its_agent_or_what_is_shown_of_its_age_has_changed() -> None:
    store = store_of(e.AgentsSeen(s.at(1), (s.agent("linux-1-1", 7),)))
    now = [NOW]
    rows = AgentRows(store, lambda: now[0])
    before = rows.version("linux-1-1")
    assert rows.version("linux-1-1") == before
    now[0] += timedelta(seconds=1)
    assert rows.version("linux-1-1") != before


# ---------------------------------------------------------------- the screens


def open_agents(app: FarmApp) -> AgentsScreen:
    assert isinstance(app.farm_screen, AgentsScreen)
    return app.farm_screen


async def press(pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
    await ready(pilot)


async def test_facts_and_log_are_those_of_the_agent_under_the_cursor() -> None:
    app = dashboard()
    async with app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        await press(pilot, "4", "j")
        screen = open_agents(app)
        assert screen.agent == screen.table.cursor
        assert f"Log of {screen.agent}" in screen_text(app)
        assert app.source.interest.logs == {e.log_of_agent(screen.agent)}  # type: ignore[attr-defined]


@covers("look.logs", "move.back", "look.details")
async def test_l_goes_to_the_log_escape_back_to_the_table_and_enter_to_the_agent() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await press(pilot, "4", "l")
        screen = open_agents(app)
        assert screen.panel is screen.log_panel
        await press(pilot, "escape")
        assert screen.panel is screen.table_panel
        name = screen.agent
        await press(pilot, "enter")
        assert isinstance(app.farm_screen, AgentScreen)
        assert app.farm_screen.agent == name
        await press(pilot, "j", "G", "g", "y")


async def test_one_key_leads_from_an_agent_to_its_log_build_and_the_decision_that_started_it() -> None:
    app = dashboard(e.DecisionsSeen((s.decision(9_999, ("linux-900-1",), name="linux"),)))
    async with app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        view = s.agent("linux-900-1", state="Idle")
        app.store.apply(e.AgentsSeen(app.source.now(), (*app.store._views.values(), view)))
        app.go_to(Ref("agent", "linux-900-1"))
        await ready(pilot)
        await press(pilot, "J")
        text = screen_text(app)
        assert "log agent/linux-900-1" in text
        assert "decision 9999" in text


async def test_no_agents_says_what_starts_them_and_a_filter_says_that_nothing_matches() -> None:
    now = s.at(2)
    app = dashboard_of(
        seen("producer", "connected", now), seen("scaler", "connected", now), e.AgentsSeen(now, ()), now=now
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await press(pilot, "4")
        assert "No agents. The scaler starts them" in screen_text(app)
        app.source.tell(e.AgentsSeen(now, (s.agent("linux-1-1"),)))  # type: ignore[attr-defined]
        await ready(pilot)
        open_agents(app).table.set_filter("windows")
        await ready(pilot)
        assert "Nothing matches windows" in screen_text(app)


async def test_hostile_agents_are_drawn_as_letters_only() -> None:
    now = s.at(2)
    views = tuple(
        s.agent(f"linux-{n}-1").model_copy(
            update={"hostname": text[:255], "reason": text, "version": text, "state": text}
        )
        for n, text in enumerate(HOSTILE)
    )
    app = dashboard_of(
        seen("producer", "connected", now), seen("scaler", "connected", now), e.AgentsSeen(now, views), now=now
    )
    async with app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        await press(pilot, "4")
        for _ in HOSTILE:
            await pilot.press("j")
            assert not NEVER.search(screen_text(app).replace("\n", ""))


async def test_a_log_that_is_read_is_not_begun_anew_when_the_screen_is_left_and_opened_again() -> None:
    app = dashboard()
    async with app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        await press(pilot, "4")
        ring = open_agents(app).log_.pane.reader.ring
        await press(pilot, "5", "4")
        assert open_agents(app).log_.pane.reader.ring is ring


def test_every_column_can_be_sorted_by() -> None:
    store = store_of(
        e.AgentsSeen(s.at(1), (s.agent("linux-1-1", 1), s.agent("linux-2-1"))),
        e.WorkersSeen(s.at(1), (s.worker("linux-3-1", "Pending"),)),
    )
    rows = AgentRows(store, lambda: NOW)
    for column in agent_columns():
        values = [column.sort_value(rows.row(key)) for key in rows.keys()]  # noqa: SIM118 - no mapping
        sorted(value for value in values if value is not None)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_how_the_agents_look(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)

    async def prepared(pilot: Pilot[None]) -> None:
        await ready(pilot)
        await press(pilot, "4", "j")

    assert snap_compare(dashboard(), terminal_size=size, run_before=prepared)


async def test_sixty_by_fifteen_shows_the_table_alone() -> None:
    app = dashboard()
    async with app.run_test(size=(60, 15)) as pilot:
        await ready(pilot)
        await press(pilot, "4")
        text = screen_text(app)
        assert "Agents 2" in text
        assert "Log of" not in text
