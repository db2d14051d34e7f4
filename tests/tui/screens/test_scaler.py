"""The scaler's decisions: which are listed, what the record says, and how the chart is put together."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from buildyard.contracts.scaling import Decision, Reading, ScalingPolicy, Trust
from tests.tui import samples as s
from tests.tui.app.coverage import covers
from tests.tui.app.farms import dashboard, dashboard_of, ready, screen_text, seen
from tests.tui.test_safe_text import HOSTILE
from tests.tui.widgets.test_hostile_text import NEVER
from tui.app import FarmApp
from tui.screens.scaler import ScalerScreen
from tui.screens.scaler_chart import pool_chart
from tui.screens.scaler_facts import record_facts, rules, sentence_of
from tui.screens.scaler_rows import DecisionRows, decision_columns, neediest_pool
from tui.state import Ref, Store
from tui.state import events as e
from tui.widgets.time_chart import PANELS

Compare = Callable[..., bool]


def store_of(*decisions: Decision) -> Store:
    store = Store()
    store.apply(e.PoolsSeen(s.at(0), (s.pool(),)))
    store.apply(e.DecisionsSeen(decisions))
    return store


def listed(rows: DecisionRows) -> list[str]:
    rows.pool = "linux"
    rows.refresh()
    return list(rows.keys())


def test_decisions_that_repeat_the_one_before_are_left_out_until_asked_for() -> None:
    store = store_of(s.decision(1), s.decision(2), s.decision(3, ("linux-1-1",)), s.decision(4), s.decision(5))
    rows = DecisionRows(lambda: store)
    assert listed(rows) == ["1", "3", "4"]
    rows.changes_only = False
    assert listed(rows) == ["1", "2", "3", "4", "5"]
    rows.hide_idle = True
    assert listed(rows) == ["3"]
    assert rows.total == 5


def test_a_repeated_decision_that_acts_is_always_listed() -> None:
    store = store_of(s.decision(1, ("linux-1-1",)), s.decision(2, ("linux-2-1",)))
    assert listed(DecisionRows(lambda: store)) == ["1", "2"]


def test_decisions_about_other_pools_do_not_come_between() -> None:
    store = store_of(s.decision(1), s.decision(2, ("w-1-1",), name="windows"), s.decision(3))
    assert listed(DecisionRows(lambda: store)) == ["1"]


def test_the_pool_with_the_most_ready_jobs_is_shown_first() -> None:
    store = Store()
    store.apply(e.PoolsSeen(s.at(0), (s.pool("linux", 1), s.pool("windows", 9), s.pool("idle", 99))))
    store.apply(e.DecisionsSeen((s.decision(1), s.decision(2, name="windows"))))
    assert neediest_pool(store) == "windows"
    assert neediest_pool(Store()) == ""


def test_a_reading_is_a_sentence_with_source_age_and_trust() -> None:
    trusted = Reading(value=1_234, source="broker", age_seconds=0.2, trust=Trust.TRUSTED)
    assert sentence_of(trusted, "tickets") == "Number of tickets: 1,234; broker, 0.2s old, trusted."
    unknown = Reading(source="broker", cause="connection refused", age_seconds=42)
    assert sentence_of(unknown, "tickets").startswith(
        "The number of tickets is not known; broker, 42s old, not trusted"
    )
    assert "connection refused" in sentence_of(unknown, "tickets")


def test_an_unknown_count_is_never_written_as_zero() -> None:
    text = "\n".join(fact.text for fact in record_facts(s.decision(1, known=False)))
    assert "not known" in text
    assert ": 0;" not in text
    assert "They could not be seen" in text


def test_the_record_names_what_was_started_and_what_did_not_work() -> None:
    decision = s.decision(7, ("linux-1-1", "linux-2-1")).model_copy(update={"failures": ("linux-2-1: no memory.",)})
    facts = record_facts(decision)
    text = "\n".join(f"{fact.label}: {fact.text}" for fact in facts)
    assert "started: 2 workers: linux-1-1, linux-2-1" in text
    assert "failed: linux-2-1: no memory." in text
    assert "because: So." in text


def test_the_rules_of_a_pool_stand_in_the_record() -> None:
    policy = ScalingPolicy(burst_threshold=7, burst_size=1, max_workers=3)
    assert rules(policy)[0] == "More than 7 ready jobs start 1 worker at once."
    assert "3 workers" in rules(policy)[2]


def test_the_chart_marks_decisions_that_act_and_the_one_that_is_chosen() -> None:
    store = store_of(s.decision(1), s.decision(2, ("linux-1-1",)), s.decision(3), s.decision(4, known=False))
    marks = pool_chart(store, "linux", s.at(10), PANELS, 3).marks
    assert [mark.glyph for mark in marks] == ["⇈", "▲"]
    assert [mark.glyph for mark in pool_chart(store, "linux", s.at(10), PANELS, 3, utf8=False).marks] == ["A", "^"]


def test_the_chart_shows_what_was_read_and_leaves_unknown_what_was_not() -> None:
    store = store_of(s.decision(2), s.decision(9, known=False))
    samples = {
        sample.at - s.at(0).timestamp(): sample.values
        for sample in pool_chart(store, "linux", s.at(10), PANELS).samples
    }
    assert samples[2] == (3, 3, 1, 1)
    assert samples[9] == (None, None, None, None)


def test_counts_of_the_scaler_stand_on_where_only_the_producer_was_heard() -> None:
    store = store_of(s.decision(2))
    for second in (3, 40):
        store.apply(e.PoolsSeen(s.at(second), (s.pool("linux", 8),)))
    samples = {
        sample.at - s.at(0).timestamp(): sample.values
        for sample in pool_chart(store, "linux", s.at(60), PANELS).samples
    }
    assert samples[3] == (8, 3, 1, 1)
    assert samples[40] == (8,)


def test_the_chart_is_as_long_as_what_is_known() -> None:
    store = store_of(s.decision(1, seconds=1), s.decision(2, seconds=1_000))
    chart = pool_chart(store, "linux", s.at(1_001), PANELS)
    assert chart.end - chart.start == 1_800
    assert pool_chart(Store(), "none", s.at(0), PANELS).samples == []


def test_every_column_can_be_sorted_by() -> None:
    store = store_of(s.decision(1), s.decision(2, known=False))
    for column in decision_columns():
        values = [column.sort_value(row) for row in store.decisions.values()]
        sorted(value for value in values if value is not None)


# ---------------------------------------------------------------- the screen


async def press(pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
    await ready(pilot)


def opened(app: FarmApp) -> ScalerScreen:
    assert isinstance(app.farm_screen, ScalerScreen)
    return app.farm_screen


@covers("scaler.changes", "scaler.hide_idle")
async def test_c_shows_all_decisions_and_h_only_those_that_act() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await press(pilot, "5")
        few = opened(app).table.shown
        await press(pilot, "c")
        everything = opened(app).table.shown
        assert everything == opened(app).rows.total > few
        await press(pilot, "h")
        assert 0 < opened(app).table.shown < few


@covers("move.open", "move.back")
async def test_enter_reads_the_whole_record_and_escape_goes_back_to_the_list() -> None:
    app = dashboard()
    async with app.run_test(size=(60, 15)) as pilot:
        await ready(pilot)
        await press(pilot, "5", "enter")
        screen = opened(app)
        assert screen.panel is screen.record_panel
        assert "because" in screen_text(app)
        await press(pilot, "G")
        assert "Idle workers are asked to leave" in screen_text(app)
        await press(pilot, "y", "escape")
        assert screen.panel is screen.list_panel


async def test_the_arrows_choose_the_pool() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await press(pilot, "5")
        seen_ = [opened(app).rows.pool]
        for key in ("right", "right", "right", "left"):
            await press(pilot, key)
            seen_.append(opened(app).rows.pool)
        assert seen_[3] == seen_[0]
        assert seen_[4] == seen_[2]
        assert len(set(seen_)) == 3


async def test_a_decision_that_the_list_leaves_out_can_be_jumped_to() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await press(pilot, "5")
        screen = opened(app)
        hidden = next(
            row
            for row in app.store.decisions.values()
            if screen.rows.pool != row.pool and not row.acts and row.number > 20
        )
        app.go_to(Ref("decision", str(hidden.number)))
        await ready(pilot)
        assert (screen.chosen, screen.rows.pool) == (str(hidden.number), hidden.pool)
        assert screen.table.cursor == str(hidden.number)
        assert f"Decision {hidden.number}" in screen_text(app)


async def test_the_cursor_follows_the_newest_decision_until_it_is_moved() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await press(pilot, "5")
        pool = opened(app).rows.pool
        app.source.tell(e.DecisionsSeen((s.decision(5_000, ("new-1-1",), 40, pool),)))  # type: ignore[attr-defined]
        await ready(pilot)
        app.draw()
        assert opened(app).chosen == "5000"
        await press(pilot, "j")
        older = opened(app).chosen
        app.source.tell(e.DecisionsSeen((s.decision(5_001, ("new-2-1",), 41, pool),)))  # type: ignore[attr-defined]
        await ready(pilot)
        assert opened(app).chosen == older != "5000"


async def test_without_decisions_it_says_when_there_will_be_some() -> None:
    now = s.at(2)
    app = dashboard_of(
        seen("producer", "connected", now), seen("scaler", "connected", now), e.DecisionsSeen(()), now=now
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await press(pilot, "5", "enter", "right", "c", "J")
        assert "No decision about this pool yet." in screen_text(app)


async def test_hostile_reasons_are_drawn_as_letters_only() -> None:
    now = s.at(2)
    reading = Reading(source=HOSTILE[0], cause=HOSTILE[3])
    told = []
    for number, text in enumerate(HOSTILE, 1):
        one = s.decision(number, (f"linux-{number}-1",))
        plan = one.plan.model_copy(update={"reason": text.encode("utf-8", "replace").decode()})
        told.append(
            one.model_copy(
                update={
                    "plan": plan,
                    "failures": (HOSTILE[2],),
                    "observed": one.observed.model_copy(update={"queue_ready": reading}),
                }
            )
        )
    app = dashboard_of(
        seen("producer", "connected", now),
        seen("scaler", "connected", now),
        e.PoolsSeen(now, (s.pool(),)),
        e.DecisionsSeen(tuple(told)),
        now=now,
    )
    async with app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        await press(pilot, "5")
        for _ in HOSTILE:
            await pilot.press("j")
            assert not NEVER.search(screen_text(app).replace("\n", ""))


@pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_how_the_scaler_looks(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)

    async def prepared(pilot: Pilot[None]) -> None:
        await ready(pilot)
        await press(pilot, "5", "j")

    assert snap_compare(dashboard(), terminal_size=size, run_before=prepared)


async def test_a_scaler_that_does_not_answer_leaves_its_decisions_on_the_screen_with_their_age() -> None:
    now = s.at(40)
    app = dashboard(seen("scaler", "down", now, silent=25, retry=3))
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await press(pilot, "5")
        text = screen_text(app)
        assert "DOWN 25s" in text
        assert "nothing to do" in text or "steady" in text or "scale to zero" in text
