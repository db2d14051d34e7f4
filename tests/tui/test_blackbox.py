"""The last minutes are kept within bounds, can be saved, and are played like any recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui import samples as s
from tests.tui.test_recording import demo_events
from tui.blackbox import LINES_A_SECOND, BlackBox
from tui.recording import opened
from tui.state import Store
from tui.state import events as e


def filled(seconds: int, **more: float) -> BlackBox:
    box = BlackBox(s.BEGAN, "a farm", **more)  # type: ignore[arg-type]
    for second, event in demo_events(seconds):
        box.add(event, s.at(second))
    return box


def test_what_is_kept_plays_into_the_same_farm() -> None:
    live, past = Store(), Store()
    for _, event in demo_events(30):
        live.apply(event)
    for _, event in filled(30).recording().since(0):
        past.apply(event)
    assert dict(past.jobs) == dict(live.jobs)
    assert dict(past.decisions) == dict(live.decisions)
    assert {row.status for row in past.builds.values()} == {row.status for row in live.builds.values()}


def test_a_saved_incident_is_a_recording_that_its_owner_alone_may_read(tmp_path: Path) -> None:
    box = filled(30)
    path = box.save(tmp_path, "now")
    assert path.stat().st_mode & 0o077 == 0
    tape, kept = opened(path), box.recording()
    assert tape.header.title == "a farm"
    assert tape.damage == ""
    assert list(tape.since(0)) == list(kept.since(0))
    assert tape.span == kept.span
    with pytest.raises(FileExistsError):
        box.save(tmp_path, "now")


def test_the_oldest_goes_and_what_is_left_begins_where_it_begins(tmp_path: Path) -> None:
    box = BlackBox(s.BEGAN, most_seconds=60)
    for second in range(300):
        box.add(e.LogSeen("build/x", (e.LogLine(f"line {second}", second + 1),)), s.at(second))
    tape = opened(box.save(tmp_path, "late"))
    first, last = tape.span
    assert (last - s.at(299)).total_seconds() == 0
    assert 50 <= (last - first).total_seconds() <= 80
    told = list(tape.since(0))
    assert told[0][0] == 0
    assert isinstance(told[0][1], e.LogSeen)
    assert told[0][1].lines[0].text == f"line {round((first - s.BEGAN).total_seconds())}"
    assert [event for at, event in tape.since(10_000)] == [event for at, event in told if at >= 10_000]


def test_its_bytes_are_bounded() -> None:
    assert filled(60, most_bytes=100_000).size < 200_000


def test_lines_that_come_too_fast_are_left_out_and_counted() -> None:
    box = BlackBox(s.BEGAN)
    lines = tuple(e.LogLine(f"{n}") for n in range(LINES_A_SECOND))
    for _ in range(3):
        box.add(e.LogSeen("agent/a", lines), s.at(1))
    told = [event for _, event in box.recording().since(0)]
    assert [type(event) for event in told] == [e.LogSeen, e.LogBroke, e.LogBroke]
    assert sum(event.missing or 0 for event in told if isinstance(event, e.LogBroke)) == 2 * LINES_A_SECOND


def test_no_secret_is_kept() -> None:
    box = BlackBox(s.BEGAN, "https://me:hunter2@farm")
    box.add(e.LogSeen("agent/a", (e.LogLine("password=hunter2"),)), s.at(0))
    assert "hunter2" not in str(list(box.recording().since(0)))


def test_going_to_a_moment_gives_the_last_of_whole_answers_and_all_news_before_it() -> None:
    box = BlackBox(s.BEGAN)
    for second in range(0, 100, 10):
        box.add(e.AgentsSeen(s.at(second), (s.agent(f"a-{second}-1"),)), s.at(second))
        box.add(e.LogSeen("build/x", (e.LogLine(f"line {second}", second + 1),)), s.at(second))
    told = [event for _, event in box.recording().since(0, target=55_000)]
    agents = [event.agents[0].name for event in told if isinstance(event, e.AgentsSeen)]
    assert agents == ["a-50-1", "a-60-1", "a-70-1", "a-80-1", "a-90-1"]
    assert sum(isinstance(event, e.LogSeen) for event in told) == 10
