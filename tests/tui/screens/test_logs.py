"""Logs of many agents as one: which there are to choose from, how they merge, and how they outlive workers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from tests.tui import samples as s
from tests.tui.app.coverage import covers
from tests.tui.app.farms import dashboard, ready, screen_text
from tests.tui.test_safe_text import HOSTILE
from tests.tui.widgets.test_hostile_text import NEVER
from tui.app import FarmApp
from tui.screens.logs import LogsScreen
from tui.screens.logs_choice import Choice
from tui.screens.logs_merge import MergedLog, written_time
from tui.screens.logs_sources import MOST_FOLLOWED, followed, generation_of, slot_of, source_lines
from tui.state import Ref, Store
from tui.state import events as e
from tui.state.events import LogLine
from tui.widgets.log_ring import LogRing

Compare = Callable[..., bool]
NOW = s.at(100).timestamp()


def texts(ring: LogRing) -> list[str]:
    return [line.text for _, line in ring.since(0)]


def lines(store: Store, name: str, *told: tuple[float | None, str]) -> None:
    store.apply(e.LogSeen(e.log_of_agent(name), tuple(LogLine(text, None, at) for at, text in told)))


def agents(store: Store, *names: str, second: float = 1) -> None:
    store.apply(e.AgentsSeen(s.at(second), tuple(s.agent(name) for name in names)))


def test_slots_outlive_workers() -> None:
    assert (slot_of("linux-7-12"), generation_of("linux-7-12")) == ("linux-7", 12)
    assert (slot_of("my laptop"), generation_of("my laptop")) == ("my laptop", 0)
    assert slot_of("a-b-7-12") == "a-b-7"


def test_the_tree_has_pools_with_their_slots_in_order_and_the_builds_that_run() -> None:
    store = Store()
    store.apply(e.PoolsSeen(s.at(0), (s.pool("windows"), s.pool("linux"))))
    agents(store, "linux-10-1", "linux-9-1", "linux-9-2")
    store.apply(e.BuildsSeen(s.at(0), (s.summary(1, "Running"), s.summary(2, "Succeeded"))))
    assert [line.title for line in source_lines(store)] == [
        "linux (2)",
        "linux-9-2",
        "linux-10-1",
        "windows (0)",
        "running builds (1)",
        "project-1 00000001",
    ]


def test_a_pool_takes_all_its_agents_in_and_out() -> None:
    store = Store()
    store.apply(e.PoolsSeen(s.at(0), (s.pool("linux"),)))
    agents(store, "linux-1-1", "linux-2-1")
    choice = Choice(lambda: store)
    choice.rows.refresh()
    choice.toggle("slot/linux-1")
    assert choice.rows.row("pool/linux")[1] == "some"
    choice.toggle("pool/linux")
    assert choice.chosen == {"slot/linux-1", "slot/linux-2"}
    choice.toggle("pool/linux")
    assert choice.chosen == set()


def test_only_so_many_logs_are_followed_at_once_and_the_rest_is_counted() -> None:
    store = Store()
    agents(store, *(f"linux-{n}-1" for n in range(MOST_FOLLOWED + 3)))
    rows = source_lines(store)
    shown, left_out = followed(rows, {line.key for line in rows})
    assert (len(shown), left_out) == (MOST_FOLLOWED, 3)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 100)), max_size=40))
def test_what_is_there_is_sorted_by_time_and_nothing_is_lost(told: list[tuple[int, float]]) -> None:
    store = Store()
    streams = {e.log_of_agent(f"a-{n}-1"): str(n) for n in range(4)}
    by_stream: dict[int, list[float]] = {}
    for number, at in told:
        by_stream.setdefault(number, []).append(at)
    for number, times in by_stream.items():
        lines(store, f"a-{number}-1", *((at, f"{at}") for at in times))
    merged = MergedLog(streams)
    merged.begin(store)
    shown = [float(text) for text in texts(merged.ring)]
    assert shown == sorted(at for _, at in told)
    assert merged.ring.account.received == len(told)


def test_new_lines_wait_a_moment_for_those_of_other_logs() -> None:
    store = Store()
    merged = MergedLog({e.log_of_agent("a-1-1"): "a", e.log_of_agent("b-1-1"): "b"})
    merged.begin(store)
    lines(store, "a-1-1", (NOW + 0.2, "second"))
    assert merged.advance(store, NOW + 0.3) == 0
    lines(store, "b-1-1", (NOW + 0.1, "first"))
    assert merged.advance(store, NOW + 0.8) == 2
    assert texts(merged.ring) == ["first", "second"]
    assert merged.late == 0


def test_a_line_that_comes_too_late_is_shown_at_the_end_and_counted() -> None:
    store = Store()
    merged = MergedLog({e.log_of_agent("a-1-1"): "a", e.log_of_agent("b-1-1"): "b"})
    lines(store, "a-1-1", (NOW, "young"))
    merged.begin(store)
    lines(store, "b-1-1", (NOW - 5, "old"))
    merged.advance(store, NOW)
    merged.advance(store, NOW + 1)
    assert texts(merged.ring) == ["young", "old"]
    assert merged.late == 1


def test_one_log_alone_never_waits() -> None:
    store = Store()
    merged = MergedLog({e.log_of_agent("a-1-1"): "a"})
    lines(store, "a-1-1", (None, "now"))
    assert merged.advance(store, NOW) == 1


def test_lines_that_the_store_gave_up_before_they_were_read_are_counted_as_dropped() -> None:
    store = Store()
    stream = e.log_of_agent("a-1-1")
    lines(store, "a-1-1", *((float(n), str(n)) for n in range(10)))
    store.logs[stream].drop_oldest(4)
    merged = MergedLog({stream: "a"})
    merged.begin(store)
    assert (merged.ring.account.received, merged.ring.account.dropped, len(merged.ring)) == (10, 4, 6)


def test_a_break_in_a_log_is_a_seam_that_says_whose_it_is() -> None:
    store = Store()
    merged = MergedLog({e.log_of_agent("a-1-1"): "a-1-1", e.log_of_agent("b-1-1"): "b-1-1"})
    store.apply(e.LogBroke(e.log_of_agent("a-1-1"), s.at(1), "the connection broke", 14))
    merged.begin(store)
    assert texts(merged.ring) == ["a-1-1: the connection broke"]
    assert merged.ring.account.missing == 14


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("2026-11-21T09:30:00.250000Z [info] x", s.at(0.25).timestamp()),
        ("\x1b[2m2026-11-21T09:30:01Z\x1b[0m x", s.at(1).timestamp()),
        ("2026-11-21 10:30:00+01:00 x", s.at(0).timestamp()),
        ('{"event": "x", "timestamp": "2026-11-21T09:30:02.5Z"}', s.at(2.5).timestamp()),
        ("at 2026-11-21T09:30:00Z something else", None),
        ("2026-99-99T09:30:00Z", None),
        ("", None),
    ],
)
def test_a_line_without_a_time_of_its_own_has_the_one_that_it_says(text: str, known: float | None) -> None:
    assert written_time(text) == known


def test_a_line_without_any_time_stays_behind_the_one_before_it() -> None:
    store = Store()
    lines(store, "a-1-1", (1.0, "error"), (None, "  trace"), (9.0, "end"))
    lines(store, "b-1-1", (5.0, "between"))
    merged = MergedLog({e.log_of_agent("a-1-1"): "a", e.log_of_agent("b-1-1"): "b"})
    merged.begin(store)
    assert texts(merged.ring) == ["error", "  trace", "between", "end"]


def test_older_lines_are_left_out_where_only_the_last_minutes_are_asked_for() -> None:
    store = Store()
    agents(store, "linux-1-1")
    lines(store, "linux-1-1", (NOW - 120, "old"), (NOW - 10, "young"))
    choice = Choice(lambda: store)
    choice.only("agent/linux-1-1")
    choice.look_back(60, NOW)
    choice.update(NOW)
    assert texts(choice.merged.ring) == ["young"]
    choice.look_back(None, NOW)
    choice.update(NOW)
    assert texts(choice.merged.ring) == ["old", "young"]


def test_the_log_goes_on_with_the_next_worker_of_a_slot_behind_a_seam() -> None:
    store = Store()
    agents(store, "linux-1-1")
    choice = Choice(lambda: store)
    choice.rows.refresh()
    choice.toggle("slot/linux-1")
    lines(store, "linux-1-1", (1.0, "before"))
    assert choice.update(NOW)
    agents(store, second=2)
    choice.rows.refresh()
    assert not choice.update(NOW), "between two workers the log of the last one stays"
    agents(store, "linux-1-2", second=3)
    choice.rows.refresh()
    assert choice.update(NOW)
    assert choice.streams == ("agent/linux-1-2",)
    lines(store, "linux-1-2", (2.0, "after"))
    choice.update(NOW)
    choice.update(NOW + 1)
    assert texts(choice.merged.ring) == ["before", "linux-1-1 has ended; linux-1-2 goes on in its place", "after"]


def test_another_store_begins_the_log_anew() -> None:
    stores = [Store()]
    agents(stores[0], "linux-1-1")
    lines(stores[0], "linux-1-1", (1.0, "then"))
    choice = Choice(lambda: stores[0])
    choice.only("agent/linux-1-1")
    choice.update(NOW)
    stores[0] = Store()
    choice.update(NOW)
    assert texts(choice.merged.ring) == []


# ---------------------------------------------------------------- the screen


async def press(pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
    await ready(pilot)


def opened(app: FarmApp) -> LogsScreen:
    assert isinstance(app.farm_screen, LogsScreen)
    return app.farm_screen


def with_logs(*told: str) -> FarmApp:
    now = s.at(40).timestamp()
    return dashboard(
        *(
            e.LogSeen(
                e.log_of_agent(f"docker-{n}-1"),
                tuple(LogLine(text, None, now - 30 + i + n / 10) for i, text in enumerate(told)),
            )
            for n in (1, 2, 3)
        )
    )


@covers("table.mark", "look.logs", "look.details")
async def test_marked_agents_are_read_as_one_log() -> None:
    app = with_logs("one", "two")
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await press(pilot, "6")
        assert "Nothing is chosen." in screen_text(app)
        await press(pilot, "j", "space", "space", "l")
        screen = opened(app)
        assert texts(screen.choice.merged.ring) == ["one", "one", "two", "two"]
        assert app.source.interest.logs == {"agent/docker-1-1", "agent/docker-2-1"}  # type: ignore[attr-defined]
        assert screen.panel is screen.log_panel
        assert screen.cursor_ref() == Ref("agent", "docker-2-1")
        await press(pilot, "escape", "k", "k", "enter")
        assert screen.choice.streams == ("agent/docker-1-1",)


@covers("table.mark_all")
async def test_a_star_takes_all_in_that_the_filter_shows_or_none() -> None:
    app = with_logs("one")
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await press(pilot, "6")
        opened(app).table.set_filter("docker-1-1|docker-2-1")
        await press(pilot, "*")
        assert opened(app).choice.chosen == {"slot/docker-1", "slot/docker-2"}
        await press(pilot, "*")
        assert opened(app).choice.chosen == set()


def test_one_source_after_the_other_has_its_name_over_its_lines_and_goes_on_so() -> None:
    store = Store()
    lines(store, "a-1-1", (1, "a1"), (5, "a5"))
    lines(store, "b-1-1", (2, "b2"))
    merged = MergedLog({e.log_of_agent("a-1-1"): "A", e.log_of_agent("b-1-1"): "B"}, by_source=True)
    merged.begin(store)
    assert texts(merged.ring) == ["A", "a1", "a5", "B", "b2"]
    lines(store, "b-1-1", (7, "b7"))
    assert merged.advance(store, NOW) == 1
    lines(store, "a-1-1", (6, "a6"))
    merged.advance(store, NOW)
    assert texts(merged.ring)[5:] == ["b7", "A", "a6"]
    assert merged.ring.account.received == 5


@covers("log.order")
async def test_lines_are_ordered_by_time_or_by_source() -> None:
    app = with_logs("one", "two")
    async with app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        await press(pilot, "6", "*", "tab", "o")
        assert opened(app).choice.by_source
        assert "one source after the other" in screen_text(app)
        await press(pilot, "o")
        assert "one source after the other" not in screen_text(app)


@covers("log.since_longer", "log.since_shorter", "log.marker")
async def test_less_of_the_past_more_of_it_and_a_marker() -> None:
    app = with_logs("one", "two")
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        app.go_to(Ref("log", "agent/docker-1-1"))
        await ready(pilot)
        await press(pilot, "-")
        assert "last hour" in screen_text(app)
        await press(pilot, "+")
        assert "last hour" not in screen_text(app)
        await press(pilot, "M")
        assert "marked at 09:30:40" in screen_text(app)


async def test_one_key_leads_from_a_line_to_the_agent_its_build_and_its_decision() -> None:
    app = with_logs("one")
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        app.go_to(Ref("log", "agent/docker-1-1"))
        await ready(pilot)
        await press(pilot, "J")
        assert "build 0" in screen_text(app)
        await press(pilot, "escape", "d")
        assert app.farm_screen is not None
        assert app.farm_screen.name_ == "agent"


async def test_hostile_lines_and_names_are_drawn_as_letters_only() -> None:
    app = with_logs(*HOSTILE)
    async with app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        await press(pilot, "6", "j", "space", "space", "space")
        assert len(opened(app).choice.merged.ring) == 3 * len(HOSTILE)
        await press(pilot, "tab", "g")
        assert not NEVER.search(screen_text(app).replace("\n", ""))
        await press(pilot, "G", "w")
        assert not NEVER.search(screen_text(app).replace("\n", ""))


async def test_a_place_in_the_log_is_kept_while_other_screens_are_open() -> None:
    app = with_logs(*(f"line {n}" for n in range(60)))
    async with app.run_test(size=(60, 15)) as pilot:
        await ready(pilot)
        app.go_to(Ref("log", "agent/docker-1-1"))
        await ready(pilot)
        await press(pilot, "k", "k", "k")
        line = opened(app).pane.line
        await press(pilot, "5", "6")
        assert opened(app).pane.line == line
        assert not opened(app).pane.reader.follow


@pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_how_the_logs_look(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)

    async def prepared(pilot: Pilot[None]) -> None:
        await ready(pilot)
        await press(pilot, "6", "j", "space", "space", "space")

    app = with_logs(*(f"{n} \x1b[32mPassed\x1b[0m lib/[x]" for n in range(9)), "error CS1002: ; expected")
    assert snap_compare(app, terminal_size=size, run_before=prepared)
